"""fer2013.csv, as published, with FER+'s votes -> faces with votes, in parts."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tqdm import tqdm

from base.errors import SettingsError
from training.data.label_targets import FER2013_LABELS, FERPLUS_LABELS
from training.data.near_duplicates import find_near_duplicates

SIDE = 48
PARTS = {"Training": "train", "PublicTest": "test", "PrivateTest": "private"}
"""``private`` is kept and never used: it is for the last word of a paper."""
VALIDATION_OF_256 = 13
"""So many of 256 of the training part are split off as ``tune``, for early stopping, temperature and thresholds."""
OnBroken = Literal["stop", "skip"]
"""What to do with a row that cannot be read: stop, or name it and go on without it."""


@dataclass(frozen=True, slots=True)
class FerFaces:
    """Faces (n, 48, 48), FER+ votes (n, 10; zeros without the votes' file), FER2013's own label (n,), part (n,)."""

    pixels: NDArray[np.uint8]
    votes: NDArray[np.uint8]
    own: NDArray[np.uint8]
    part: NDArray[np.str_]


def read(folder: Path, broken: OnBroken) -> FerFaces:
    """The folder, if there is one, with ``fer2013.csv`` (plain, ``.xz``, ``.gz``, ``.bz2`` or ``.zip``) and, if it is
    there, ``fer2013new.csv`` -> its faces. Parts: train, tune, test, private; ``repeat`` where a picture outside
    ``test`` looks like one inside, or one of ``train`` like one of ``tune``.

    SettingsError that names file and row where one cannot be read, or where the two files are not of the same rows.
    """
    if not folder.is_dir():
        none = np.zeros(0, np.uint8)
        return FerFaces(none.reshape(0, SIDE, SIDE), none.reshape(0, len(FERPLUS_LABELS)), none, np.zeros(0, str))
    path = csv_path(folder)
    frame = pd.read_csv(path, dtype={"emotion": str})  # one that is missing would make all of them floats
    if missing := {"emotion", "pixels", "Usage"} - set(frame):
        raise SettingsError(f"{path}: no column {', '.join(sorted(missing))}; has {', '.join(map(str, frame))}")
    votes = _votes(folder / "fer2013new.csv", frame.Usage)
    pixels, good = np.zeros((len(frame), SIDE, SIDE), np.uint8), np.ones(len(frame), bool)
    for row, (text, label, usage) in enumerate(
        zip(tqdm(frame.pixels, desc="fer2013"), frame.emotion, frame.Usage, strict=True)
    ):
        try:
            pixels[row] = _face(text, label, usage)
        except ValueError as error:
            report_broken(broken, f"{path}, row {row + 2}: {error}")
            good[row] = False
    own = pd.to_numeric(frame.emotion, errors="coerce").fillna(0).to_numpy(np.uint8)
    part = np.array([PARTS.get(usage, "") for usage in frame.Usage], object)
    digest = np.array([hashlib.sha256(face.tobytes()).digest()[0] for face in pixels])
    part[(part == "train") & (digest < VALIDATION_OF_256)] = "validation"
    part[find_near_duplicates(pixels, part == "test") & (part != "private")] = "repeat"
    part[find_near_duplicates(pixels, part == "validation") & (part == "train")] = "repeat"
    return FerFaces(pixels[good], votes[good], own[good], part[good].astype(str))


def csv_path(folder: Path) -> Path:
    """The file of FER2013 in a folder, whatever it is compressed with; SettingsError if there is none or several."""
    paths = sorted(folder.glob("fer2013.csv*"))
    if len(paths) != 1:
        raise SettingsError(f"{folder}: {len(paths)} files fer2013.csv*; one is needed, plain or compressed")
    return paths[0]


def report_broken(broken: OnBroken, what: str) -> None:
    """A row that cannot be used: SettingsError, or a line on the terminal and on with the next."""
    if broken == "stop":
        raise SettingsError(f"{what} (--broken skip goes on without it)")
    tqdm.write(f"skipped: {what}")


def _votes(path: Path, usage: "pd.Series[str]") -> NDArray[np.uint8]:
    """The votes of each row of FER2013; zeros if there is no such file."""
    if not path.exists():
        return np.zeros((len(usage), len(FERPLUS_LABELS)), np.uint8)
    votes = pd.read_csv(path)
    if len(usage) != len(votes) or (usage.to_numpy() != votes.Usage.to_numpy()).any():
        raise SettingsError(f"{path}: not of the same rows as fer2013.csv, one by one")
    return votes[FERPLUS_LABELS].to_numpy(np.uint8)


def _face(text: object, label: object, usage: object) -> NDArray[np.uint8]:
    """One row -> its pixels; ValueError that says what is wrong with it."""
    values = str(text).split()
    if len(values) != SIDE * SIDE:
        raise ValueError(f"{len(values)} pixels, not {SIDE * SIDE}")
    pixels = np.array(values, np.int64)  # raises ValueError on what is no number
    if pixels.min() < 0 or pixels.max() > 255:
        raise ValueError(f"a pixel of {pixels.min()} or {pixels.max()}, not 0..255")
    if str(label) not in map(str, range(len(FER2013_LABELS))):
        raise ValueError(f"emotion {label}, not 0..{len(FER2013_LABELS) - 1}")
    if usage not in PARTS:
        raise ValueError(f"Usage {usage!r}, not one of {', '.join(PARTS)}")
    return pixels.astype(np.uint8).reshape(SIDE, SIDE)
