"""People who walk far from the camera are counted."""

import os
from pathlib import Path

import pytest

from benchmarks.accuracy.far_people import compare, heads
from edge.build import detector_bundle
from edge.vision.bundle import STILL_IMAGE_DETECTOR
from edge.vision.detect import Detector

DATA = os.environ.get("FACETALLY_DATA")
pytestmark = pytest.mark.skipif(not DATA, reason="FACETALLY_DATA does not name the folder with fairness/")


def test_regions_count_people_whom_the_whole_frame_does_not_show():
    """Of four people with faces of 24 pixels in 1280 x 720, regions count each once, and whole frames at most one."""
    portraits = heads(Path(DATA) / "fairness", Detector(detector_bundle(STILL_IMAGE_DETECTOR.stem)))
    whole, part = compare(detector_bundle("face-416x320"), Path(DATA), portraits, 4, 24.0)
    assert whole.visits <= 1
    assert part.visits == 4
