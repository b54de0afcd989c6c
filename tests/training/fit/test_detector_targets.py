"""Targets and loss of the face detector."""

import os

import numpy as np
import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
pytest.importorskip("keras", reason="Keras is not installed (make train-setup)")
pytest.importorskip("tensorflow", reason="TensorFlow is not installed (make train-setup)")


def test_targets_decode_to_the_boxes_they_came_from():
    """The device decodes the boxes and landmarks that the trainer encoded; the loss ignores the grid cells of a box of
    which nothing is known.
    """
    from edge.vision.detect import decode, grid_cells
    from training.augment.tiles import Collage
    from training.fit.detector_targets import STRIDES, targets

    boxes = np.array([[40, 30, 24, 30], [150, 100, 120, 150], [10, 200, 40, 40]], np.float32)
    relative = np.array([(0.3, 0.4), (0.7, 0.4), (0.5, 0.6), (0.35, 0.8), (0.65, 0.8)], np.float32)
    points = np.stack([box[:2] + box[2:] * relative for box in boxes])
    collage = Collage(np.zeros((320, 320), np.uint8), boxes, points.reshape(3, 10), np.array([1, 1, 0], np.float32))
    grid = grid_cells((320, 320), STRIDES)
    rows = targets(collage, grid)
    peaks = rows[:, 0] > 0.999
    decoded, landmarks = decode(rows[peaks, 1:5], rows[peaks, 5:15], grid[peaks])
    for box, marks in zip(decoded, landmarks, strict=True):
        nearest = int(np.abs(boxes[:2] - box).sum(1).argmin())
        np.testing.assert_allclose(box, boxes[nearest], rtol=1e-4)
        np.testing.assert_allclose(marks, points[nearest], rtol=1e-4)
    ignored = (grid[:, 0] > 10) & (grid[:, 0] < 50) & (grid[:, 1] > 200) & (grid[:, 1] < 240)
    assert not rows[ignored, 15].any()


def test_the_target_score_of_an_uncertain_face_is_its_confidence():
    """Its surroundings weigh as much as those of certain faces. It has no target where it lies on a certain face,
    however small it is, and is ignored where it crosses the border of the image.
    """
    from edge.vision.detect import grid_cells
    from training.augment.collage import _finish
    from training.augment.tiles import Collage
    from training.fit.detector_targets import STRIDES, targets

    boxes = np.array([[40, 40, 30, 30], [200, 200, 40, 40], [208, 208, 24, 24], [-18, 100, 30, 30]], np.float32)
    confidence = np.array([0.25, 1, 0.25, 0.25], np.float32)
    collage = Collage(np.zeros((320, 320), np.uint8), boxes, np.full((4, 10), np.nan, np.float32), confidence)
    collage = _finish(np.random.default_rng(1), collage)
    assert collage.confidence.tolist() == [0.25, 1, 0.25, 0]
    grid = grid_cells((320, 320), STRIDES)
    rows = targets(collage, grid)
    for (x, y, w, h), peak in zip(boxes, (0.25, 1, 1, 0), strict=True):
        inside = (grid[:, 0] > x) & (grid[:, 0] < x + w) & (grid[:, 1] > y) & (grid[:, 1] < y + h)
        assert rows[inside, 0].max() == peak
        assert rows[inside, 15].all() == (peak > 0)


def test_a_crowd_does_not_outweigh_other_images():
    """One of sixteen faces that is predicted badly costs a sixteenth of the only face of an image; all sixteen cost as
    much as that one. Ignored grid cells cost nothing.
    """
    from training.fit.detector_targets import COLUMNS, loss

    faces = np.arange(16)
    wanted = np.zeros((2, 40, COLUMNS), np.float32)
    wanted[..., 15] = 1
    wanted[0, faces, 0] = wanted[1, 0, 0] = 1
    right = np.where(wanted[..., :1] > 0, np.float32(20), np.float32(-20)) * np.eye(1, 15, dtype=np.float32)

    def cost(image: int, grid_cells: np.ndarray) -> float:
        predicted = right.copy()
        predicted[image, grid_cells, 0] = -3
        return float(loss(wanted, predicted)) - float(loss(wanted, right))

    assert cost(0, faces[:1]) == pytest.approx(cost(1, faces[:1]) / 16, rel=1e-3)
    assert cost(0, faces) == pytest.approx(cost(1, faces[:1]), rel=1e-3)
    predicted = right.copy()
    predicted[0, 30, 0] = 9
    assert float(loss(wanted, predicted)) > float(loss(wanted, right)) + 1
    wanted[0, 30, 15] = 0
    assert float(loss(wanted, predicted)) == pytest.approx(float(loss(wanted, right)))
