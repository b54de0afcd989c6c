"""Geometry on arrays of boxes agrees with that of single boxes and with the textbook algorithm."""

import numpy as np
import pytest

from edge.values import Box
from edge.vision.boxes import areas, intersections, iou, non_maximum_suppression


def random_boxes(count, seed):
    """Boxes (count, 4) float32, many of which overlap."""
    rng = np.random.default_rng(seed)
    boxes = np.concatenate([rng.integers(0, 60, (count, 2)), rng.integers(1, 40, (count, 2))], 1)
    return boxes.astype(np.float32)


def greedy(boxes, max_iou):
    """Non-maximum suppression as textbooks give it: one box after another."""
    kept = []
    for index, (x, y, w, h) in enumerate(boxes):
        for x2, y2, w2, h2 in (boxes[other] for other in kept):
            shared = max(0, min(x + w, x2 + w2) - max(x, x2)) * max(0, min(y + h, y2 + h2) - max(y, y2))
            if shared > max_iou * (w * h + w2 * h2 - shared):
                break
        else:
            kept.append(index)
    return kept


def test_arrays_of_boxes_have_the_geometry_of_single_boxes():
    """Area, intersection and IoU of each pair equal those of `Box`."""
    boxes, others = random_boxes(30, 1), random_boxes(40, 2)
    singles, other_singles = ([Box(*row) for row in each.tolist()] for each in (boxes, others))
    assert areas(boxes) == pytest.approx([box.area for box in singles])
    shared, ratios = intersections(boxes[:, None], others), iou(boxes[:, None], others)
    assert ratios.dtype == np.float32
    for row, box in enumerate(singles):
        assert shared[row] == pytest.approx([box.intersection(other) for other in other_singles])
        assert ratios[row] == pytest.approx([box.iou(other) for other in other_singles])
        assert (iou(boxes[row], others) == ratios[row]).all()


def test_iou_of_no_boxes_and_of_empty_boxes():
    """No box gives no value; two empty boxes give 0 and not a division by zero."""
    assert iou(np.zeros(4, np.float32), np.zeros((0, 4), np.float32)).shape == (0,)
    assert iou(np.zeros(4, np.float32), np.zeros((2, 4), np.float32)).tolist() == [0, 0]


@pytest.mark.parametrize("max_iou", [0.0, 0.3, 0.5, 1.0])
@pytest.mark.parametrize("count", [0, 1, 2, 30, 300])
def test_non_maximum_suppression_is_the_greedy_loop(count, max_iou):
    """On crowds of random boxes, with chains of overlaps among them, the result equals the loop's."""
    for seed in range(5):
        boxes = random_boxes(count, seed)
        assert non_maximum_suppression(boxes, max_iou).tolist() == greedy(boxes.tolist(), max_iou)


def test_non_maximum_suppression_keeps_one_of_equals_and_the_end_of_a_chain():
    """Of equal boxes the first is kept. A box that only a dropped box overlaps is kept too."""
    same = np.array([[0, 0, 10, 10]] * 4, np.float32)
    assert non_maximum_suppression(same, 0.5).tolist() == [0]
    chain = np.array([[x, 0, 10, 10] for x in (0, 3, 6, 9)], np.float32)
    assert non_maximum_suppression(chain, 0.4).tolist() == [0, 2]
