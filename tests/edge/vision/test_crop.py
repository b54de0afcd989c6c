"""A face is cut out exactly as the crop rule says, at the border and turned as well."""

import numpy as np
import pytest

from contract.card import Crop
from edge.values import Box, Detection
from edge.vision.crop import crop_face, crop_square, roll
from tests.support.fakes import face

NOISE = np.random.default_rng(12).integers(0, 256, (60, 80), np.uint8)
SMOOTH = (128 + 60 * np.sin(np.arange(80)[None] / 9) + 50 * np.cos(np.arange(60)[:, None] / 7)).astype(np.uint8)
WHOLE = Crop(margin=0.0, align="none")


def sampled(pixels, centre, side, angle, size):
    """The definition, pixel by pixel: map the centre of each pixel of the crop to the frame and interpolate there."""
    height, width = size
    out = np.zeros(size)
    for row in range(height):
        for column in range(width):
            u, v = (column + 0.5) / width - 0.5, (row + 0.5) / height - 0.5
            x = centre[0] + side * (u * np.cos(angle) - v * np.sin(angle)) - 0.5
            y = centre[1] + side * (u * np.sin(angle) + v * np.cos(angle)) - 0.5
            x, y = (min(max(value, 0), length - 1) for value, length in ((x, pixels.shape[1]), (y, pixels.shape[0])))
            left, top = min(int(x), pixels.shape[1] - 2), min(int(y), pixels.shape[0] - 2)
            part = pixels[top : top + 2, left : left + 2].astype(float)
            out[row, column] = (part * np.outer([top + 1 - y, y - top], [left + 1 - x, x - left])).sum()
    return out


def test_square_of_the_crop_size_is_copied_pixel_for_pixel():
    """Without scaling and turning nothing is interpolated."""
    assert (crop_square(NOISE, (40, 30), 20, 0.0, (20, 20)) == NOISE[20:40, 30:50]).all()
    assert (crop_face(NOISE, face(40, 30, 20), WHOLE, (20, 20)) == NOISE[20:40, 30:50]).all()


def test_margin_widens_the_square():
    """A margin of 0.5 doubles the side, a negative one cuts tighter; the side is the longer one of the box."""
    wide, tight = (Crop(margin=margin, align="none") for margin in (0.5, -0.25))
    assert (crop_face(NOISE, face(40, 30, 10), wide, (20, 20)) == NOISE[20:40, 30:50]).all()
    assert (crop_face(NOISE, face(40, 30, 40), tight, (20, 20)) == NOISE[20:40, 30:50]).all()
    tall = Detection(Box(36.0, 20.0, 8.0, 20.0), 0.9)
    assert (crop_face(NOISE, tall, WHOLE, (20, 20)) == NOISE[20:40, 30:50]).all()


@pytest.mark.parametrize("angle", [0.0, 0.3, -1.2, np.pi / 2, np.pi])
@pytest.mark.parametrize(
    ("centre", "side"), [((40, 30), 16), ((40.3, 29.6), 13.7), ((5, 4), 20), ((78, 58), 24), ((-3, 30), 18)]
)
def test_crop_equals_direct_sampling(centre, side, angle):
    """Turned, between pixels and across the border, the crop equals sampling each pixel by itself."""
    given = crop_square(SMOOTH, centre, side, angle, (24, 24))
    assert np.abs(given - sampled(SMOOTH, centre, side, angle, (24, 24))).max() <= 2


@pytest.mark.parametrize("angle", [0.0, 0.4])
def test_large_face_is_shrunk_without_aliasing(angle):
    """A checkerboard that is shrunk eightfold becomes uniform grey; a smooth image stays as it is."""
    board = (np.indices((400, 400)).sum(0) % 2 * 255).astype(np.uint8)
    shrunk = crop_square(board, (200, 200), 240, angle, (30, 30))
    assert np.abs(shrunk.astype(int) - 127).max() <= 45
    smooth = np.repeat(np.repeat(SMOOTH, 8, 0), 8, 1)
    given = crop_square(smooth, (320, 240), 240, angle, (30, 30))
    assert np.abs(given - sampled(smooth, (320, 240), 240, angle, (30, 30))).max() <= 8


