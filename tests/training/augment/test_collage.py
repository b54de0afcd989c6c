"""Synthetic images: boxes lie where the faces are, whether tiled, hidden or masked."""

import os

import numpy as np
import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
pytest.importorskip("keras", reason="Keras is not installed (make train-setup)")
pytest.importorskip("tensorflow", reason="TensorFlow is not installed (make train-setup)")


def test_boxes_of_a_tile_lie_where_its_pixels_do():
    """Rotated, mirrored, shrunk or enlarged: the centre of a blob is the centre of its box to a tenth of a pixel."""
    from training.augment.tiles import Collage, paste_tile
    from training.data.labelled_images import LabelledImage

    y, x = np.mgrid[:200, :200] + 0.5
    blob = (255 * np.exp(-((x - 90) ** 2 + (y - 110) ** 2) / 2 / 12**2)).astype(np.uint8)
    box = np.array([[90 - 36, 110 - 36, 72, 72]], np.float32)
    image = LabelledImage("a", "photo", "", blob, box, np.full((1, 10), np.nan, np.float32), np.ones(1, np.float32))
    offsets = []
    for seed in range(400):
        empty = Collage.without_faces(np.zeros((320, 320), np.uint8))
        collage = paste_tile(np.random.default_rng(seed), empty, image, image.boxes)
        left, top, width, height = collage.boxes[0]
        if min(left, top, 320 - left - width, 320 - top - height) < 1 or width < 16:
            continue
        weight = collage.pixels.astype(float) ** 2
        rows, columns = np.mgrid[:320, :320] + 0.5
        offset = np.array([(columns * weight).sum(), (rows * weight).sum()]) / weight.sum()
        offset -= [left + width / 2, top + height / 2]
        if np.abs(offset).max() < 3:  # otherwise a bar hides part of the blob
            offsets.append(offset)
    assert len(offsets) > 100
    assert np.abs(np.median(offsets, axis=0)).max() < 0.1


def test_large_faces_fill_the_image_in_the_requested_fraction_of_tiles():
    """With a fraction of 1, the size of each face lies in the range, up to the tile's stretch."""
    from training.augment.tiles import LARGE_FACE_RATIOS, Collage, paste_tile
    from training.data.labelled_images import LabelledImage

    box = np.array([[80, 80, 100, 100]], np.float32)
    pixels, unknown = np.full((260, 260), 128, np.uint8), np.full((1, 10), np.nan, np.float32)
    image = LabelledImage("a", "photo", "", pixels, box, unknown, np.ones(1, np.float32))
    empty = Collage.without_faces(np.zeros((200, 240), np.uint8))
    sides = [paste_tile(np.random.default_rng(seed), empty, image, box, 1.0).boxes[0, 2:].max() for seed in range(40)]
    low, high = (ratio * 200 for ratio in LARGE_FACE_RATIOS)
    assert low * 0.75 < min(sides) < low * 1.6
    assert high * 0.6 < max(sides) < high * 1.35


def test_the_box_of_a_half_hidden_face_is_its_visible_part():
    """A head in front hides the lower half, or the left third. A hidden corner changes nothing, nor does the border of
    the image, which the box may cross.
    """
    from training.augment.crowd import _label_visible

    box, points = np.array([10, 20, 30, 40], np.float32), np.zeros(10, np.float32)
    for hidden, visible in (
        (np.s_[40:, :], [10, 20, 30, 20]),
        (np.s_[:, :20], [20, 20, 20, 40]),
        (np.s_[55:, 30:], [10, 20, 30, 40]),
        (np.s_[:5, :], [10, 20, 30, 40]),
    ):
        owner = np.full((100, 100), -1, np.int16)
        owner[20:60, 10:40] = 3
        owner[hidden] = 4
        crowd = _label_visible(np.zeros((100, 100), np.uint8), owner, [(3, box, points)])
        assert crowd.boxes.tolist() == [visible]
    over = np.array([-15, 20, 30, 40], np.float32)
    owner = np.full((100, 100), 3, np.int16)
    crowd = _label_visible(np.zeros((100, 100), np.uint8), owner, [(3, over, points)])
    assert crowd.boxes.tolist() == [over.tolist()]


def test_a_mask_hides_the_mouth_and_leaves_the_eyes():
    """The mask lies between nose and chin, and nowhere outside the box and its surroundings."""
    from training.augment.occlusion import draw_mask

    image, box = np.full((200, 200), 120, np.uint8), np.array([60, 50, 80, 100], np.float32)
    points = np.array([[84, 90], [116, 90], [100, 108], [87, 125], [113, 125]], np.float32)
    before = image.copy()
    draw_mask(np.random.default_rng(1), image, box, points)
    changed = image != before
    assert changed[125, 100]
    assert not changed[84, 84]
    rows, columns = np.nonzero(changed)
    assert rows.min() > 84
    assert rows.max() <= 165
    assert columns.min() >= 50
    assert columns.max() <= 150
