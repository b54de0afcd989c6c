"""Pictures that the face detector learns from: boxes lie where faces do, drawn, hidden, masked or turned."""

import os

import numpy as np
import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
pytest.importorskip("keras", reason="Keras is not installed (make train-setup)")
pytest.importorskip("tensorflow", reason="TensorFlow is not installed (make train-setup)")


def test_targets_decode_to_the_boxes_they_came_from():
    """What the trainer encodes the device decodes: boxes, landmarks, and no cell for a place that only may be a
    face."""
    from edge.vision.detect import cells, decode
    from training.augment.collage import Collage
    from training.fit.detector_targets import STRIDES, targets

    boxes = np.array([[40, 30, 24, 30], [150, 100, 120, 150], [10, 200, 40, 40]], np.float32)
    points = np.array([[[x + w * a, y + h * b] for a, b in ((0.3, 0.4), (0.7, 0.4), (0.5, 0.6), (0.35, 0.8), (0.65,
    0.8))]
                       for x, y, w, h in boxes], np.float32)  # fmt: skip
    collage = Collage(np.zeros((320, 320), np.uint8), boxes, points.reshape(3, 10), np.array([1, 1, 0], np.float32))
    at = cells((320, 320), STRIDES)
    rows = targets(collage, at)
    peaks = rows[:, 0] > 0.999
    found, landmarks = decode(rows[peaks, 1:5], rows[peaks, 5:15], at[peaks])
    for box, marks in zip(found, landmarks, strict=True):
        nearest = int(np.abs(boxes[:2] - box).sum(1).argmin())
        np.testing.assert_allclose(box, boxes[nearest], rtol=1e-4)
        np.testing.assert_allclose(marks, points[nearest], rtol=1e-4)
    unsure = (at[:, 0] > 10) & (at[:, 0] < 50) & (at[:, 1] > 200) & (at[:, 1] < 240)
    assert not rows[unsure, 15].any()


def test_what_may_be_a_face_is_taught_as_likely_as_it_is():
    """Its peak is its chance and its surroundings weigh as those of faces do; where it lies over a face it is nothing,
    however small. Of one at the border nothing is known.
    """
    from edge.vision.detect import cells
    from training.augment.collage import Collage, _finished
    from training.fit.detector_targets import STRIDES, targets

    boxes = np.array([[40, 40, 30, 30], [200, 200, 40, 40], [208, 208, 24, 24], [-18, 100, 30, 30]], np.float32)
    confidence = np.array([0.25, 1, 0.25, 0.25], np.float32)
    made = Collage(np.zeros((320, 320), np.uint8), boxes, np.full((4, 10), np.nan, np.float32), confidence)
    made = _finished(np.random.default_rng(1), made)
    assert made.confidence.tolist() == [0.25, 1, 0.25, 0]
    at = cells((320, 320), STRIDES)
    rows = targets(made, at)
    for (x, y, w, h), peak in zip(boxes, (0.25, 1, 1, 0), strict=True):
        inside = (at[:, 0] > x) & (at[:, 0] < x + w) & (at[:, 1] > y) & (at[:, 1] < y + h)
        assert rows[inside, 0].max() == peak
        assert rows[inside, 15].all() == (peak > 0)


def test_a_crowd_does_not_outweigh_all_other_pictures():
    """A face among sixteen, found badly, costs a sixteenth of what one alone does, all of them as much. Where nothing
    is known, nothing costs.
    """
    from training.fit.detector_targets import COLUMNS, loss

    faces = np.arange(16)
    wanted = np.zeros((2, 40, COLUMNS), np.float32)
    wanted[..., 15] = 1
    wanted[0, faces, 0] = wanted[1, 0, 0] = 1
    right = np.where(wanted[..., :1] > 0, np.float32(20), np.float32(-20)) * np.eye(1, 15, dtype=np.float32)

    def cost(picture: int, cells: np.ndarray) -> float:
        given = right.copy()
        given[picture, cells, 0] = -3
        return float(loss(wanted, given)) - float(loss(wanted, right))

    assert cost(0, faces[:1]) == pytest.approx(cost(1, faces[:1]) / 16, rel=1e-3)
    assert cost(0, faces) == pytest.approx(cost(1, faces[:1]), rel=1e-3)
    given = right.copy()
    given[0, 30, 0] = 9
    assert float(loss(wanted, given)) > float(loss(wanted, right)) + 1
    wanted[0, 30, 15] = 0
    assert float(loss(wanted, given)) == pytest.approx(float(loss(wanted, right)))


