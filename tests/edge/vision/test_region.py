"""The part of a frame that the detector sees, and what it finds there, with the real detector and a real face."""

import cv2
import numpy as np
import pytest

from edge.build import detector_bundle
from edge.values import Detection, Track
from edge.vision.detect import Detector
from edge.vision.motion_gate import MotionGate
from edge.vision.region import MIN_GAIN, WHOLE_INTERVAL_S, Region, RegionSelector, View, detect_in_view
from tests.support.fakes import each_frame

SHAPE, SIDE = (720, 1280), 20
INPUT = (320, 416)
WHOLE = Region(0, 0, 1280, 720)


def changed(*cells):
    """Cells of a frame, of which some have changed; given as (row, column)."""
    mask = np.zeros((SHAPE[0] // SIDE, SHAPE[1] // SIDE), np.bool_)
    for row, column in cells:
        mask[row, column] = True
    return mask


def tracked(number, box):
    """A track with its last detection."""
    return Track(number, Detection(box, 0.9), 0.0, 0.0, 1)


def part(cells=(), tracks=(), remember_s=1.5):
    """The region on a frame just after one that was seen whole."""
    selector = RegionSelector(INPUT, remember_s)
    assert selector.select(SHAPE, changed(), SIDE, 0.0).region == WHOLE
    selector.update_tracks(tracks, 0.0)
    return selector.select(SHAPE, changed(*cells), SIDE, 0.1).region


def test_small_change_is_seen_at_native_resolution():
    """The region has the size of the network's input and holds the change in its middle, or lies at the border."""
    assert part([(18, 32)]) == Region(442, 210, 416, 320)
    assert part([(0, 0)]) == Region(0, 0, 416, 320)
    assert part([(35, 63)]) == Region(864, 400, 416, 320)


def test_region_holds_all_changes_and_tracked_faces_with_a_margin():
    """It has the aspect ratio of the input, so that nothing is wasted."""
    region = part([(10, 10), (12, 20)], [tracked(1, (600, 200, 30, 30))])
    assert region.left <= 180
    assert region.left + region.width >= 660
    assert region.width / region.height == pytest.approx(416 / 320, abs=0.01)


@pytest.mark.parametrize(
    ("cells", "tracks"),
    [
        ((), ()),
        ([(2, 2), (30, 60)], ()),
        ([(18, 32)], [tracked(1, (20, 20, 30, 30)), tracked(2, (1200, 650, 30, 30))]),
        ([(18, 32)], [tracked(1, (600, 300, 130, 130))]),
    ],
    ids=["nothing has changed", "changes far apart", "faces far apart", "a face that is large enough"],
)
def test_whole_frame_is_seen_where_a_region_gains_little(cells, tracks):
    """A region must make faces at least `MIN_GAIN` times larger, and there must be small faces."""
    assert part(cells, tracks) == WHOLE


def test_frame_as_small_as_the_input_is_always_seen_whole():
    """A region is never enlarged."""
    selector = RegionSelector(INPUT, 1.5)
    mask = np.zeros((36, 60), np.bool_)
    mask[18, 30] = True
    assert {selector.select((270, 480), mask, 8, time / 10).region for time in range(20)} == {Region(0, 0, 480, 270)}
    assert MIN_GAIN > 480 / 416


@pytest.mark.parametrize("shape", [(640, 480), (420, 560), (1280, 720), (1080, 1920)])
def test_region_is_used_after_all_has_changed(shape):
    """A region as large as the frame is not kept, in portrait frames and in those slightly larger than the input."""
    selector, cells = RegionSelector(INPUT, 1.5), np.ones((shape[0] // SIDE, shape[1] // SIDE), np.bool_)
    assert selector.select(shape, cells, SIDE, 0.0).region == Region.whole(shape)
    cells[:] = False
    cells[10, 10] = True
    region = selector.select(shape, cells, SIDE, 0.1).region
    assert (region.width, region.height) == (416, 320)


def test_frame_of_a_new_size_starts_anew():
    """A region and a face of the larger frame do not count in the smaller one."""
    selector = RegionSelector(INPUT, 1.5)
    selector.select(SHAPE, changed(), SIDE, 0.0)
    selector.update_tracks([tracked(1, (600, 400, 30, 30))], 0.0)
    selector.select(SHAPE, changed(), SIDE, 0.1)
    view = selector.select((480, 640), np.zeros((24, 32), np.bool_), SIDE, 0.2)
    assert (view.region, view.better_seen) == (Region(0, 0, 640, 480), None)


@pytest.mark.parametrize("fps", [2, 5, 10, 15, 30])
def test_whole_frame_has_its_turn(fps):
    """However small the change, the whole frame is seen every 0.3 s, or on every third frame of a slow camera.

    Faces that are left out there are observed on two frames of three.
    """
    selector = RegionSelector(INPUT, 1.5)
    views = {time: selector.select(SHAPE, changed((18, 32)), SIDE, time) for time in each_frame(fps, 0, 10)}
    times = [time for time, view in views.items() if view.region == WHOLE]
    assert max(np.diff(times)) <= max(WHOLE_INTERVAL_S + 1 / fps, 3 / fps) + 1e-6
    assert min(np.diff(times)) > 2.5 / fps


def test_face_that_was_lost_is_forgotten():
    """Its position counts for ``remember_s``."""
    selector = RegionSelector(INPUT, 0.15)
    selector.select(SHAPE, changed(), SIDE, 0.0)
    selector.update_tracks([tracked(1, (20, 20, 30, 30))], 0.0)
    lefts = [selector.select(SHAPE, changed((18, 32)), SIDE, time).region.left for time in (0.05, 0.1, 0.15, 0.2)]
    assert lefts[:2] == [0, 0]
    assert lefts[3] > 0


@pytest.mark.parametrize("fps", [0.5, 1, 2])
def test_face_is_remembered_for_two_frames_of_a_slow_camera(fps):
    """The tracker keeps it as long, and the region must hold it."""
    selector = RegionSelector(INPUT, 0.15)
    selector.select(SHAPE, changed(), SIDE, 0.0)
    selector.update_tracks([tracked(1, (20, 20, 30, 30))], 0.0)
    assert [selector.select(SHAPE, changed((18, 32)), SIDE, n / fps).region.left == 0 for n in (1, 2)] == [True, True]


@pytest.fixture(scope="module")
def detector():
    return Detector(detector_bundle("face-416x320"))


@pytest.fixture(scope="module")
def scene(astronaut):
    """A frame with a face of some 22 pixels, and the centre of that face."""
    rng = np.random.default_rng(3)
    wall = cv2.GaussianBlur(rng.normal(0, 1, SHAPE).astype(np.float32), (0, 0), 9)
    frame = (110 + 40 * wall / np.abs(wall).max()).astype(np.uint8)
    small = cv2.resize(astronaut, (90, 90), interpolation=cv2.INTER_AREA)
    frame[400:490, 700:790] = small
    return frame, (700 + 224 * 90 / 512, 400 + 115 * 90 / 512)


def test_face_too_small_for_the_whole_frame_is_found_in_a_region(detector, scene):
    """Its box and landmarks are in pixels of the frame."""
    frame, centre = scene
    assert not detect_in_view(detector, frame, View(WHOLE))
    (face,) = detect_in_view(detector, frame, View(Region(500, 300, 416, 320)))
    assert face.box.centre == pytest.approx(centre, abs=4)
    assert all(face.box.left <= x <= face.box.right for x, _ in face.landmarks)


def test_face_cut_by_the_region_is_left_out(detector, scene):
    """The whole frame shows it; a cut box would move the track."""
    frame, centre = scene
    cut = Region(int(centre[0]) - 8, 300, 416, 320)
    inside = detector.detect(frame[300:620, cut.left : cut.left + 416])
    assert [face for face in inside if face.box.left < 1]
    assert not detect_in_view(detector, frame, View(cut))


def test_gate_passes_on_the_moving_part(detector, scene):
    """A face that moves over a still background is seen at native resolution on two frames of three."""
    frame, _ = scene
    gate = MotionGate(10.0, 1.5, regions=RegionSelector(INPUT, 1.5))
    regions = []
    for index in range(30):
        image = np.full(SHAPE, 110, np.uint8)
        image[300:390, 300 + 6 * index : 390 + 6 * index] = frame[400:490, 700:790]
        regions.append(gate.select(image, index / 10).region)
    parts = [region for region in regions if region != WHOLE]
    assert len(parts) >= 15
    assert {(region.width, region.height) for region in parts} == {(416, 320)}


def test_small_face_missed_in_the_whole_frame_does_not_keep_the_full_rate():
    """A person who stands far away is observed in regions only; the detector runs every 0.3 s all the same."""
    gate = MotionGate(10.0, 1.5, regions=RegionSelector(INPUT, 1.5))
    still, times = np.full(SHAPE, 110, np.uint8), []
    for time in each_frame(10, 0, 30):
        view = gate.select(still, time)
        if view:
            times.append(time)
            gate.update_tracks([tracked(1, (600, 300, 16, 16))] if view.region != WHOLE or time == 0 else [], time)
    assert sum(time >= 20 for time in times) <= 35
