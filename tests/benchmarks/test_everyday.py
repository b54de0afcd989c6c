"""The comparison of detectors on everyday images."""

import os

import numpy as np
import pytest

from edge.values import Detection

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
pytest.importorskip("keras", reason="Keras is not installed (make train-setup)")


def test_a_report_has_recall_and_false_detections():
    """The detector finds one of two faces, and something in one of four images without people."""
    from benchmarks.accuracy.everyday import ValidationImages, report
    from benchmarks.speed.detector import Peer
    from training.data.labelled_images import LabelledImage, no_labels

    box = np.array([[10, 10, 40, 40]], np.float32)
    points, confidence = np.full((1, 10), np.nan, np.float32), np.ones(1, np.float32)

    def image(kind, shade, labels):
        return LabelledImage(str(shade), kind, "", np.full((64, 64), shade, np.uint8), *labels, True)

    def detect(pixels):
        score = {200: 0.9, 90: 0.6}.get(int(pixels[0, 0]))
        return (Detection((12, 12, 36, 36), score),) if score else ()

    crowds = [image("crowd", shade, (box, points, confidence)) for shade in (200, 10)]
    background = [image("background", shade, no_labels()) for shade in (90, 20, 30, 40)]
    images = ValidationImages(crowds, crowds, background, background, [("group", np.full((448, 448), 200, np.uint8))])
    figures = report(Peer("ours", detect, detect, 1.0, 0.5, None), images, 0.5)
    assert figures["crowds recall"] == 0.5
    assert figures["background false an image"] == 0.25
    assert figures["threshold at 0.01 false"] == pytest.approx(0.6, abs=1e-6)
    assert figures["  crowds recall there"] == 0.5
    assert figures["5th percentile of faces"] == 0.0, "a missed face has the score 0"
    assert figures["people recall at 64 px"] == 1.0
