"""Small data folders in the form of the published ones: scenes with faces, FER2013 with votes, labelled crops."""

import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.support.drawings import KINDS, draw_faces
from training.data.label_targets import FER2013_LABELS, FERPLUS_LABELS

ROOT = Path(__file__).parents[2]
POINTS = ("right_eye", "left_eye", "nose", "right_mouth", "left_mouth")
FACE = (0.350, 0.122, 0.180, 0.223)
MARKS = ((0.399, 0.203), (0.483, 0.203), (0.440, 0.251), (0.403, 0.285), (0.477, 0.285))
"""Box and landmarks of the face in scikit-image's portrait, as fractions of its side."""


def draw_scene(rng, size, count):
    """An image (h, w) with ``count`` portraits on grey, and a row of box and landmarks for each face."""
    portrait = pytest.importorskip("skimage.data", reason="scikit-image brings the portrait").astronaut().mean(-1)
    pixels, rows = np.full(size, 90, np.uint8), []
    for _ in range(count):
        side = int(rng.integers(150, 190))
        left, top = int(rng.integers(0, size[1] - side)), int(rng.integers(0, size[0] - side // 2))
        small = cv2.resize(portrait.astype(np.uint8), (side, side), interpolation=cv2.INTER_AREA)
        pixels[top : top + side, left : left + side] = small[: size[0] - top]
        x, y, w, h = (side * each for each in FACE)
        rows.append([left + x, top + y, w, h, *(v for a, b in MARKS for v in (left + side * a, top + side * b))])
    return pixels, rows


def write_scenes(folder):
    """Write scenes.zip with a few images of each kind, images.csv and faces.csv."""
    rng = np.random.default_rng(3)
    names = (ROOT / "training" / "data" / "validation.txt").read_text().split()
    kinds = {f"photos/{at:05}.jpg": "photo" for at in range(40)}
    kinds |= {f"street/{at:05}.jpg": "street" for at in range(20)}
    kinds |= {f"shelves/{at:05}.jpg": "negative" for at in range(40)}
    kinds |= dict.fromkeys([*names[:4], *(f"labelled/9{at:04}.jpg" for at in range(6))], "labelled-still")
    kinds |= {f"labelled/8{at:04}.jpg": "labelled-video" for at in range(4)}
    images = ["image,width,height,expression,kind"]
    faces = ["image,x,y,w,h," + ",".join(f"{name}_{axis}" for name in POINTS for axis in "xy") + ",score,source"]
    with zipfile.ZipFile(folder / "scenes.zip", "w") as archive:
        for name, kind in kinds.items():
            image, rows = draw_scene(rng, (200, 240), 0 if kind == "negative" else 1)
            archive.writestr(name, cv2.imencode(".jpg", image)[1].tobytes())
            images.append(f"{name},240,200,,{kind}")
            source = "human" if kind.startswith("labelled") else "yunet"
            faces += [f"{name},{','.join(f'{value:.1f}' for value in row)},0.95,{source}" for row in rows]
    (folder / "images.csv").write_text("\n".join(images) + "\n")
    (folder / "faces.csv").write_text("\n".join(faces) + "\n")


def write_fer2013(folder):
    """Write fer2013/ with drawn faces on blocks of noise, which keep them from being near-duplicates, and votes."""
    rng = np.random.default_rng(4)
    faces, kinds = draw_faces(240, 48, rng)
    noise = rng.integers(0, 256, (240, 12, 12)).repeat(4, 1).repeat(4, 2)
    usages = np.repeat(["Training", "PublicTest"], [200, 40])
    rows, votes = ["emotion,pixels,Usage"], ["Usage,Image name," + ",".join(FERPLUS_LABELS)]
    for face, kind, usage in zip((faces // 2 + noise // 2), kinds, usages, strict=True):
        name = list(KINDS)[kind]
        rows.append(f"{FER2013_LABELS.index(name)},{' '.join(map(str, face.ravel()))},{usage}")
        votes.append(f"{usage},x.png," + ",".join("10" if each == name else "0" for each in FERPLUS_LABELS))
    (folder / "fer2013").mkdir()
    (folder / "fer2013" / "fer2013.csv").write_text("\n".join(rows) + "\n")
    (folder / "fer2013" / "fer2013new.csv").write_text("\n".join(votes) + "\n")


def write_crops(folder, labels):
    """Write train/LABEL/ and test/LABEL/ with drawn faces; ``labels`` are the names of `KINDS`, in their order."""
    rng = np.random.default_rng(5)
    for part, count in (("train", 90), ("test", 30)):
        for at, (face, kind) in enumerate(zip(*draw_faces(count, 64, rng), strict=True)):
            path = folder / part / labels[kind] / f"{at:03}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), face)
