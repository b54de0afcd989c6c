"""Properties of labelled images."""

import os

import numpy as np
import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
pytest.importorskip("keras", reason="Keras is not installed (make train-setup)")


def test_turned_faces_are_recognised_by_their_landmarks():
    """A nose beside the midpoint of the eyes means a turned head; unknown landmarks mean nothing."""
    from training.data.labelled_images import LabelledImage, is_turned

    points = np.array([[40, 40, 60, 40, 50, 50, 42, 60, 58, 60], [40, 40, 60, 40, 59, 50, 45, 60, 60, 60]], np.float32)
    points = np.concatenate([points, np.full((1, 10), np.nan, np.float32)])
    boxes, confidence = np.zeros((3, 4), np.float32), np.ones(3, np.float32)
    image = LabelledImage("x", "photo", "", np.zeros((9, 9), np.uint8), boxes, points, confidence)
    assert is_turned(image).tolist() == [False, True, False]
