"""The limits of the aiming page's advice hold on published images."""

import os
from pathlib import Path

import pytest

from benchmarks.accuracy.aiming_limits import recall_by_level, turned_by_view
from edge.aiming.advice import MIN_FACE_LEVEL

DATA = os.environ.get("FACETALLY_DATA")


@pytest.mark.skipif(not DATA, reason="FACETALLY_DATA does not name the folder with the published data")
def test_limits_of_light_and_turn():
    """On ten images of each kind most faces at the limit are detected, darker ones not; profiles exceed the turn."""
    recall = recall_by_level(Path(DATA), 10)
    assert recall[MIN_FACE_LEVEL][1] > 0.8 > recall[8][1]
    turned = turned_by_view(Path(DATA), 10)
    assert turned["profile"][1] > turned["frontal"][1] + 0.3
