"""Expressions of faces: the arithmetic after the network, the gate for a verdict, and a real smile."""

import cv2
import msgspec
import numpy as np
import pytest

from edge.build import classifier_bundle, detector_bundle
from edge.vision.bundle import Bundle
from edge.vision.classify import Classifier, fit, softmax
from edge.vision.detect import Detector
from tests.support.fakes import face


@pytest.fixture(scope="module")
def bundle():
    return classifier_bundle()


def with_card(bundle, **changes):
    """The shipped classifier under a card with other limits."""
    return Classifier(Bundle(msgspec.structs.replace(bundle.card, **changes), bundle.model))


def test_softmax_sums_to_one_and_does_not_overflow():
    """Also of logits far from zero."""
    logits = np.array([[0, 0, 0, 0], [1000, 0, -1000, 999], [-5, -5, -5, -4]], np.float32)
    given = softmax(logits)
    assert given.dtype == np.float32
    assert given.sum(1) == pytest.approx([1, 1, 1])
    assert given[0] == pytest.approx([0.25] * 4)
    assert given[1] == pytest.approx([np.e / (np.e + 1), 0, 0, 1 / (np.e + 1)])


def test_portrait_is_happy(bundle, astronaut):
    """The whole way on a real face: found, cut out, classified, good enough for a verdict."""
    faces = Detector(detector_bundle()).detect(astronaut)
    (look,) = Classifier(bundle).classify(astronaut, faces)
    assert bundle.card.labels[int(np.argmax(look.probabilities))] == "happiness"
    assert look.good
    assert sum(look.probabilities) == pytest.approx(1)


def test_one_expression_a_face_in_their_order(bundle, astronaut):
    """A batch of faces gives what each gives alone, and nobody nothing."""
    classifier = Classifier(bundle)
    faces = [face(224, 115, 110), face(60, 400, 80), face(300, 300, 60), face(500, 20, 90)]
    together = classifier.classify(astronaut, faces)
    assert together == tuple(look for each in faces for look in classifier.classify(astronaut, [each]))
    assert len({look.probabilities for look in together}) == 4
    assert classifier.classify(astronaut, faces[::-1]) == together[::-1]
    assert classifier.classify(astronaut, []) == ()


def test_small_face_is_no_verdict(bundle, astronaut):
    """By its longer side in the frame, not by the size it is blown up to."""
    classifier = with_card(bundle, min_face_px=100, unknown_below=0.0)
    looks = classifier.classify(astronaut, [face(224, 115, 99), face(224, 115, 100)])
    assert [look.good for look in looks] == [False, True]


def test_uncertain_face_is_no_verdict(bundle, astronaut):
    """The largest probability decides."""
    certain = max(Classifier(bundle).classify(astronaut, [face(224, 115, 110)])[0].probabilities)
    for below, good in ((certain - 0.001, True), (min(1.0, certain + 0.001), False)):
        (look,) = with_card(bundle, unknown_below=below).classify(astronaut, [face(224, 115, 110)])
        assert look.good is good


def test_blurred_face_is_no_verdict(bundle, astronaut):
    """Where the card sets a limit; 0 switches it off."""
    blurred = cv2.GaussianBlur(astronaut, (0, 0), 12)
    strict, lax = (with_card(bundle, unknown_below=0.0, min_sharpness=limit) for limit in (30.0, 0.0))
    sights = [astronaut, blurred]
    assert [strict.classify(pixels, [face(224, 115, 110)])[0].good for pixels in sights] == [True, False]
    assert [lax.classify(pixels, [face(224, 115, 110)])[0].good for pixels in sights] == [True, True]


def test_temperature_softens(bundle, astronaut):
    """A higher temperature changes how sure an answer is, not which it is."""
    sure, calm = (with_card(bundle, temperature=t).classify(astronaut, [face(224, 115, 110)])[0] for t in (0.5, 5.0))
    assert np.argmax(sure.probabilities) == np.argmax(calm.probabilities)
    assert max(sure.probabilities) > max(calm.probabilities)


def test_crops_of_any_size_are_fitted(bundle, astronaut):
    """Pictures that are faces already: any size, each its own answer, the size gate by the picture's."""
    crop = astronaut[60:171, 170:281]
    tiny = cv2.resize(crop, (12, 12), interpolation=cv2.INTER_AREA)
    whole, small, wide = Classifier(bundle).classify_crops([crop, tiny, astronaut[60:171, 100:400]])
    assert bundle.card.labels[int(np.argmax(whole.probabilities))] == "happiness"
    assert whole.good
    assert not small.good
    assert sum(wide.probabilities) == pytest.approx(1)


@pytest.mark.parametrize("shape", [(48, 48), (64, 64), (300, 200), (1, 1), (20, 700)])
def test_fit_gives_the_size(shape):
    """Shrunk or blown up, an even picture stays even, and one of the right size stays as it is."""
    pixels = np.random.default_rng(1).integers(0, 256, shape, np.uint8)
    assert fit(pixels, (64, 64)).shape == (64, 64)
    assert (fit(np.full(shape, 99, np.uint8), (64, 64)) == 99).all()
    if shape == (64, 64):
        assert (fit(pixels, (64, 64)) == pixels).all()