def test_border_pixels_are_repeated():
    """Half a face at the left border: the missing half repeats the border column."""
    given = crop_square(NOISE, (0, 30), 20, 0.0, (20, 20))
    assert (given[:, 10:] == NOISE[20:40, :10]).all()
    assert (given[:, :10] == NOISE[20:40, :1]).all()


@pytest.mark.parametrize("centre", [(-500, 30), (40, -500), (900, 30), (900, 900), (-100_000, 100_000)])
def test_face_outside_the_frame_gives_the_border(centre):
    """A square that lies wholly outside gives the nearest pixels, and no error."""
    columns = np.clip(np.arange(centre[0] - 10, centre[0] + 10), 0, 79)
    rows = np.clip(np.arange(centre[1] - 10, centre[1] + 10), 0, 59)
    assert (crop_square(NOISE, centre, 20, 0.0, (20, 20)) == NOISE[np.ix_(rows, columns)]).all()


@pytest.mark.parametrize("side", [0.0, 0.2, 1.0, 5000.0])
def test_any_side_gives_a_crop(side):
    """From nothing to far more than the frame."""
    assert crop_square(NOISE, (40, 30), side, 0.1, (64, 64)).shape == (64, 64)


def test_size_is_height_and_width():
    """The first number of the size is the number of rows."""
    assert crop_square(NOISE, (40, 30), 20, 0.0, (10, 16)).shape == (10, 16)


@pytest.mark.parametrize("degrees", [-40, -15, 0, 15, 40])
def test_roll_is_the_slope_of_the_eyes(degrees):
    """Positive if the person's left eye is lower in the image, 0 if the eyes are not known."""
    slope = np.radians(degrees)
    eyes = ((20.0, 20.0), (20 + 10 * np.cos(slope), 20 + 10 * np.sin(slope)))
    box = Box(0, 0, 40, 40)
    assert roll(Detection(box, 0.9, eyes)) == pytest.approx(slope)
    assert roll(Detection(box, 0.9)) == 0.0
    assert roll(Detection(box, 0.9, eyes[:1])) == 0.0


@pytest.mark.parametrize("degrees", [-30, 20, 45])
def test_eyes_are_turned_level(degrees):
    """Two dark eyes on a slope come to lie in one row, the right one on the left; without the rule they stay."""
    slope = np.radians(degrees)
    pixels = np.full((200, 200), 200, np.uint8)
    eyes = tuple((100 + sign * 30 * np.cos(slope), 100 + sign * 30 * np.sin(slope)) for sign in (-1, 1))
    for number, (x, y) in enumerate(eyes):
        pixels[round(y) - 3 : round(y) + 4, round(x) - 3 : round(x) + 4] = 10 + 60 * number
    tilted = Detection(Box(50.0, 50.0, 100.0, 100.0), 0.9, eyes)
    level = crop_face(pixels, tilted, Crop(margin=0.0, align="eyes"), (100, 100))
    rows, columns = np.nonzero(level < 150)
    left, right = columns < 50, columns >= 50
    assert rows[left].mean() == pytest.approx(rows[right].mean(), abs=1)
    assert (columns[left].mean(), columns[right].mean()) == pytest.approx((20, 80), abs=1.5)
    assert level[rows[left], columns[left]].min() < level[rows[right], columns[right]].min()
    rows, columns = np.nonzero(crop_face(pixels, tilted, WHOLE, (100, 100)) < 150)
    assert abs(rows[columns < 50].mean() - rows[columns >= 50].mean()) > 15


def test_frame_is_not_changed():
    """Cropping only reads the frame."""
    before = NOISE.copy()
    crop_face(NOISE, face(5, 5, 30), Crop(margin=0.3, align="eyes"), (64, 64))
    assert (before == NOISE).all()
