"""Average precision, thresholds, and the difference of two detectors."""

import os

import numpy as np
import pytest

from edge.values import Face

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
pytest.importorskip("keras", reason="Keras is not installed (make train-setup)")
pytest.importorskip("tensorflow", reason="TensorFlow is not installed (make train-setup)")


def test_average_precision_by_hand():
    """Two labels, detections correct, false, correct: precision is 1 at a recall of 1/2, and 2/3 at 1."""
    from training.evaluate.precision_recall import ImageDetections, curve

    boxes = np.array([[0, 0, 10, 10], [50, 50, 10, 10]], np.float32)
    found = [Face((0, 0, 10, 10), 0.9), Face((100, 100, 10, 10), 0.8), Face((51, 50, 10, 10), 0.7)]
    made = curve([ImageDetections(found, boxes, np.array([True, True]))])
    assert made.average_precision() == pytest.approx(0.5 + 0.5 * 2 / 3)
    assert made.recall_at(0.0) == 0.5
    assert made.recall_at(1.0) == 1.0


def test_a_detection_of_a_label_that_is_not_required_is_ignored():
    """Small or doubtful labels may be detected or not."""
    from training.evaluate.precision_recall import ImageDetections, match

    image = ImageDetections([Face((0, 0, 10, 10), 0.9)], np.array([[0, 0, 10, 10]], np.float32), np.array([False]))
    assert match(image) == []


def test_the_threshold_is_the_lowest_that_few_false_faces_reach():
    """Of false detections with scores 0.71, 0.5 and 0.2 none, one or all may pass."""
    from training.evaluate.detector_metrics import lowest_threshold

    false = np.array([0.71, 0.5, 0.2], np.float32)
    assert lowest_threshold(false, 0) == 0.72
    assert lowest_threshold(false, 1) == 0.51
    assert lowest_threshold(false, 3) == 0.3


def test_the_difference_of_two_detectors_is_paired():
    """A detector with more faces is better in every draw; equal detectors differ by 0."""
    from training.evaluate.precision_recall import ImageDetections, difference

    box = np.array([[0, 0, 10, 10]], np.float32)
    one = [ImageDetections([Face((0, 0, 10, 10), 0.9)] if at % 4 else [], box, np.array([True])) for at in range(40)]
    two = [ImageDetections([Face((0, 0, 10, 10), 0.9)] if at % 2 else [], box, np.array([True])) for at in range(40)]
    gap = difference(one, two)
    assert gap.value == pytest.approx(0.25)
    assert 0 < gap.low < 0.25 < gap.high
    assert difference(one, one) == type(gap)(0.0, 0.0, 0.0)
