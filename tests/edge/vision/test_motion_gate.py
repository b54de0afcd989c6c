"""On which frames the detector runs: drawn scenes with a sensor's noise, a real face, changes of light."""

import cv2
import numpy as np
import pytest

from edge.vision.motion_gate import EMPTY_S, PRESENT_S, MotionGate, cells
from tests.support.fakes import each_frame

HEIGHT, WIDTH = 480, 640
FPS, MAX_FPS = 15, 10.0
SETTLE_S = 1.5


def place(seed=0):
    """A textured place, grey (480, 640), float32."""
    rng = np.random.default_rng(seed)
    smooth = cv2.GaussianBlur(rng.normal(0, 1, (HEIGHT, WIDTH)).astype(np.float32), (0, 0), 9)
    return (110 + 50 * smooth / np.abs(smooth).max()).astype(np.float32)


GRAIN = np.random.default_rng(9).normal(0, 1, (2 * HEIGHT, 2 * WIDTH)).astype(np.float32)


def filmed(picture, rng, noise=4.0):
    """A frame of it as a sensor gives it: some part of a large sheet of noise is added."""
    y, x = rng.integers(0, HEIGHT), rng.integers(0, WIDTH)
    frame = cv2.addWeighted(picture, 1.0, GRAIN[y : y + HEIGHT, x : x + WIDTH], noise, 0.0, dtype=cv2.CV_8U)
    return np.asarray(frame)


def detections(at, seconds, *, fps=FPS, noise=4.0, begin=0.0, gate=None):
    """The times at which the detector runs; ``at`` gives the picture that is filmed at a second."""
    gate = gate or MotionGate(MAX_FPS, SETTLE_S)
    rng = np.random.default_rng(1)
    return [
        time
        for time in each_frame(fps, begin, begin + seconds)
        if gate.should_detect(filmed(at(time), rng, noise), time)
    ]


def between(times, begin, end):
    return sum(begin <= time < end for time in times)


@pytest.mark.parametrize("noise", [0.0, 2.0, 4.0, 8.0])
def test_an_empty_scene_is_looked_at_once_a_second(noise):
    """Noise of a sensor, up to that of a dark room, is no motion."""
    empty = place()
    times = detections(lambda time: empty, 30, noise=noise)
    assert 29 <= len(times) <= 33
    assert max(np.diff(times)) <= EMPTY_S + 1e-6


def test_the_noise_of_a_night_is_learnt():
    """Twice as much noise looks like motion at first, and within a minute no longer."""
    empty = place()
    times = detections(lambda time: empty, 75, noise=16.0)
    assert between(times, 0, 5) > 20
    assert between(times, 60, 75) <= 2 * 15


@pytest.mark.parametrize("size", [20, 28, 40, 80])
@pytest.mark.parametrize("place_at", [(100, 100), (333, 207), (601, 449)])
def test_a_face_that_appears_is_looked_at_within_three_tenths_of_a_second(astronaut, size, place_at):
    """A real face of any size, alone, without a body, of little contrast, in the corner too."""
    face = cv2.resize(astronaut[60:190, 170:290], (size, size), interpolation=cv2.INTER_AREA).astype(np.float32)
    empty = place()
    with_face = empty.copy()
    x, y = (min(at, limit - size) for at, limit in zip(place_at, (WIDTH, HEIGHT), strict=True))
    with_face[y : y + size, x : x + size] = 110 + 0.5 * (face - face.mean())
    for appears in (10.1, 10.35, 10.6, 10.85):
        times = detections(lambda time, appears=appears: with_face if time >= appears else empty, 12)
        assert min(time for time in times if time >= appears) - appears <= 0.3


def test_a_face_that_comes_out_of_the_dark_slowly_is_looked_at():
    """Between two frames nothing changes by more than noise, but what differs from the background is noticed."""
    empty = place()
    face = np.zeros_like(empty)
    cv2.circle(face, (300, 200), 20, 60.0, -1)
    times = detections(lambda time: empty + face * min(max((time - 10) / 10, 0.0), 1.0), 25)
    late = [time for time in times if time >= 13]
    assert max(np.diff(late)) <= PRESENT_S + 1e-6


@pytest.mark.parametrize("fps", [5, 12, 15, 24, 25, 30])
def test_motion_is_looked_at_as_often_as_allowed(fps):
    """A walker: ten times a second, or on every frame of a camera that gives fewer."""
    empty = place()

    def walker(time):
        picture = empty.copy()
        cv2.rectangle(picture, (int(20 * time), 100), (int(20 * time) + 60, 400), 30.0, -1)
        return picture

    times = detections(walker, 10, fps=fps)
    most = min(fps, MAX_FPS)
    assert 0.95 * most * 10 <= len(times) <= most * 10 + 2


