"""The detector's threshold is chosen on negatives."""

import os

import numpy as np
import pytest

from edge.values import Detection

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
pytest.importorskip("keras", reason="Keras is not installed (make train-setup)")


def test_a_threshold_limits_false_detections_on_both_kinds_of_negatives():
    """The kind of negatives with the higher scores decides: shop interiors or everyday scenes without people."""
    from training.data.labelled_images import LabelledImage, is_for_threshold, no_labels
    from training.evaluate import detector_metrics

    names = [name for name in map(str, range(400)) if is_for_threshold(name)][:100]
    negatives = [
        LabelledImage(name, kind, "", np.full((8, 8), shade, np.uint8), *no_labels(), True)
        for kind, shade in (("negative", 0), ("background", 255))
        for name in names
    ]

    def detect(pixels):
        return [Detection((0, 0, 4, 4), 0.8 if pixels[0, 0] else 0.5)]

    assert detector_metrics.choose_threshold(detect, negatives) == pytest.approx(0.81)
