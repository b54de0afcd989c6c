"""Faces in a frame: the arithmetic around the network, and the shipped network on a real portrait."""

import random

import numpy as np
import pytest

from edge.build import detector_bundle
from edge.vision.detect import Detector, grid_cells, clip, decode, letterbox, suppress


@pytest.fixture(scope="module")
def bundle():
    return detector_bundle()


@pytest.mark.parametrize(
    ("shape", "size", "inner", "scale"),
    [
        ((480, 640), (320, 320), (240, 320), 0.5),
        ((640, 480), (320, 320), (320, 240), 0.5),
        ((320, 320), (320, 320), (320, 320), 1.0),
        ((100, 50), (320, 320), (320, 160), 3.2),
        ((1, 5000), (320, 320), (1, 320), 0.064),
        ((5000, 1), (192, 256), (192, 1), 0.0384),
        ((479, 641), (320, 320), (239, 320), 320 / 641),
    ],
)
def test_letterbox_keeps_the_aspect(shape, size, inner, scale):
    """The picture lies top left at its own aspect, the rest is black, and the scale leads back."""
    fitted, given = letterbox(np.full(shape, 200, np.uint8), size)
    assert (fitted.shape, fitted.dtype) == (size, np.uint8)
    assert given == pytest.approx(scale)
    assert (fitted[: inner[0], : inner[1]] == 200).all()
    assert not fitted[inner[0] :].any()
    assert not fitted[:, inner[1] :].any()


def test_picture_of_the_right_size_stays_as_it_is():
    """Nothing is interpolated that need not be."""
    pixels = np.random.default_rng(1).integers(0, 256, (320, 320), np.uint8)
    assert (letterbox(pixels, (320, 320))[0] == pixels).all()


@pytest.mark.parametrize("width", [1280, 1279, 1920])
def test_frame_of_twice_the_size_or_more_does_not_alias(width):
    """Stripes as fine as its pixels become grey, rather than coarser stripes."""
    stripes = np.tile(np.uint8([0, 255]), (480, width))[:, :width]
    fitted, scale = letterbox(stripes, (320, 416))
    inside = fitted[1 : round(480 * scale) - 1, 2 : round(width * scale) - 2].astype(int)
    assert np.ptp(inside) <= 1
    assert abs(inside.mean() - 127.5) <= 1


def test_cells_are_the_middles_in_output_order():
    """Row by row, the finest stride first; a side that is no multiple of a stride has a cell more."""
    assert grid_cells((4, 6), (2,)).tolist() == [[1, 1, 2], [3, 1, 2], [5, 1, 2], [1, 3, 2], [3, 3, 2], [5, 3, 2]]
    assert grid_cells((3, 3), (2, 4)).tolist() == [[1, 1, 2], [3, 1, 2], [1, 3, 2], [3, 3, 2], [2, 2, 4]]


def test_decode_is_the_encoding_in_strides():
    """Centre as an offset from the cell's, sides as logarithms, landmarks as offsets: all times the stride."""
    at = np.array([[4, 4, 8], [24, 40, 16]], np.float32)
    boxes = np.array([[0, 0, 0, 0], [0.5, -1, np.log(2), np.log(3)]], np.float32)
    marks = np.array([[0, 0, 1, -1], [0.5, 0.25, -2, 2]], np.float32)
    given, points = decode(boxes, marks, at)
    assert given == pytest.approx(np.array([[0, 0, 8, 8], [16, 0, 32, 48]]))
    assert points.tolist() == [[[4, 4], [12, -4]], [[32, 44], [-8, 72]]]


def test_decode_of_no_cells_and_of_wild_ones():
    """No cell gives no box; sides are bounded, so that no output of a network overflows."""
    none = np.zeros((0, 4), np.float32)
    boxes, points = decode(none, np.zeros((0, 10), np.float32), np.zeros((0, 3), np.float32))
    assert (boxes.shape, points.shape) == ((0, 4), (0, 5, 2))
    wild, _ = decode(np.full((1, 4), 90, np.float32), np.zeros((1, 2), np.float32), np.ones((1, 3), np.float32))
    assert np.isfinite(wild).all()


def greedy(boxes, overlap):
    """Non-maximum suppression as it stands in textbooks: one box after another."""
    kept = []
    for index, (x, y, w, h) in enumerate(boxes):
        for x2, y2, w2, h2 in (boxes[other] for other in kept):
            shared = max(0, min(x + w, x2 + w2) - max(x, x2)) * max(0, min(y + h, y2 + h2) - max(y, y2))
            if shared > overlap * (w * h + w2 * h2 - shared):
                break
        else:
            kept.append(index)
    return kept


