"""What the observations of a track prove about its motion, where the detector sees it at several scales."""

import math
import random

import pytest

from edge.counting.evidence import MAX_OBSERVATIONS, Evidence
from edge.values import Detection

SIZE = 40.0
SCALES = (1.0, 1.0, 0.325)
"""As in two regions of native resolution and a whole frame of 1280 x 720 pixels."""


def observe(evidence, count, offset, scales=SCALES):
    """Add observations, 10 a second; ``offset(seconds)`` moves the face, in face sizes. Each scale has its own bias."""
    rng = random.Random(0)
    for index in range(count):
        scale = scales[index % len(scales)]
        left = SIZE * (10 + offset(index / 10) + 0.05 * scale) + rng.gauss(0, 0.3)
        evidence.add(Detection((left, 100, SIZE, SIZE), 0.9, scale=scale), high=0.5)


@pytest.mark.parametrize("scales", [(1.0,), SCALES, (1.0, 0.325), (1.0, 0.8, 0.6, 0.5, 0.4, 0.3)])
def test_poster_is_still_at_all_scales(scales):
    """Boxes of a still face differ between scales, which is no motion. With too many scales, nothing is sure."""
    evidence = Evidence()
    observe(evidence, 200, lambda _: 0.0, scales)
    assert evidence.is_still(20.0) == (len(scales) < 6)
    assert not evidence.is_moving()


@pytest.mark.parametrize("scales", [(1.0,), SCALES, (1.0, 0.325)])
def test_person_who_sways_moves_at_all_scales(scales):
    """A sway of a tenth of a face over seconds is motion, also if no two consecutive observations are of one scale."""
    evidence = Evidence()
    observe(evidence, 200, lambda time: 0.1 * math.sin(0.3 * math.pi * time), scales)
    assert evidence.is_moving()
    assert not evidence.is_still(20.0)


@pytest.mark.parametrize("scales", [(1.0,), SCALES])
def test_poster_stays_still_after_the_sums_were_halved(scales):
    """Many observations at several scales leave it still, and one that is carried away afterwards is seen to move."""
    evidence = Evidence()
    observe(evidence, MAX_OBSERVATIONS + 4000, lambda _: 0.0, scales)
    assert evidence.is_still(2000.0)
    observe(evidence, 100, lambda time: time, scales)
    assert evidence.is_moving()