def test_time_stamps_that_shake_do_not_halve_the_rate():
    """A camera of 10 frames a second whose frames come up to 5 ms early or late: every frame is taken."""
    rng = np.random.default_rng(2)
    gate = MotionGate(MAX_FPS, SETTLE_S)
    frames = [rng.integers(0, 256, (HEIGHT, WIDTH), np.uint8) for _ in range(100)]
    taken = [gate.should_detect(frame, index / 10 + rng.uniform(-0.005, 0.005)) for index, frame in enumerate(frames)]
    assert sum(taken) >= 97


@pytest.mark.parametrize("factor", [0.5, 0.8, 1.25, 1.6])
def test_a_change_of_light_is_looked_at_but_not_for_ever(factor):
    """Lamps go on or off, or the exposure steps: one detection at once, soon no more than before."""
    empty = place()
    times = detections(lambda time: empty * factor if time >= 10.02 else empty, 60)
    assert between(times, 10.02, 10.15) == 1
    assert between(times, 50, 60) <= 11


def test_a_lamp_that_lights_a_part_of_the_scene_is_looked_at_for_two_minutes_at_most():
    """It is not background at first, as somebody who has come to stay is not; then it is."""
    empty = place()
    lit = empty.copy()
    lit[:200, :200] += 40
    times = detections(lambda time: lit if time >= 5.02 else empty, 110)
    assert 3 * 10 <= between(times, 10, 20) <= 4 * 10
    assert between(times, 100, 110) <= 11


def test_lamps_that_flicker_are_learnt():
    """Mains light that beats with the camera, 3 % up and down, twice a second: at first motion, then noise."""
    empty = place()
    times = detections(lambda time: empty * (1 + 0.03 * np.sin(4 * np.pi * time)), 60)
    assert between(times, 0, 5) > 20
    assert between(times, 50, 60) <= 11


def test_somebody_who_is_tracked_and_stands_still_is_looked_at_every_three_tenths():
    """Long enough for the scene to have become background."""
    empty = place()
    gate = MotionGate(MAX_FPS, SETTLE_S)
    rng, times = np.random.default_rng(3), []
    for time in each_frame(FPS, 0, 120):
        if gate.should_detect(filmed(empty, rng), time):
            times.append(time)
            gate.update_tracks([7], time)
    assert max(np.diff(times)) <= PRESENT_S + 1e-6
    assert between(times, 100, 110) <= 40


def test_while_tracks_change_nothing_is_saved():
    """One that is new, or lost for one detection: at the full rate for as long as a lost track is waited for."""
    empty = place()
    gate = MotionGate(MAX_FPS, SETTLE_S)
    rng, times, lost = np.random.default_rng(4), [], None
    for time in each_frame(10, 0, 30):
        if gate.should_detect(filmed(empty, rng), time):
            times.append(time)
            if lost is None and time >= 20:
                lost = time
            gate.update_tracks([] if time < 10 or time == lost else [1], time)
    assert between(times, 5, 9) <= 5
    assert between(times, 10.05, 11.5) >= 14
    assert between(times, 15, 18) <= 15
    assert between(times, lost + 0.05, lost + 1.5) >= 14


def test_every_frame_may_be_asked_for():
    """Where work need not follow motion only the rate is bounded."""
    empty = place()
    assert len(detections(lambda time: empty, 10, gate=MotionGate(MAX_FPS, SETTLE_S, follow_motion=False))) >= 100
    assert len(detections(lambda time: empty, 10, gate=MotionGate(1e6, SETTLE_S, follow_motion=False))) == 151


def test_frames_of_any_size_are_compared():
    """Narrower than the grid, a single row, odd sizes, large: a frame of another size is looked at."""
    gate = MotionGate(1000, SETTLE_S)
    for time, shape in enumerate([(1, 1), (3, 200), (200, 3), (33, 47), (478, 848), (1080, 1920), (480, 640)]):
        assert gate.should_detect(np.zeros(shape, np.uint8), float(time))
        assert not gate.should_detect(np.zeros(shape, np.uint8), time + 0.1)


def test_a_frame_of_another_size_that_comes_too_early_is_looked_at_next():
    """The reference of the size before is not compared with it."""
    gate = MotionGate(MAX_FPS, SETTLE_S)
    small, large = np.zeros((480, 640), np.uint8), np.zeros((720, 1280), np.uint8)
    frames = [(small, 0.0), (small, 0.5), (small, 1.0), (large, 1.04), (small, 1.06), (small, 1.08), (small, 1.12)]
    assert [gate.should_detect(*frame) for frame in frames] == [True, False, True, True, False, False, True]


@pytest.mark.parametrize("shape", [(480, 640), (720, 1280), (450, 800)])
def test_a_cell_is_the_mean_of_its_pixels(shape):
    """In steps of grey level from left to right: the cells are those steps."""
    side = 2 * round(shape[1] / 128)
    steps = np.arange(shape[1] // side)
    pixels = np.zeros(shape, np.uint8)
    pixels[:, : len(steps) * side] = np.repeat(steps, side).astype(np.uint8)
    assert np.array_equal(cells(pixels), np.tile(steps, (shape[0] // side, 1)))
