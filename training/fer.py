"""fer2013.csv, fer2013new.csv and photographs -> one compact cache of faces with votes."""

import hashlib
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tqdm import tqdm

from contract.card import Crop
from contract.errors import SettingsError
from edge.crop import cut
from edge.words import Face
from training import scenes

VOTES = ["neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt", "unknown", "NF"]
"""The columns of FER+ (Barsoum et al. 2016): ten taggers a face."""
OWN_LABELS = ["anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral"]
"""FER2013's own label 0..6 (Goodfellow et al. 2013)."""
SIDE = 48
PHOTO_SIDE = 112
PHOTO_MARGIN = 0.2
"""Photographs' faces are kept with this much around the box, so that training can shift and scale the crop."""


def prepare(data: Path, cache: Path) -> None:
    """The data folder -> ``cache``: pixels (n, 48, 48), votes (n, 10), own label, part; and photographs' crops
    (m, 112, 112) with their label's name and part. Parts: ``train``, ``tune`` (thresholds, temperature), ``test``.
    """
    frame = pd.read_csv(data / "fer2013" / "fer2013.csv.xz")
    votes = pd.read_csv(data / "fer2013" / "fer2013new.csv")
    if len(frame) != len(votes) or (frame.Usage != votes.Usage).any():
        raise SettingsError(f"{data / 'fer2013'}: fer2013.csv and fer2013new.csv are not aligned row for row")
    pixels = np.stack([_pixels(text, row) for row, text in enumerate(tqdm(frame.pixels, desc="fer2013"))])
    part = np.where(frame.Usage == "Training", "train", "test").astype(object)
    digest = np.array([hashlib.sha256(face.tobytes()).digest()[0] for face in pixels])
    part[(part == "train") & (digest < 13)] = "tune"  # one in twenty
    part[_repeats(pixels, part)] = "repeat"
    crops, labels, photo_part = _photos(data)
    cache.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(
        cache,
        pixels=pixels,
        votes=votes[VOTES].to_numpy(np.uint8),
        own=frame.emotion.to_numpy(np.uint8),
        part=part.astype(str),
        photos=crops,
        photo_labels=labels,
        photo_part=photo_part,
    )


def _pixels(text: str, row: int) -> NDArray[np.uint8]:
    values = np.array(text.split(), np.uint8)
    if values.size != SIDE * SIDE:
        raise SettingsError(f"fer2013.csv, row {row + 2}: {values.size} pixels, not {SIDE * SIDE}")
    return values.reshape(SIDE, SIDE)


def _repeats(pixels: NDArray[np.uint8], part: NDArray[np.object_]) -> NDArray[np.bool_]:
    """Rows outside ``test`` whose picture, or its mirror image, stands in ``test``."""
    held = {face.tobytes() for face in pixels[part == "test"]}
    seen = [face.tobytes() in held or face[:, ::-1].tobytes() in held for face in pixels]
    return np.array(seen) & (part != "test")


def _photos(data: Path) -> tuple[NDArray[np.uint8], NDArray[np.str_], NDArray[np.str_]]:
    """Photographs with one sure face and a label -> crops (m, 112, 112), labels, parts."""
    cached = cache_of_scenes(data)
    rule, crops, labels, parts = Crop(margin=PHOTO_MARGIN, align="none"), [], [], []
    for scene in cached:
        if scene.kind != "photo" or not scene.expression or not scene.sure.any():
            continue
        box = scene.boxes[scene.sure][scene.boxes[scene.sure][:, 2].argmax()]
        face = Face(tuple(box.tolist()), 1.0)
        crops.append(cut(scene.pixels, face, rule, (PHOTO_SIDE, PHOTO_SIDE)))
        labels.append(scene.expression)
        bucket = hashlib.sha256(scene.name.encode()).digest()[1]
        held = scenes.is_validation(scene.name, frozenset())
        parts.append("test" if held else "tune" if bucket < 13 else "train")
    return np.stack(crops), np.array(labels), np.array(parts)


def cache_of_scenes(data: Path) -> list[scenes.Scene]:
    """The scenes of a data folder, by way of a cache that is thrown away."""
    with tempfile.TemporaryDirectory() as folder:
        scenes.prepare(data, Path(folder) / "scenes.npz")
        return list(scenes.read(Path(folder) / "scenes.npz"))


def soft_labels(votes: NDArray[np.uint8], mapping: dict[str, dict[str, float]]) -> NDArray[np.float32]:
    """FER+ votes (n, 10), label -> weights of votes -> distributions (n, labels); rows of zeros where no verdict.

    Single votes are taken as slips (as Barsoum et al. 2016 do); a row is out if the labels get less than half of all
    votes.
    """
    weights = np.array([[row.get(name, 0.0) for row in mapping.values()] for name in VOTES], np.float32)
    counted = np.where(votes > 1, votes, 0).astype(np.float32)
    mapped = counted @ weights
    total = mapped.sum(1, keepdims=True)
    enough = total >= 0.5 * np.maximum(counted.sum(1, keepdims=True), 1)
    return np.where(enough & (total > 0), mapped / np.maximum(total, 1e-6), 0).astype(np.float32)


def photo_targets(labels: NDArray[np.str_], mapping: dict[str, dict[str, float]], smooth: float) -> NDArray[np.float32]:
    """Names of labels (m,) -> distributions (m, labels), smoothed because students' labels err; zeros if unmapped."""
    weights = np.array([[row.get(name, 0.0) for row in mapping.values()] for name in labels], np.float32)
    total = weights.sum(1, keepdims=True)
    sharp = weights / np.maximum(total, 1e-6)
    return np.where(total > 0, (1 - smooth) * sharp + smooth / len(mapping), 0).astype(np.float32)
