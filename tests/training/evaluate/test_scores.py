"""Faces found and faces labelled: average precision, thresholds, the difference of two detectors."""

import os

import numpy as np
import pytest

from edge.values import Face

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
pytest.importorskip("keras", reason="Keras is not installed (make train-setup)")
pytest.importorskip("tensorflow", reason="TensorFlow is not installed (make train-setup)")


def test_average_precision_by_hand():
    """Two labels; found: right, wrong, right. Precision at recall 1/2 is 1, at recall 1 it is 2/3."""
    from training.evaluate.precision_recall import ImageDetections, curve

    boxes = np.array([[0, 0, 10, 10], [50, 50, 10, 10]], np.float32)
    found = [Face((0, 0, 10, 10), 0.9), Face((100, 100, 10, 10), 0.8), Face((51, 50, 10, 10), 0.7)]
    made = curve([ImageDetections(found, boxes, np.array([True, True]))])
    assert made.average_precision() == pytest.approx(0.5 + 0.5 * 2 / 3)
    assert made.recall_at(0.0) == 0.5
    assert made.recall_at(1.0) == 1.0


def test_aface_on_a_label_that_does_not_count_is_neither_right_nor_wrong():
    """Small or unsure labels may be found or not."""
    from training.evaluate.precision_recall import ImageDetections, match

    picture = ImageDetections([Face((0, 0, 10, 10), 0.9)], np.array([[0, 0, 10, 10]], np.float32), np.array([False]))
    assert match(picture) == []


def test_the_threshold_is_the_lowest_that_few_false_faces_reach():
    """Scores of false faces 0.71, 0.5 and 0.2: none may pass, or one."""
    from training.evaluate.detector_metrics import lowest_threshold

    false = np.array([0.71, 0.5, 0.2], np.float32)
    assert lowest_threshold(false, 0) == 0.72
    assert lowest_threshold(false, 1) == 0.51
    assert lowest_threshold(false, 3) == 0.3


def test_the_difference_of_two_detectors_is_paired():
    """One that finds what the other misses is above it in every draw; equal ones differ by nothing."""
    from training.evaluate.precision_recall import ImageDetections, difference

    box = np.array([[0, 0, 10, 10]], np.float32)
    one = [ImageDetections([Face((0, 0, 10, 10), 0.9)] if at % 4 else [], box, np.array([True])) for at in range(40)]
    two = [ImageDetections([Face((0, 0, 10, 10), 0.9)] if at % 2 else [], box, np.array([True])) for at in range(40)]
    gap = difference(one, two)
    assert gap.value == pytest.approx(0.25)
    assert 0 < gap.low < 0.25 < gap.high
    assert difference(one, one) == type(gap)(0.0, 0.0, 0.0)
