"""A box knows its geometry; a detection converts plain tuples to boxes."""

import random

import numpy as np
import pytest

from edge.values import Box, Detection


def test_box_is_a_tuple_of_left_top_width_and_height():
    """It unpacks and compares like a plain tuple, and cannot be changed."""
    box = Box(10, 20, 30, 40)
    left, top, width, height = box
    assert (left, top, width, height) == box == (10, 20, 30, 40)
    assert (box.right, box.bottom, box.centre, box.size, box.area) == (40, 60, (25, 40), 40, 1200)
    with pytest.raises(AttributeError):
        box.left = 0
    with pytest.raises(AttributeError):
        box.colour = "red"


def test_corners_make_a_box():
    """Right minus left is the width, bottom minus top the height."""
    assert Box.from_corners(10, 20, 40, 60) == Box(10, 20, 30, 40)


def test_scaled_box_covers_the_same_part_of_a_scaled_image():
    """Position and size are multiplied by the factor."""
    assert Box(10, 20, 30, 40).scale(0.5) == Box(5, 10, 15, 20)


@pytest.mark.parametrize(
    ("one", "other", "iou"),
    [
        ((0, 0, 10, 10), (0, 0, 10, 10), 1.0),
        ((0, 0, 10, 10), (5, 0, 10, 10), 1 / 3),
        ((0, 0, 10, 10), (2, 2, 5, 5), 0.25),
        ((0, 0, 10, 10), (10, 0, 10, 10), 0.0),
        ((0, 0, 10, 10), (50, 50, 10, 10), 0.0),
        ((0, 0, 0, 0), (0, 0, 0, 0), 0.0),
        ((0, 0, -5, 10), (0, 0, 10, 10), 0.0),
    ],
)
def test_iou_is_the_shared_area_over_the_area_of_the_union(one, other, iou):
    """It is symmetric, 1 for equal boxes, and 0 for boxes that touch, are apart or are empty."""
    assert Box(*one).iou(Box(*other)) == pytest.approx(iou)
    assert Box(*other).iou(Box(*one)) == pytest.approx(iou)


@pytest.mark.parametrize(
    ("box", "corners"),
    [
        ((10, 20, 30, 40), (10, 20, 40, 60)),
        ((-5, -6, 30, 40), (0, 0, 25, 34)),
        ((600, 470, 100, 100), (600, 470, 640, 480)),
        ((-10, -10, 1000, 1000), (0, 0, 640, 480)),
        ((10.4, 10.6, 5, 5), (10, 11, 15, 16)),
        ((-50, 10, 20, 20), (0, 10, 0, 30)),
        ((700, 500, 20, 20), (640, 480, 640, 480)),
        ((10, 10, 0, 0), (10, 10, 10, 10)),
        ((10, 10, -5, -5), (10, 10, 10, 10)),
    ],
)
def test_clipped_box_lies_in_the_image(box, corners):
    """Pixel bounds are the corners of the clipped box in whole pixels; outside the image the area is 0."""
    box = Box(*box)
    assert box.pixel_bounds(640, 480) == corners
    clipped = box.clip(640, 480)
    assert (clipped.left, clipped.top, clipped.right, clipped.bottom) == pytest.approx(corners, abs=0.5)
    assert clipped.area == pytest.approx(box.intersection(Box(0, 0, 640, 480)))


def test_random_boxes_slice_without_wrapping():
    """Pixel bounds never exceed the border or become negative offsets, which would count from the other end."""
    rng, pixels = random.Random(2), np.zeros((48, 64), np.uint8)
    for _ in range(500):
        box = Box(rng.uniform(-99, 99), rng.uniform(-99, 99), rng.uniform(-9, 99), rng.uniform(-9, 99))
        left, top, right, bottom = box.pixel_bounds(64, 48)
        assert 0 <= left <= right <= 64
        assert 0 <= top <= bottom <= 48
        assert pixels[top:bottom, left:right].shape == (bottom - top, right - left)


def test_detection_accepts_a_plain_tuple_as_box():
    """The box is a `Box` in any case, so that its geometry is available; equal boxes make equal detections."""
    detection = Detection((10, 20, 30, 40), 0.9)
    assert isinstance(detection.box, Box)
    assert detection == Detection(Box(10, 20, 30, 40), 0.9)
    assert (detection.centre, detection.size) == ((25, 40), 40)
