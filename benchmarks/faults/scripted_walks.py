"""A loop of scripted walks as numbered images, and the counts that each window must have."""

import os
from dataclasses import dataclass
from pathlib import Path

import cv2

from demo.clip import Walk, render

FPS, WINDOW_S = 5, 2
FRAMES_PER_WINDOW = FPS * WINDOW_S
LOOP_S = 20
LOOP_FRAMES = LOOP_S * FPS
WALKS = (
    Walk("astronaut", start=1.0, duration=3.7, y=190, scale=1.0, rightward=True),
    Walk("officer", start=5.0, duration=3.7, y=170, scale=0.6, rightward=False),
    Walk("astronaut", start=9.0, duration=3.7, y=150, scale=0.7, rightward=False),
    Walk("officer", start=13.0, duration=3.7, y=300, scale=0.45, rightward=True),
    Walk("astronaut", start=15.0, duration=3.7, y=120, scale=0.8, rightward=False),
)
"""Each walk leaves the image, and its visit ends, in the middle of a window: at 4.7 s, 8.7 s and so on.

The tracker waits for a lost face three times as long as it was in view (`edge.counting.dwell`), and longer for large
faces. The officer is small enough for the visit to be counted before the window ends.
"""
SMILING = "astronaut"


@dataclass(frozen=True, slots=True)
class VisitCounts:
    """Visits that end in a window: of the smiling person (``happy``) and of the other (``other``)."""

    happy: int = 0
    other: int = 0


def expected_counts(window: int) -> VisitCounts:
    """Return the visits of a window, counted from 0. Nobody is in view where the loop starts again."""
    begin = window * WINDOW_S % LOOP_S
    ended = [walk.person for walk in WALKS if begin < walk.start + walk.duration <= begin + WINDOW_S]
    return VisitCounts(ended.count(SMILING), len(ended) - ended.count(SMILING))


def write_loop(folder: Path) -> None:
    """Render one loop as grey images ``000000.jpg``, ``000001.jpg`` and so on."""
    folder.mkdir(parents=True)
    for index, image in enumerate(render(WALKS, LOOP_S, FPS)):
        cv2.imwrite(str(folder / _name(index)), cv2.cvtColor(image, cv2.COLOR_BGR2GRAY))


def link_loop(loop: Path, folder: Path, frames: int) -> None:
    """Create a folder of ``frames`` images that repeat the loop. They are hard links, so they take no space."""
    folder.mkdir(parents=True)
    for index in range(frames):
        os.link(loop / _name(index % LOOP_FRAMES), folder / _name(index))


def finished_windows(frames: int, *, ended: bool = False) -> range:
    """Return the possible numbers of finished windows (one or two) of a daemon that has opened ``frames`` images.

    A window is finished by the frame after its last. A daemon that opens the frame after that one has written the
    window to disk. A daemon that was killed before may or may not have. A daemon that reached the end (``ended``) also
    delivers the window that was open.
    """
    if ended:
        complete = -(-max(0, frames - 1) // FRAMES_PER_WINDOW)
        return range(complete, complete + 1)
    least, most = (max(0, (frames - late) // FRAMES_PER_WINDOW) for late in (3, 2))
    return range(least, most + 1)


def _name(index: int) -> str:
    return f"{index:06d}.jpg"


def index_of(name: str) -> int:
    """Return the frame index of an image's file name."""
    return int(name.partition(".")[0])
