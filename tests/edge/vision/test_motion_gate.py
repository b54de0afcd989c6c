"""The frames on which the detector runs, in drawn scenes with sensor noise, a real face and changes of light."""

import cv2
import numpy as np
import pytest

from edge.values import Detection, Track
from edge.vision.motion_gate import EMPTY_INTERVAL_S, PRESENT_INTERVAL_S, MotionGate, cell_means
from tests.support.fakes import each_frame

HEIGHT, WIDTH = 480, 640
FPS, MAX_FPS = 15, 10.0
FULL_RATE_S = 1.5


def textured(seed=0):
    """A textured image, grey (480, 640) float32."""
    rng = np.random.default_rng(seed)
    smooth = cv2.GaussianBlur(rng.normal(0, 1, (HEIGHT, WIDTH)).astype(np.float32), (0, 0), 9)
    return (110 + 50 * smooth / np.abs(smooth).max()).astype(np.float32)


GRAIN = np.random.default_rng(9).normal(0, 1, (2 * HEIGHT, 2 * WIDTH)).astype(np.float32)


def filmed(image, rng, noise=4.0):
    """A frame of an image with sensor noise: a random part of a large sheet of noise is added."""
    y, x = rng.integers(0, HEIGHT), rng.integers(0, WIDTH)
    frame = cv2.addWeighted(image, 1.0, GRAIN[y : y + HEIGHT, x : x + WIDTH], noise, 0.0, dtype=cv2.CV_8U)
    return np.asarray(frame)


def detections(at, seconds, *, fps=FPS, noise=4.0, begin=0.0, gate=None):
    """The times at which the detector runs; ``at(time)`` is the image that is filmed."""
    gate = gate or MotionGate(MAX_FPS, FULL_RATE_S)
    rng = np.random.default_rng(1)
    return [time for time in each_frame(fps, begin, begin + seconds) if gate.select(filmed(at(time), rng, noise), time)]


def track(number, box=(300, 200, 40, 40)):
    """A track with its last detection."""
    return Track(number, Detection(box, 0.9), 0.0, 0.0, 1)


def between(times, begin, end):
    """The number of times in an interval."""
    return sum(begin <= time < end for time in times)


@pytest.mark.parametrize("noise", [0.0, 2.0, 4.0, 8.0])
def test_empty_scene_has_one_detection_per_second(noise):
    """Sensor noise, up to that of a dark room, is not motion."""
    empty = textured()
    times = detections(lambda time: empty, 30, noise=noise)
    assert 29 <= len(times) <= 33
    assert max(np.diff(times)) <= EMPTY_INTERVAL_S + 1e-6


def test_noise_of_a_dark_night_is_learnt():
    """Twice as much noise is taken for motion at first, and no longer within a minute."""
    empty = textured()
    times = detections(lambda time: empty, 75, noise=16.0)
    assert between(times, 0, 5) > 20
    assert between(times, 60, 75) <= 2 * 15


@pytest.mark.parametrize("size", [20, 28, 40, 80])
@pytest.mark.parametrize("position", [(100, 100), (333, 207), (601, 449)])
def test_new_face_is_detected_within_three_tenths_of_a_second(astronaut, size, position):
    """The face is real, of any size and low contrast, without a body, and may be in a corner."""
    face = cv2.resize(astronaut[60:190, 170:290], (size, size), interpolation=cv2.INTER_AREA).astype(np.float32)
    empty = textured()
    with_face = empty.copy()
    x, y = (min(at, limit - size) for at, limit in zip(position, (WIDTH, HEIGHT), strict=True))
    with_face[y : y + size, x : x + size] = 110 + 0.5 * (face - face.mean())
    for appears in (10.1, 10.35, 10.6, 10.85):
        times = detections(lambda time, appears=appears: with_face if time >= appears else empty, 12)
        assert min(time for time in times if time >= appears) - appears <= 0.3


def test_face_that_slowly_comes_out_of_the_dark_is_detected():
    """No two frames differ by more than noise, but the face differs from the background."""
    empty = textured()
    face = np.zeros_like(empty)
    cv2.circle(face, (300, 200), 20, 60.0, -1)
    times = detections(lambda time: empty + face * min(max((time - 10) / 10, 0.0), 1.0), 25)
    late = [time for time in times if time >= 13]
    assert max(np.diff(late)) <= PRESENT_INTERVAL_S + 1e-6


@pytest.mark.parametrize("fps", [5, 12, 15, 24, 25, 30])
def test_motion_is_detected_at_the_full_rate(fps):
    """For a walker the detector runs ten times per second, or on every frame of a slower camera."""
    empty = textured()

    def walker(time):
        image = empty.copy()
        cv2.rectangle(image, (int(20 * time), 100), (int(20 * time) + 60, 400), 30.0, -1)
        return image

    times = detections(walker, 10, fps=fps)
    most = min(fps, MAX_FPS)
    assert 0.95 * most * 10 <= len(times) <= most * 10 + 2


