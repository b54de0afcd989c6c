"""The input script: who walks past when -> numbered pictures, and what each window must count."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2

from demo.clip import Walk, pictures

FPS, WINDOW_S = 5, 2
PER_WINDOW = FPS * WINDOW_S
LOOP_S = 20
LOOP = LOOP_S * FPS
WALKS = (
    Walk("astronaut", 1.0, 3.7, 190, 1.0, True),
    Walk("officer", 5.0, 3.7, 170, 0.6, False),
    Walk("astronaut", 9.0, 3.7, 150, 0.7, False),
    Walk("officer", 13.0, 3.7, 300, 0.45, True),
    Walk("astronaut", 15.0, 3.7, 120, 0.8, False),
)
"""Each is out of the picture, and its visit over, in the middle of a window: at 4.7 s, 8.7 s and so on. A visit waits
where it vanished for three times as long as it was there (`edge.counting.dwell`), longer for large faces: the officer is small
enough for it to be counted before the window ends.
"""
SMILES = "astronaut"


@dataclass(frozen=True, slots=True)
class Count:
    """Visits that end in a window: of the one who smiles, and of the one who does not."""

    happy: int = 0
    other: int = 0


def expected(window: int) -> Count:
    """What the script says of a window, the first being 0. Nobody is in view where the loop begins anew."""
    begin = window * WINDOW_S % LOOP_S
    ended = [walk.who for walk in WALKS if begin < walk.start + walk.lasts <= begin + WINDOW_S]
    return Count(ended.count(SMILES), len(ended) - ended.count(SMILES))


def draw(folder: Path) -> None:
    """One loop as pictures, ``000000.jpg`` and on."""
    folder.mkdir(parents=True)
    for index, picture in enumerate(pictures(WALKS, LOOP_S, FPS)):
        cv2.imwrite(str(folder / _name(index)), cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY))


def repeat(loop: Path, folder: Path, frames: int) -> None:
    """A folder in which the loop goes on for so many frames. Every name is a link, so that it costs no room."""
    folder.mkdir(parents=True)
    for index in range(frames):
        os.link(loop / _name(index % LOOP), folder / _name(index))


def finished(frames: int, *, ended: bool = False) -> range:
    """How many windows may be finished when a daemon has asked for so many frames and is gone; one number or two.

    Window i is over with the frame after its last. Whoever asks for the frame after that one has put the window on
    disk; whoever was killed before may have. A daemon that saw the end also delivers the window that was open.
    """
    if ended:
        whole = -(-max(0, frames - 1) // PER_WINDOW)
        return range(whole, whole + 1)
    sure, most = (max(0, (frames - late) // PER_WINDOW) for late in (3, 2))
    return range(sure, most + 1)


def _name(index: int) -> str:
    return f"{index:06d}.jpg"


def indices(names: list[str]) -> Iterator[int]:
    """Names of pictures -> their numbers."""
    return (int(name.partition(".")[0]) for name in names)
