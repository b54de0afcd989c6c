"""Visits counted on clips are those counted by hand. The clips are not in the repository."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks.accuracy.clips import CONFIG, count, measure
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


@needs_clips
def test_counts_are_the_truth():
    """Every visit of a face turned to the camera is counted once; a back of a head or a background is not."""
    rows = {row.clip: row for row in measure(Path(DATA) / "clips", times=1)}
    assert set(rows) >= CLIPS
    assert {name: rows[name].runs[0].total() for name in CLIPS} == {name: rows[name].truth for name in CLIPS}


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
