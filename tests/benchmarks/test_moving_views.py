"""Counting the faces of images over which a camera moves."""

import os
from pathlib import Path

import numpy as np
import pytest

from edge.settings import TrackSettings
from edge.values import Detection

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
pytest.importorskip("pandas", reason="pandas is not installed (make train-setup)")

from benchmarks.accuracy.camera_pan import FRAMES, video
from benchmarks.accuracy.moving_views import (
    DrawnImage,
    Outcome,
    add_up,
    count,
    drawn_head,
    held_out_images,
    outcome,
    table,
    visit_owners,
)

DATA = os.environ.get("FACETALLY_DATA")
SHAPE = (480, 640)
needs_images = pytest.mark.skipif(not DATA, reason="FACETALLY_DATA does not name the folder with diverse.zip")


def drawn(*views, has_people=True):
    """An image with one head of 40 pixels every 100 pixels."""
    boxes = np.array([[100.0 * index, 200, 40, 40] for index in range(len(views))]).reshape(-1, 4)
    return DrawnImage("x.zip", "x", boxes, views, has_people)


def test_visits_are_compared_with_the_drawn_heads():
    """A face counts once as found, then as counted again; a back of a head and what is no head are errors."""
    image = drawn("face", "profile", "profile", "back")
    got = outcome(image, [image.boxes] * FRAMES, SHAPE, [0, 0, 2, 3, None])
    assert got == Outcome(faces=3, found=2, profiles=2, profiles_found=1, twice=1, backs=1, other=1)
    empty = drawn(has_people=False)
    assert outcome(empty, [empty.boxes] * FRAMES, SHAPE, [None]) == Outcome(background=1)
    assert (got + got).found == 4


@pytest.mark.parametrize(
    ("move", "frames", "faces"),
    [(0.0, FRAMES, 1), (0.0, 10, 1), (0.0, 9, 0), (-21.0, FRAMES, 0)],
    ids=["in view", "long enough", "too short", "centre out of view"],
)
def test_a_face_must_be_found_if_it_is_in_view_long_enough(move, frames, faces):
    """Its centre is in view, in at least ten frames."""
    image = drawn("face")
    seen, away = (image.boxes + np.array([x, 0, 0, 0]) for x in (move, -500))
    assert outcome(image, [seen] * frames + [away] * (FRAMES - frames), SHAPE, []).faces == faces


def test_a_small_face_need_not_be_found():
    """A face of less than 16 pixels may be missed."""
    image = drawn("face")
    assert outcome(image, [image.boxes * [1, 1, 0.4, 0.4]] * FRAMES, SHAPE, []).faces == 1
    assert outcome(image, [image.boxes * [1, 1, 0.3, 0.3]] * FRAMES, SHAPE, []).faces == 0


@pytest.mark.parametrize(
    ("box", "head"),
    [
        ((105, 195, 40, 50), 1),
        ((55, 200, 40, 40), None),
        ((100, 200, 10, 10), None),
        ((70, 170, 100, 100), None),
        ((0, 200, 40, 40), 0),
    ],
    ids=["over the second", "between two", "far too small", "far too large", "over the first"],
)
def test_a_detection_shows_the_nearest_head_of_its_size(box, head):
    """Its centre is inside the drawn box, and the areas are similar."""
    assert drawn_head(Detection(box, 0.9), drawn("face", "face").boxes) == head


def test_a_visit_belongs_to_the_head_that_it_shows_most_often():
    """One face that moves with its box is one visit of that head; without boxes it is none of the heads."""
    image = drawn("face")
    boxes = [image.boxes + np.array([8.0 * index, 0, 0, 0]) for index in range(FRAMES)]
    frames = [(Detection(tuple(each[0]), 0.9),) for each in boxes]
    assert visit_owners(frames, boxes, SHAPE, TrackSettings()) == [0]
    assert visit_owners(frames, [image.boxes[:0]] * FRAMES, SHAPE, TrackSettings()) == [None]


def test_a_video_depends_on_the_name_only_and_boxes_move_with_the_image():
    """A white square stays in its box while the camera moves, and another name gives another motion."""
    pixels = np.full((300, 400), 40, np.uint8)
    pixels[130:170, 180:220] = 220
    box = np.array([[180.0, 130, 40, 40]])
    frames, boxes = video(pixels, box, "a")
    again, _ = video(pixels, box, "a")
    _, other = video(pixels, box, "b")
    assert all(map(np.array_equal, frames, again))
    assert not np.array_equal(boxes, other)
    assert len({tuple(each[0]) for each in boxes}) == FRAMES
    for frame, ((left, top, width, height),) in zip(frames, boxes, strict=True):
        inside = np.zeros(frame.shape, bool)
        inside[round(top) + 3 : round(top + height) - 3, round(left) + 3 : round(left + width) - 3] = True
        assert frame[inside].mean() > 200
        around = np.ones(frame.shape, bool)
        around[round(top) - 3 : round(top + height) + 3, round(left) - 3 : round(left + width) + 3] = False
        assert frame[around].mean() < 60


@needs_images
def test_the_check_keeps_backs_of_heads_from_being_counted():
    """In two crowds and two empty scenes it counts no more backs and objects, and more than half of the faces."""
    found = held_out_images(Path(DATA))
    crowds = [each for each in found if each.views.count("back") >= 3]
    chosen = [*crowds[:2], *[each for each in found if not each.has_people][:2]]
    columns = add_up(count(image, Path(DATA), ["face-416x320"]) for image in chosen)
    plain, checked = (columns[f"face-416x320 {title}"] for title in ("without check", "with check"))
    assert plain.faces == checked.faces > 10
    assert checked.backs + checked.other + checked.background <= plain.backs + plain.other + plain.background
    assert checked.found >= 0.5 * plain.found > 0
    assert len(table(columns)) == 8
