"""The cache of detections with which clips are counted."""

import cv2
import numpy as np
import pytest

from benchmarks.accuracy import detections
from benchmarks.accuracy.counting import ClipCount, clip_table
from benchmarks.accuracy.detections import Clip, DetectorSource, of_card, of_clip
from edge.values import Detection

BOX = (10.0, 10.0, 20.0, 20.0)


@pytest.fixture
def folder(tmp_path):
    """A folder of three images, read as a clip."""
    images = tmp_path / "images"
    images.mkdir()
    for index in range(3):
        cv2.imwrite(str(images / f"{index}.png"), np.full((48, 64), index, np.uint8))
    return images


def test_a_cached_clip_keeps_the_face_scores(folder, tmp_path):
    """Detections read from the cache equal those that were made, checked or not, and are made only once."""
    made = []

    def detect(pixels):
        made.append(pixels)
        landmarks = ((12.0, 12.0), (18.0, 12.0))
        return (Detection(BOX, 0.8, landmarks, checked=0.3), Detection(BOX, 0.25))

    source = DetectorSource("name", "title", detect, 0.5)
    first, again = (of_clip(folder, source, tmp_path / "cache") for _ in range(2))
    assert first == again
    assert len(made) == 3
    assert first.shape == (48, 64)
    assert [face.checked for face in first.frames[0][1]] == [0.3, None]
    assert [face.face_score for face in first.without_check().frames[0][1]] == [0.8, 0.25]
    assert first.without_check().frames[0][1][0].landmarks == ((12.0, 12.0), (18.0, 12.0))


def test_the_cache_of_a_clip_depends_on_the_face_check(tmp_path, monkeypatch):
    """Another card of the check, even with the same network, gives another name."""
    name = of_card("face-320x240").name
    other = tmp_path / "face-check.json"
    content = detections.bundle.DEFAULT_CHECK.read_bytes()
    other.write_bytes(content + b"\n")
    other.with_suffix(".tflite").write_bytes(detections.bundle.DEFAULT_CHECK.with_suffix(".tflite").read_bytes())
    assert of_card("face-320x240").name == name
    monkeypatch.setattr(detections.bundle, "DEFAULT_CHECK", other)
    assert of_card("face-320x240").name != name


def test_detections_below_the_low_score_of_the_tracker_are_not_checked(monkeypatch):
    """The tracker ignores them, so checking them would be wasted work."""
    source = of_card("face-320x240")
    low = 0.5 * source.high_score
    found = (Detection(BOX, 0.7), Detection(BOX, low + 0.01), Detection(BOX, low - 0.01))
    monkeypatch.setattr(detections.Detector, "detect", lambda *_: found)
    faces = source.detect(np.full((48, 64), 90, np.uint8))
    assert [face.score for face in faces] == [face.score for face in found]
    assert [face.checked is None for face in faces] == [False, False, True]


def test_half_the_frames_are_the_even_or_the_odd_ones():
    """Together they are all frames."""
    clip = Clip("x", (48, 64), tuple((float(index), ()) for index in range(5)))
    assert [time for time, _ in clip.every(2).frames] == [0, 2, 4]
    assert [time for time, _ in clip.every(2, 1).frames] == [1, 3]
    assert clip.every(1) == clip


def test_the_table_shows_visits_at_half_the_rate_and_sums_the_distances():
    """Distances from the range of people are summed for each choice of frames."""
    columns = {"a": [ClipCount("x.mp4", 3, 5, (4, 2, 7)), ClipCount("y.mp4", 1, 1, (0, 1, 3))]}
    assert clip_table(columns)[2:] == [
        "| x.mp4 | 3 to 5 | 4 (2, 7) |",
        "| y.mp4 | 1 | 0 (1, 3) |",
        "| summed distance | | 1 (1, 4) |",
    ]
