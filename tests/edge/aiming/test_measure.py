"""Measures of the camera's view, with the shipped models on the demonstration's portraits."""

import cv2
import numpy as np
import pytest

from edge import build
from edge.aiming.advice import MAX_TURN
from edge.aiming.measure import Measurements, face_level, measure_scene, turn
from edge.counting.admit import Admission
from edge.counting.track import TrackUpdate
from edge.values import Box, Detection, Expression, Frame, Track
from edge.vision.detect import Detector

GREY = np.full((480, 640), 90, np.uint8)
FRONTAL = ((10.0, 20.0), (30.0, 20.0), (20.0, 30.0))
"""Right eye, left eye and nose."""


@pytest.mark.parametrize(
    ("nose", "expected"), [((20.0, 30.0), 0.0), ((25.0, 30.0), 0.25), ((32.0, 28.0), 0.6), ((8.0, 28.0), 0.6)]
)
def test_turn_is_the_offset_of_the_nose(nose, expected):
    """A nose in the middle is frontal, one beyond an eye is a profile, to either side."""
    face = Detection(Box(0, 0, 40, 40), 0.9, (*FRONTAL[:2], nose))
    assert turn(face) == pytest.approx(expected)
    assert turn(Detection(Box(0, 0, 40, 40), 0.9)) == 0.0


def test_a_portrait_is_frontal(astronaut):
    """The detector's landmarks of a portrait give a small turn, also when the head is tilted by 20 degrees."""
    detector = Detector(build.detector_bundle())
    tilt = cv2.getRotationMatrix2D((224, 115), 20, 1.0)
    for pixels in (astronaut, cv2.warpAffine(astronaut, tilt, (512, 512))):
        assert turn(detector.detect(pixels)[0]) < MAX_TURN


def test_scene_measures_light_and_blindness():
    """Black, covered and half white images are told apart."""
    half = np.full((480, 640), 40, np.uint8)
    half[:, 320:] = 255
    assert (measure_scene(np.zeros((480, 640), np.uint8)).blind, measure_scene(GREY).blind) == ("black", "covered")
    scene = measure_scene(half)
    assert (scene.blind, scene.bright) == (None, 0.5)
    assert scene.light == pytest.approx(147.5)


def test_face_level_is_clipped_to_the_image():
    """Only pixels of the image count; a box outside it has none."""
    assert face_level(GREY, Box(-50, -50, 100, 100)) == 90
    assert face_level(GREY, Box(700, 10, 50, 50)) == 0


def see(seen, time, tracks, *, excluded=(), good=()):
    """Report a frame with tracks as the pipeline does."""
    frame = Frame(GREY, time)
    seen.add_frame(frame)
    seen.on_tracks(frame, TrackUpdate(tracks, (), ()))
    admitted = tuple(track for track in tracks if track.number not in excluded)
    seen.on_admission(frame, Admission(admitted, tuple(excluded)))
    seen.on_expressions(frame, admitted, [Expression((1.0,), track.number in good) for track in admitted])


def track(number, size):
    """A track whose face has a size, from the front."""
    return Track(number, Detection(Box(0, 0, size, size), 0.9, FRONTAL), 0.0, 0.0, 1)


def test_people_of_the_last_minute_are_summed_up():
    """Unknown are those without a good observation; excluded, short and former people do not count."""
    seen = Measurements(needed_px=24, min_observations=3)
    for index in range(5):
        tracks = (track(1, 30 + index), track(2, 16), track(3, 50), *((track(4, 90),) if index == 0 else ()))
        see(seen, 0.1 * index, tracks, excluded=(3,), good=(1,) if index == 2 else ())
    assert {face.box.size: face.state for face in seen.faces} == {34: "unclear", 16: "small", 50: "excluded"}
    summary = seen.summary(0.5)
    assert (summary.people, summary.unknown, summary.face_px, summary.light, summary.turned) == (2, 1, 25, 90, 0)
    assert seen.rates(0.4) == (pytest.approx(10.0), pytest.approx(10.0))
    assert seen.summary(70.0).people == 0
