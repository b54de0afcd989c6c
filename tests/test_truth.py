"""Visits counted on clips, against what people counted by hand. The clips are not in the repository."""

import os
from pathlib import Path

import pytest

from benchmarks.clips import CONFIG, count, measure

DATA = os.environ.get("FACETALLY_DATA")
needs_clips = pytest.mark.skipif(not DATA, reason="FACETALLY_DATA does not name the folder with clips/")
FACES = {
    "face-demographics-walking-and-pause.gif",
    "face-demographics-walking.gif",
    "head-pose-face-detection-female-and-male.gif",
    "head-pose-face-detection-female.gif",
    "people-detection.gif",
    "store-aisle-detection.gif",
}
"""Clips that are counted right; on one-by-one-person-detection.mp4, six backs of heads, the detector still errs, see
docs/accuracy.md."""


@needs_clips
def test_counts_are_the_truth():
    """Wherever faces are turned to the camera, every visit is counted once and nobody else is."""
    rows = {row.clip: row for row in measure(Path(DATA) / "clips", times=1)}
    assert set(rows) >= FACES
    assert {name: rows[name].runs[0].total() for name in FACES} == {name: rows[name].truth for name in FACES}


@needs_clips
def test_replay_counts_the_same_each_time(tmp_path):
    """Three runs over one clip count the same visits under the same expressions."""
    (tmp_path / "edge.toml").write_text(CONFIG)
    clip = Path(DATA) / "clips" / "face-demographics-walking-and-pause.gif"
    first, second, third = (count(clip, tmp_path / "edge.toml") for _ in range(3))
    assert first == second == third
    assert first.total() == 3