@pytest.mark.parametrize("overlap", [0.0, 0.3, 0.5, 1.0])
@pytest.mark.parametrize("count", [0, 1, 2, 30, 300])
def test_suppress_is_the_plain_greedy_loop(count, overlap):
    """On crowds of random boxes, chains of overlaps among them, the answer is the loop's."""
    for seed in range(5):
        chance = np.random.default_rng(seed)
        boxes = np.concatenate([chance.integers(0, 60, (count, 2)), chance.integers(1, 40, (count, 2))], 1)
        assert suppress(boxes.astype(np.float32), overlap).tolist() == greedy(boxes.tolist(), overlap)


def test_suppress_keeps_one_of_equals_and_the_end_of_a_chain():
    """Of two equal boxes the first stays; a box beaten only by one that fell itself stays too."""
    same = np.array([[0, 0, 10, 10]] * 4, np.float32)
    assert suppress(same, 0.5).tolist() == [0]
    chain = np.array([[x, 0, 10, 10] for x in (0, 3, 6, 9)], np.float32)
    assert suppress(chain, 0.4).tolist() == [0, 2]


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
def test_clipped_box_lies_in_the_picture(box, corners):
    """Whole pixels inside the picture; outside it, nothing."""
    assert clip(box, 640, 480) == corners


def test_random_boxes_slice_without_wrapping():
    """No clipped box reaches over the border or starts from the other end, as a negative offset would."""
    chance, pixels = random.Random(2), np.zeros((48, 64), np.uint8)
    for _ in range(500):
        box = (chance.uniform(-99, 99), chance.uniform(-99, 99), chance.uniform(-9, 99), chance.uniform(-9, 99))
        left, top, right, bottom = clip(box, 64, 48)
        assert 0 <= left <= right <= 64
        assert 0 <= top <= bottom <= 48
        assert pixels[top:bottom, left:right].shape == (bottom - top, right - left)


def around(face, x, y):
    left, top, width, height = face.box
    return left < x < left + width and top < y < top + height


def test_face_of_the_portrait_is_found(bundle, astronaut):
    """One face, where it is, with eyes above the mouth and the person's right eye on the left."""
    (face,) = Detector(bundle).detect(astronaut)
    assert around(face, 224, 115)
    assert 60 < face.size < 180
    assert Detector(bundle).threshold <= face.score <= 1
    right_eye, left_eye, nose, right_mouth, left_mouth = face.landmarks
    assert right_eye[0] < nose[0] < left_eye[0]
    assert max(right_eye[1], left_eye[1]) < nose[1] < min(right_mouth[1], left_mouth[1])
    assert all(around(face, *point) for point in face.landmarks)


@pytest.mark.parametrize(("across", "down"), [(0, 0), (128, 30), (60, 0), (0, 200)])
def test_found_face_is_in_pixels_of_the_frame(bundle, astronaut, across, down):
    """In a larger frame of another aspect the same face is found as much further right and down as the picture is;
    something behind the person may be taken for a second one, less surely.
    """
    (alone,) = Detector(bundle).detect(astronaut)
    frame = np.zeros((512 + down, 512 + across), np.uint8)
    frame[down:, across:] = astronaut
    face, *others = Detector(bundle).detect(frame)
    assert face.centre == pytest.approx((alone.centre[0] + across, alone.centre[1] + down), abs=8)
    assert face.size == pytest.approx(alone.size, rel=0.15)
    assert all(other.score < face.score - 0.15 for other in others)


@pytest.mark.parametrize("level", [0, 128, 255])
def test_nobody_is_in_an_even_picture(bundle, level):
    """Black, grey and white frames hold no face."""
    assert Detector(bundle).detect(np.full((480, 640), level, np.uint8)) == ()


def test_threshold_decides_how_many(bundle, astronaut):
    """Lower finds more, best first; one finds none."""
    scores = {
        threshold: [face.score for face in Detector(bundle, threshold).detect(astronaut)] for threshold in (0, 0.3, 1)
    }
    assert len(scores[0]) > len(scores[0.3]) >= 1
    assert scores[1] == []
    assert scores[0] == sorted(scores[0], reverse=True)
    assert min(scores[0.3]) >= 0.3 - 1e-6


def test_tiny_and_huge_pictures_are_looked_at(bundle):
    """A pixel or a panorama: no error, no face."""
    assert Detector(bundle).detect(np.zeros((1, 1), np.uint8)) == ()
    assert Detector(bundle).detect(np.zeros((30, 4000), np.uint8)) == ()
