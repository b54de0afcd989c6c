"""Visits counted on clips are those counted by hand. The clips are not in the repository."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks.accuracy.clips import CONFIG, count, measure
from benchmarks.accuracy.counting import count_clips_on_device
from contract.card import DetectorCard
from edge.commands.try_images import read_images
from edge.settings import TrackSettings
from edge.vision import bundle
from edge.vision.detect import Detector

DATA = os.environ.get("FACETALLY_DATA")
needs_clips = pytest.mark.skipif(not DATA, reason="FACETALLY_DATA does not name the folder with clips/")
CLIPS = {
    "face-demographics-walking-and-pause.gif",
    "face-demographics-walking.gif",
    "head-pose-face-detection-female-and-male.gif",
    "head-pose-face-detection-female.gif",
    "one-by-one-person-detection.mp4",
    "people-detection.gif",
    "store-aisle-detection.gif",
}


MAX_ERRORS = 0
"""Visits too many or too few in `CLIPS`, added up, that the shipped bundles may have."""
MAX_HARD_ERRORS = 8
"""The same for the clips of counting/clips.csv, which the motion gate and crowds make hard."""


@needs_clips
def test_counts_are_the_truth():
    """Every visit of a face turned to the camera is counted once; a back of a head or a background is not."""
    rows = {row.clip: row for row in measure(Path(DATA) / "clips", times=1)}
    assert set(rows) >= CLIPS
    errors = {name: rows[name].runs[0].total() - rows[name].truth for name in CLIPS}
    assert sum(map(abs, errors.values())) <= MAX_ERRORS, errors


@needs_clips
def test_counts_of_hard_clips_are_close_to_the_truth():
    """The device's way of counting is close to the people counted by hand, also in crowds and in cut videos."""
    counts = [row for row in count_clips_on_device(Path(DATA), "face-416x320", [(1, 0)]) if row.clip not in CLIPS]
    assert len(counts) >= 4
    distances = {row.clip: row.distances[0] for row in counts}
    assert sum(distances.values()) <= MAX_HARD_ERRORS, distances


@needs_clips
def test_replay_counts_the_same_each_time(tmp_path):
    """Three runs over one clip count the same visits with the same expressions."""
    (tmp_path / "edge.toml").write_text(CONFIG)
    clip = Path(DATA) / "clips" / "face-demographics-walking-and-pause.gif"
    first, second, third = (count(clip, tmp_path / "edge.toml") for _ in range(3))
    assert first == second == third
    assert first.total() == 3


def face_centres(clip):
    """Centre of each person's face in every frame, (frames, 2), pixels: interpolated between the frames that were
    annotated by hand in golden/clip_truth_faces.csv.
    """
    rows = pd.read_csv(Path(__file__).parents[2] / "golden" / "clip_truth_faces.csv")
    return {
        person: np.column_stack(
            [np.interp(range(int(marks.frame.max()) + 1), marks.frame, marks[name]) for name in "xy"]
        )
        for person, marks in rows[rows["clip"] == clip].groupby("person")
    }


@needs_clips
@pytest.mark.parametrize("card", ["face-640x480.json", "face-320x240.json", "face-416x320.json"])
def test_walkers_are_found_in_most_frames(card):
    """Both people of the walking clip, with faces from 18 pixels, are detected in at least four of five frames at the
    tracker's low score.
    """
    loaded = bundle.load(bundle.SHIPPED / card, DetectorCard)
    detector = Detector(loaded, TrackSettings().for_detector(loaded.card.threshold).low)
    clip = "face-demographics-walking.gif"
    frames = [detector.detect(pixels) for _, pixels in read_images(str(Path(DATA) / "clips" / clip))]
    for person, centres in face_centres(clip).items():
        seen = [
            any(np.hypot(*(np.array(face.centre) - centre)) < 0.6 * face.size for face in faces)
            for faces, centre in zip(frames, centres, strict=True)
        ]
        assert np.mean(seen) >= 0.8, person
