"""432 real walks through portals (ChokePoint) one after another and side by side -> a recording.

The boxes are annotated by hand, so noise is added: a detector misses faces, shakes boxes and varies in score.
"""

import random
import tarfile
from collections import defaultdict
from pathlib import Path

from benchmarks.accuracy.tracks import Recording, TruthBox

FPS, SHAPE = 30.0, (600, 800)
BETWEEN_S = (1.0, 4.0)
"""Seconds from the start of one walk to that of the next."""
MISSED, SHAKE, SCORE, SCORE_SPREAD = 0.05, 0.03, 0.85, 0.06
"""Ratio of boxes missed, standard deviation of a box in its sizes, mean and standard deviation of scores."""


def recording(archive: Path, seed: int = 1) -> Recording:
    """The archive of box files (``image,y,x,height,width`` a line) -> all walks on one time line."""
    rng = random.Random(seed)  # noqa: S311 (a simulation)
    walks = _walks(archive)
    rng.shuffle(walks)
    frames: dict[int, list[TruthBox]] = defaultdict(list)
    begin = 0.0
    for person, walk in enumerate(walks):
        first = walk[0][0]
        for frame, y, x, height, width in walk:
            if rng.random() < MISSED:
                continue
            shift_x, shift_y = rng.gauss(0, SHAKE) * width, rng.gauss(0, SHAKE) * height
            score = min(1.0, max(0.0, rng.gauss(SCORE, SCORE_SPREAD)))
            box = TruthBox(person, (x + shift_x, y + shift_y, width, height), True, score)
            frames[round(begin * FPS) + frame - first].append(box)
        begin += rng.uniform(*BETWEEN_S)
    return Recording("walks", FPS, SHAPE, tuple(tuple(frames[index]) for index in range(max(frames) + 1)))


def _walks(archive: Path) -> list[list[tuple[int, float, float, float, float]]]:
    """Each file's frame numbers and boxes, in order; files by name."""
    walks = []
    with tarfile.open(archive) as files:
        for member in sorted(files.getmembers(), key=lambda each: each.name):
            opened = files.extractfile(member) if member.name.endswith(".txt") else None
            if opened is None:
                continue
            rows = [line.split(",") for line in opened.read().decode().split()]
            walks.append(sorted((int(Path(row[0]).stem), *map(float, row[1:])) for row in rows))
    return walks
