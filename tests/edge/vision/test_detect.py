"""Face detection: the arithmetic around the network, and the shipped network on a real portrait."""

import numpy as np
import pytest

from edge.build import detector_bundle
from edge.vision.detect import Detector, decode, grid_cells, letterbox


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
def test_letterbox_keeps_the_aspect_ratio(shape, size, inner, scale):
    """The image lies at the top left with its own aspect ratio, the rest is black, and the scale is returned."""
    fitted, given = letterbox(np.full(shape, 200, np.uint8), size)
    assert (fitted.shape, fitted.dtype) == (size, np.uint8)
    assert given == pytest.approx(scale)
    assert (fitted[: inner[0], : inner[1]] == 200).all()
    assert not fitted[inner[0] :].any()
    assert not fitted[:, inner[1] :].any()


def test_image_of_the_input_size_is_not_changed():
    """Nothing is interpolated if the size fits."""
    pixels = np.random.default_rng(1).integers(0, 256, (320, 320), np.uint8)
    assert (letterbox(pixels, (320, 320))[0] == pixels).all()


@pytest.mark.parametrize("width", [1280, 1279, 1920])
def test_frame_of_twice_the_size_or_more_does_not_alias(width):
    """Stripes of one pixel become grey, not coarser stripes."""
    stripes = np.tile(np.uint8([0, 255]), (480, width))[:, :width]
    fitted, scale = letterbox(stripes, (320, 416))
    inside = fitted[1 : round(480 * scale) - 1, 2 : round(width * scale) - 2].astype(int)
    assert np.ptp(inside) <= 1
    assert abs(inside.mean() - 127.5) <= 1


def test_grid_cells_are_centres_in_output_order():
    """Row by row, the finest stride first; a side that is not a multiple of the stride has one more cell."""
    assert grid_cells((4, 6), (2,)).tolist() == [[1, 1, 2], [3, 1, 2], [5, 1, 2], [1, 3, 2], [3, 3, 2], [5, 3, 2]]
    assert grid_cells((3, 3), (2, 4)).tolist() == [[1, 1, 2], [3, 1, 2], [1, 3, 2], [3, 3, 2], [2, 2, 4]]


def test_decode_inverts_the_encoding_in_strides():
    """Centres and landmarks are offsets from the cell's centre, sides are logarithms, all times the stride."""
    cells = np.array([[4, 4, 8], [24, 40, 16]], np.float32)
    boxes = np.array([[0, 0, 0, 0], [0.5, -1, np.log(2), np.log(3)]], np.float32)
    landmarks = np.array([[0, 0, 1, -1], [0.5, 0.25, -2, 2]], np.float32)
    given, points = decode(boxes, landmarks, cells)
    assert given == pytest.approx(np.array([[0, 0, 8, 8], [16, 0, 32, 48]]))
    assert points.tolist() == [[[4, 4], [12, -4]], [[32, 44], [-8, 72]]]


def test_decode_accepts_no_cells_and_extreme_outputs():
    """No cell gives no box; sides are bounded, so that no network output overflows."""
    none = np.zeros((0, 4), np.float32)
    boxes, points = decode(none, np.zeros((0, 10), np.float32), np.zeros((0, 3), np.float32))
    assert (boxes.shape, points.shape) == ((0, 4), (0, 5, 2))
    extreme, _ = decode(np.full((1, 4), 90, np.float32), np.zeros((1, 2), np.float32), np.ones((1, 3), np.float32))
    assert np.isfinite(extreme).all()


def contains(face, x, y):
    return face.box.left < x < face.box.right and face.box.top < y < face.box.bottom


def test_face_of_the_portrait_is_detected(bundle, astronaut):
    """One face, in the right place, with eyes above the mouth and the person's right eye on the left."""
    (face,) = Detector(bundle).detect(astronaut)
    assert contains(face, 224, 115)
    assert 60 < face.size < 180
    assert Detector(bundle).threshold <= face.score <= 1
    right_eye, left_eye, nose, right_mouth, left_mouth = face.landmarks
    assert right_eye[0] < nose[0] < left_eye[0]
    assert max(right_eye[1], left_eye[1]) < nose[1] < min(right_mouth[1], left_mouth[1])
    assert all(contains(face, *point) for point in face.landmarks)


@pytest.mark.parametrize(("across", "down"), [(0, 0), (128, 30), (60, 0), (0, 200)])
def test_detections_are_in_pixels_of_the_frame(bundle, astronaut, across, down):
    """Pasted into a larger frame of another aspect ratio, the face is detected at the shifted position.

    Something behind the person may be detected too, with a clearly lower score.
    """
    (alone,) = Detector(bundle).detect(astronaut)
    frame = np.zeros((512 + down, 512 + across), np.uint8)
    frame[down:, across:] = astronaut
    face, *others = Detector(bundle).detect(frame)
    assert face.centre == pytest.approx((alone.centre[0] + across, alone.centre[1] + down), abs=8)
    assert face.size == pytest.approx(alone.size, rel=0.15)
    assert all(other.score < face.score - 0.15 for other in others)


@pytest.mark.parametrize("level", [0, 128, 255])
def test_uniform_image_has_no_face(bundle, level):
    """Black, grey and white frames give no detection."""
    assert Detector(bundle).detect(np.full((480, 640), level, np.uint8)) == ()


def test_threshold_decides_how_many_detections(bundle, astronaut):
    """A lower threshold gives more, best first; a threshold of 1 gives none."""
    scores = {
        threshold: [face.score for face in Detector(bundle, threshold).detect(astronaut)] for threshold in (0, 0.3, 1)
    }
    assert len(scores[0]) > len(scores[0.3]) >= 1
    assert scores[1] == []
    assert scores[0] == sorted(scores[0], reverse=True)
    assert min(scores[0.3]) >= 0.3 - 1e-6


def test_images_of_extreme_sizes_are_accepted(bundle):
    """A single pixel and a panorama cause no error and give no detection."""
    assert Detector(bundle).detect(np.zeros((1, 1), np.uint8)) == ()
    assert Detector(bundle).detect(np.zeros((30, 4000), np.uint8)) == ()