def test_inexact_time_stamps_do_not_halve_the_rate():
    """At 10 frames per second that come up to 5 ms early or late, the detector runs on every frame."""
    rng = np.random.default_rng(2)
    gate = MotionGate(MAX_FPS, FULL_RATE_S)
    frames = [rng.integers(0, 256, (HEIGHT, WIDTH), np.uint8) for _ in range(100)]
    taken = [
        gate.select(frame, index / 10 + rng.uniform(-0.005, 0.005)) is not None for index, frame in enumerate(frames)
    ]
    assert sum(taken) >= 97


@pytest.mark.parametrize("factor", [0.5, 0.8, 1.25, 1.6])
def test_change_of_light_causes_few_detections(factor):
    """When lamps go on or off, or the exposure steps, there is one detection at once, and soon no more than before."""
    empty = textured()
    times = detections(lambda time: empty * factor if time >= 10.02 else empty, 60)
    assert between(times, 10.02, 10.15) == 1
    assert between(times, 50, 60) <= 11


def test_partly_lit_scene_becomes_background_within_two_minutes():
    """A lamp that lights a part of the scene is taken for a person at first."""
    empty = textured()
    lit = empty.copy()
    lit[:200, :200] += 40
    times = detections(lambda time: lit if time >= 5.02 else empty, 110)
    assert 3 * 10 <= between(times, 10, 20) <= 4 * 10
    assert between(times, 100, 110) <= 11


def test_flickering_light_is_learnt():
    """Light that varies by 3 %, twice a second, is motion at first and then noise."""
    empty = textured()
    times = detections(lambda time: empty * (1 + 0.03 * np.sin(4 * np.pi * time)), 60)
    assert between(times, 0, 5) > 20
    assert between(times, 50, 60) <= 11


def test_tracked_person_who_does_not_move_is_detected_every_three_tenths():
    """The track alone keeps the rate up, after the person has become background."""
    empty = textured()
    gate = MotionGate(MAX_FPS, FULL_RATE_S)
    rng, times = np.random.default_rng(3), []
    for time in each_frame(FPS, 0, 120):
        if gate.select(filmed(empty, rng), time):
            times.append(time)
            gate.update_tracks([track(7)], time)
    assert max(np.diff(times)) <= PRESENT_INTERVAL_S + 1e-6
    assert between(times, 100, 110) <= 40


def test_detector_runs_at_the_full_rate_after_tracks_change():
    """A new track, or one lost for a single detection, keeps the full rate for `full_rate_s`."""
    empty = textured()
    gate = MotionGate(MAX_FPS, FULL_RATE_S)
    rng, times, lost = np.random.default_rng(4), [], None
    for time in each_frame(10, 0, 30):
        if gate.select(filmed(empty, rng), time):
            times.append(time)
            if lost is None and time >= 20:
                lost = time
            gate.update_tracks([] if time < 10 or time == lost else [track(1)], time)
    assert between(times, 5, 9) <= 5
    assert between(times, 10.05, 11.5) >= 14
    assert between(times, 15, 18) <= 15
    assert between(times, lost + 0.05, lost + 1.5) >= 14


def test_without_follow_motion_only_the_rate_is_limited():
    """The detector runs at ``max_fps``, or on every frame."""
    empty = textured()
    assert len(detections(lambda time: empty, 10, gate=MotionGate(MAX_FPS, FULL_RATE_S, follow_motion=False))) >= 100
    assert len(detections(lambda time: empty, 10, gate=MotionGate(1e6, FULL_RATE_S, follow_motion=False))) == 151


def test_frames_of_any_size_are_compared():
    """They may be narrower than the grid, a single row, odd or large; the detector runs on a frame of a new size."""
    gate = MotionGate(1000, FULL_RATE_S)
    for time, shape in enumerate([(1, 1), (3, 200), (200, 3), (33, 47), (478, 848), (1080, 1920), (480, 640)]):
        assert gate.select(np.zeros(shape, np.uint8), float(time))
        assert not gate.select(np.zeros(shape, np.uint8), time + 0.1)


def test_new_size_that_comes_too_early_is_detected_on_a_later_frame():
    """A frame is never compared with references of another size."""
    gate = MotionGate(MAX_FPS, FULL_RATE_S)
    small, large = np.zeros((480, 640), np.uint8), np.zeros((720, 1280), np.uint8)
    frames = [(small, 0.0), (small, 0.5), (small, 1.0), (large, 1.04), (small, 1.06), (small, 1.08), (small, 1.12)]
    assert [gate.select(*frame) is not None for frame in frames] == [True, False, True, True, False, False, True]


@pytest.mark.parametrize("shape", [(480, 640), (720, 1280), (450, 800)])
def test_cell_is_the_mean_of_its_pixels(shape):
    """Of an image that rises in steps from left to right, the cells are those steps."""
    side = 2 * round(shape[1] / 128)
    steps = np.arange(shape[1] // side)
    pixels = np.zeros(shape, np.uint8)
    pixels[:, : len(steps) * side] = np.repeat(steps, side).astype(np.uint8)
    assert np.array_equal(cell_means(pixels), np.tile(steps, (shape[0] // side, 1)))
