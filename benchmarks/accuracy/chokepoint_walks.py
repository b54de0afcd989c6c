"""Combine 432 real walks through portals (ChokePoint) into one recording, one after another and side by side.

The boxes are annotated by hand, so detector noise is added: missed faces, jittered boxes and varying scores.
"""

import random
import tarfile
from collections import defaultdict
from pathlib import Path

from benchmarks.accuracy.tracks import Recording, TruthBox

FPS, SHAPE = 30.0, (600, 800)
START_INTERVAL_S = (1.0, 4.0)
"""Least and greatest time from the start of one walk to that of the next."""
MISSED, JITTER, SCORE, SCORE_SPREAD = 0.05, 0.03, 0.85, 0.06
"""Fraction of boxes missed, standard deviation of positions in box sizes, mean and standard deviation of scores."""


def recording(archive: Path, seed: int = 1) -> Recording:
    """Read an archive of box files (lines ``image,y,x,height,width``), and return all walks on one timeline."""
    rng = random.Random(seed)  # noqa: S311 - not for secrets
    walks = _walks(archive)
    rng.shuffle(walks)
    frames: dict[int, list[TruthBox]] = defaultdict(list)
    begin = 0.0
    for person, walk in enumerate(walks):
        first = walk[0][0]
        for frame, y, x, height, width in walk:
            if rng.random() < MISSED:
                continue
            shift_x, shift_y = rng.gauss(0, JITTER) * width, rng.gauss(0, JITTER) * height
            score = min(1.0, max(0.0, rng.gauss(SCORE, SCORE_SPREAD)))
            box = TruthBox(person, (x + shift_x, y + shift_y, width, height), True, score)
            frames[round(begin * FPS) + frame - first].append(box)
        begin += rng.uniform(*START_INTERVAL_S)
    return Recording("walks", FPS, SHAPE, tuple(tuple(frames[index]) for index in range(max(frames) + 1)))


def _walks(archive: Path) -> list[list[tuple[int, float, float, float, float]]]:
    """Return frame number, y, x, height and width of each box by file, in order of file names and frames."""
    walks = []
    with tarfile.open(archive) as files:
        for member in sorted(files.getmembers(), key=lambda each: each.name):
            opened = files.extractfile(member) if member.name.endswith(".txt") else None
            if opened is None:
                continue
            rows = [line.split(",") for line in opened.read().decode().split()]
            walks.append(sorted((int(Path(row[0]).stem), *map(float, row[1:])) for row in rows))
    return walks
