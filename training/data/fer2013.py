"""Read FER2013 and its FER+ votes as published, and split the faces into parts."""

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
"""Side of FER2013's faces, pixels."""
PARTS = {"Training": "train", "PublicTest": "test", "PrivateTest": "private"}
"""Part of each ``Usage``. ``private`` is read but not used: it is reserved for a final measurement."""
VALIDATION_OF_256 = 13
"""So many of every 256 training faces are held out for validation: early stopping, temperature and thresholds."""
OnBroken = Literal["stop", "skip"]
"""What to do with a row that cannot be read: stop with an error, or report it and continue."""


@dataclass(frozen=True, slots=True)
class FerFaces:
    """The n faces of FER2013."""

    pixels: NDArray[np.uint8]
    """Grey faces, (n, 48, 48)."""
    votes: NDArray[np.uint8]
    """FER+ votes, (n, 10), in the order of `FERPLUS_LABELS`; zeros without ``fer2013new.csv``."""
    labels: NDArray[np.uint8]
    """FER2013's own labels, (n,), indices into `FER2013_LABELS`."""
    part: NDArray[np.str_]
    """``train``, ``validation``, ``test``, ``private``, or ``repeat`` for near-duplicates, (n,)."""


def read(folder: Path, broken: OnBroken) -> FerFaces:
    """Read ``fer2013.csv`` (plain, ``.xz``, ``.gz``, ``.bz2`` or ``.zip``) and, if it exists, ``fer2013new.csv``.

    There are no faces if the folder does not exist. A face gets the part ``repeat`` if it nearly repeats one of the
    part ``test``, or if it is of the part ``train`` and nearly repeats one of the part ``validation``.

    SettingsError names the file and the row that cannot be read; it is also raised if the two files do not match.
    """
    if not folder.is_dir():
        empty = np.zeros(0, np.uint8)
        return FerFaces(empty.reshape(0, SIDE, SIDE), empty.reshape(0, len(FERPLUS_LABELS)), empty, np.zeros(0, str))
    path = csv_path(folder)
    frame = pd.read_csv(path, dtype={"emotion": str})  # as numbers, one empty cell would turn all labels into floats
    if missing := {"emotion", "pixels", "Usage"} - set(frame):
        columns = ", ".join(map(str, frame))
        raise SettingsError(f"{path}: must have the column {', '.join(sorted(missing))}; has {columns}")
    votes = _votes(folder / "fer2013new.csv", frame.Usage)
    pixels, valid = np.zeros((len(frame), SIDE, SIDE), np.uint8), np.ones(len(frame), bool)
    rows = zip(tqdm(frame.pixels, desc="fer2013"), frame.emotion, frame.Usage, strict=True)
    for row, (text, label, usage) in enumerate(rows):
        try:
            pixels[row] = _face(text, label, usage)
        except ValueError as error:
            report_broken(broken, f"{path}, row {row + 2}: {error}")
            valid[row] = False
    labels = pd.to_numeric(frame.emotion, errors="coerce").fillna(0).to_numpy(np.uint8)
    part = _parts(pixels, frame.Usage)
    return FerFaces(pixels[valid], votes[valid], labels[valid], part[valid].astype(str))


def _parts(pixels: NDArray[np.uint8], usage: "pd.Series[str]") -> NDArray[np.object_]:
    """Part (n,) of each face (n, 48, 48), by its usage, a hash of its pixels, and its near-duplicates."""
    part = np.array([PARTS.get(each, "") for each in usage], object)
    digest = np.array([hashlib.sha256(face.tobytes()).digest()[0] for face in pixels])
    part[(part == "train") & (digest < VALIDATION_OF_256)] = "validation"
    part[find_near_duplicates(pixels, part == "test") & (part != "private")] = "repeat"
    part[find_near_duplicates(pixels, part == "validation") & (part == "train")] = "repeat"
    return part


def csv_path(folder: Path) -> Path:
    """FER2013's file in a folder, plain or compressed; SettingsError unless there is exactly one."""
    paths = sorted(folder.glob("fer2013.csv*"))
    if len(paths) != 1:
        raise SettingsError(f"{folder}: must hold one file fer2013.csv, plain or compressed; holds {len(paths)}")
    return paths[0]


def report_broken(broken: OnBroken, problem: str) -> None:
    """Raise SettingsError about a row that cannot be used, or print the problem and return."""
    if broken == "stop":
        raise SettingsError(f"{problem} (`--broken skip` leaves it out)")
    tqdm.write(f"skipped: {problem}")


def _votes(path: Path, usage: "pd.Series[str]") -> NDArray[np.uint8]:
    """FER+ votes (n, 10); zeros if the file does not exist."""
    if not path.exists():
        return np.zeros((len(usage), len(FERPLUS_LABELS)), np.uint8)
    votes = pd.read_csv(path)
    if len(usage) != len(votes) or (usage.to_numpy() != votes.Usage.to_numpy()).any():
        raise SettingsError(f"{path}: must have the rows of fer2013.csv in the same order; number or `Usage` differs")
    return votes[FERPLUS_LABELS].to_numpy(np.uint8)


def _face(text: object, label: object, usage: object) -> NDArray[np.uint8]:
    """Pixels (48, 48) of one row; ValueError says what is wrong with it."""
    values = str(text).split()
    if len(values) != SIDE * SIDE:
        raise ValueError(f"`pixels` must have {SIDE * SIDE} values, has {len(values)}")
    pixels = np.array(values, np.int64)  # ValueError if one is not a number
    if pixels.min() < 0 or pixels.max() > 255:
        raise ValueError(f"pixels must be from 0 to 255, are from {pixels.min()} to {pixels.max()}")
    if str(label) not in map(str, range(len(FER2013_LABELS))):
        raise ValueError(f"`emotion` must be from 0 to {len(FER2013_LABELS) - 1}, is {label}")
    if usage not in PARTS:
        raise ValueError(f"`Usage` must be one of {', '.join(PARTS)}, is {usage!r}")
    return pixels.astype(np.uint8).reshape(SIDE, SIDE)
