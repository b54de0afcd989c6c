"""The face check: the shipped network on a real face and on look-alikes, and the arithmetic around it."""

from dataclasses import replace

import msgspec
import numpy as np
import pytest

from contract.card import CheckCard
from edge.build import detector_bundle
from edge.stages import Observer
from edge.values import Detection, Frame
from edge.vision.bundle import DEFAULT_CHECK, Bundle, load
from edge.vision.detect import Detector
from edge.vision.face_check import MAX_CHECKED, FaceCheck
from edge.vision.region import Region, View, detect_in_view
from tests.support.scripted import ScriptedFaces, scripted_pipeline

SCORE = 0.6
"""A score that is just above the thresholds of the shipped detectors."""
BACKGROUND = [(400, 150, 80), (100, 350, 90), (350, 120, 60), (40, 60, 70)]
"""Centre and size of parts of the portrait without a face: model of a shuttle, suit, dark, flag."""


@pytest.fixture(scope="module")
def bundle():
    return load(DEFAULT_CHECK, CheckCard)


@pytest.fixture(scope="module")
def check(bundle):
    return FaceCheck(bundle)


@pytest.fixture(scope="module")
def detector():
    return Detector(detector_bundle())


@pytest.fixture(scope="module")
def face(detector, astronaut):
    """The detection of the portrait's face."""
    (found,) = detector.detect(astronaut)
    return found


def background(x, y, size, score=SCORE):
    """A detection where there is no face."""
    return Detection((x - size / 2, y - size / 2, size, size), score)


def test_a_face_stays_one_and_a_look_alike_does_not(check, face, astronaut):
    """With the same score of the detector, a face keeps a score above the threshold, and other things fall below."""
    faces = [replace(face, score=SCORE), *(background(*place) for place in BACKGROUND)]
    checked = check.check(astronaut, faces)
    threshold = detector_bundle().card.threshold
    assert [each.face_score >= threshold for each in checked] == [True, False, False, False, False]
    assert all(each.face_score < 0.7 * SCORE for each in checked[1:])


def test_only_the_face_score_changes(check, face, astronaut):
    """Order, boxes, landmarks and the detector's scores stay: tracks are continued by them."""
    faces = (background(*BACKGROUND[0], score=0.8), replace(face, score=0.7), background(*BACKGROUND[1], score=0.3))
    checked = check.check(astronaut, faces)
    assert tuple(replace(each, checked=None) for each in checked) == faces
    assert all(each.checked is not None for each in checked)
    assert checked[1].face_score == max(each.face_score for each in checked)


def test_a_high_score_is_not_checked(check, astronaut):
    """From ``checked_below`` on, the face score is the detector's score, whatever the image shows."""
    limit = check.card.checked_below
    scores = [limit, (1 + limit) / 2, 1.0]
    found = check.check(astronaut, [background(*BACKGROUND[0], score=score) for score in scores])
    assert [each.face_score for each in found] == scores
    (below,) = check.check(astronaut, [background(*BACKGROUND[0], score=limit - 1e-3)])
    assert below.face_score < limit - 0.05


def test_a_face_score_is_a_probability_at_any_score(bundle, face, astronaut):
    """Also at the scores 0 and 1, whose logit is not finite; a higher score has a higher face score."""
    check = FaceCheck(Bundle(msgspec.structs.replace(bundle.card, checked_below=1.0), bundle.model))
    scores = [check.face_score(astronaut, replace(face, score=score)) for score in (0.0, 1e-9, 0.5, 1 - 1e-9, 1.0)]
    assert (scores[0], scores[-1]) == (0.0, 1.0)
    assert scores == sorted(set(scores))


def test_few_detections_of_a_frame_are_checked(check, face, astronaut):
    """Those with the highest scores, which come first, are checked; the others keep the detector's score.

    Detections that need no check do not count.
    """
    certain, uncertain = replace(face, score=0.99), replace(face, score=SCORE)
    faces = check.check(astronaut, [certain] * 3 + [uncertain] * (MAX_CHECKED + 2))
    assert {each.face_score for each in faces[:3]} == {0.99}
    assert {each.face_score for each in faces[3:-2]} == {check.face_score(astronaut, uncertain)}
    assert [(each.checked, each.face_score) for each in faces[-2:]] == [(None, SCORE)] * 2
    assert {each.score for each in faces[3:]} == {SCORE}


class OneRegion:
    """Shows the detector the same part of every frame."""

    def __init__(self, region):
        self.region = region

    def select(self, pixels, time):
        return View(self.region)

    def update_tracks(self, tracks, time):
        pass


class Detections(Observer):
    """Keeps the detections of the last frame."""

    def on_detections(self, frame, detections):
        self.last = detections


def test_check_sees_the_whole_frame(bundle, detector, astronaut):
    """Also if the detector saw a part that ends close to the face: the check sees what is around that part."""
    always = FaceCheck(Bundle(msgspec.structs.replace(bundle.card, checked_below=1.0), bundle.model))
    (face,) = detector.detect(astronaut)
    left, top = int(face.box.left - 30), int(face.box.top - 30)
    region = Region(left, top, int(face.box.width + 60), int(face.box.height + 60))
    seen = Detections()
    pipeline, _ = scripted_pipeline(ScriptedFaces(None), [Frame(astronaut, 0.0)], observer=seen)
    analyzer = pipeline.analyzer
    analyzer.detector, analyzer.check, analyzer.motion = detector, always, OneRegion(region)
    pipeline.run()
    (found,) = seen.last
    (in_frame,) = detect_in_view(detector, astronaut, View(region))
    part = astronaut[top : top + region.height, left : left + region.width]
    (in_part,) = always.check(part, detector.detect(part))
    assert found == always.check(astronaut, [in_frame])[0]
    assert found.score == in_part.score
    assert found.face_score > in_part.face_score + 0.01


def test_check_sees_the_resolution_of_the_frame(check, face, astronaut):
    """A face that is lost in noise as fine as a pixel is no face, although the detector's score is the same."""
    noise = np.random.default_rng(0).integers(0, 256, astronaut.shape).astype(np.uint8)
    assert check.value(astronaut, face) > check.value(noise, face)