def test_boxes_of_a_tile_lie_where_its_pixels_do():
    """Turned, mirrored, shrunk and enlarged: the middle of a blob is the middle of its box, to a tenth of a pixel."""
    from training.augment.collage import Collage, _laid
    from training.data.labelled_images import LabelledImage

    y, x = np.mgrid[:200, :200] + 0.5
    blob = (255 * np.exp(-((x - 90) ** 2 + (y - 110) ** 2) / 2 / 12**2)).astype(np.uint8)
    box = np.array([[90 - 36, 110 - 36, 72, 72]], np.float32)
    scene = LabelledImage("a", "photo", "", blob, box, np.full((1, 10), np.nan, np.float32), np.ones(1, np.float32))
    off = []
    for seed in range(400):
        empty = Collage(np.zeros((320, 320), np.uint8), box[:0], np.zeros((0, 10), np.float32), np.zeros(0, np.float32))
        made = _laid(np.random.default_rng(seed), empty, scene, scene.boxes)
        left, top, width, height = made.boxes[0]
        if min(left, top, 320 - left - width, 320 - top - height) < 1 or width < 16:
            continue
        weight = made.pixels.astype(float) ** 2
        rows, columns = np.mgrid[:320, :320] + 0.5
        found = np.array([(columns * weight).sum(), (rows * weight).sum()]) / weight.sum()
        if np.abs(found - [left + width / 2, top + height / 2]).max() < 3:  # else a bar lies on it
            off.append(found - [left + width / 2, top + height / 2])
    assert len(off) > 100
    assert np.abs(np.median(off, axis=0)).max() < 0.1


def test_the_box_of_a_half_hidden_face_is_of_what_is_seen():
    """A head before it takes the lower half off, one beside it the left third; a corner alone takes nothing, nor does
    the border of the picture, over which the box still reaches.
    """
    from training.augment.crowd import _seen

    box, points = np.array([10, 20, 30, 40], np.float32), np.zeros(10, np.float32)
    for hidden, wanted in (
        (np.s_[40:, :], [10, 20, 30, 20]),
        (np.s_[:, :20], [20, 20, 20, 40]),
        (np.s_[55:, 30:], [10, 20, 30, 40]),
        (np.s_[:5, :], [10, 20, 30, 40]),
    ):
        owner = np.full((100, 100), -1, np.int16)
        owner[20:60, 10:40] = 3
        owner[hidden] = 4
        crowd = _seen(np.zeros((100, 100), np.uint8), owner, [(3, box, points)])
        assert crowd.boxes.tolist() == [wanted]
    over = np.array([-15, 20, 30, 40], np.float32)
    crowd = _seen(np.zeros((100, 100), np.uint8), np.full((100, 100), 3, np.int16), [(3, over, points)])
    assert crowd.boxes.tolist() == [over.tolist()]


def test_a_mask_hides_the_mouth_and_leaves_the_eyes():
    """The mask lies between nose and chin and nowhere else than in and beside the box."""
    from training.augment.occlusion import draw_mask

    picture, ((*box, _, _, _, _, _, _, _, _, _, _),) = (
        np.full((200, 200), 120, np.uint8),
        [[60, 50, 80, 100] + [0] * 10],
    )
    points = np.array([[84, 90], [116, 90], [100, 108], [87, 125], [113, 125]], np.float32)
    before = picture.copy()
    draw_mask(np.random.default_rng(1), picture, np.array(box, np.float32), points)
    changed = picture != before
    assert changed[125, 100]
    assert not changed[84, 84]
    rows, columns = np.nonzero(changed)
    assert rows.min() > 84
    assert rows.max() <= 165
    assert columns.min() >= 50
    assert columns.max() <= 150


def test_turned_faces_are_told_by_their_landmarks():
    """A nose beside the middle of the eyes is a head turned aside; unknown landmarks tell nothing."""
    from training.data.labelled_images import LabelledImage
    from training.evaluate.detector_metrics import turned

    points = np.array([[40, 40, 60, 40, 50, 50, 42, 60, 58, 60], [40, 40, 60, 40, 59, 50, 45, 60, 60, 60]], np.float32)
    points = np.concatenate([points, np.full((1, 10), np.nan, np.float32)])
    scene = LabelledImage(
        "x", "photo", "", np.zeros((9, 9), np.uint8), np.zeros((3, 4), np.float32), points, np.ones(3, np.float32)
    )
    assert turned(scene).tolist() == [False, True, False]
