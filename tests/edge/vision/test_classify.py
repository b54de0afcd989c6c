"""Expression classification: the arithmetic after the network, the quality thresholds, and a real smile."""

import cv2
import msgspec
import numpy as np
import pytest

from edge.build import classifier_bundle, detector_bundle
from edge.vision.bundle import Bundle
from edge.vision.classify import Classifier, resize, softmax
from edge.vision.detect import Detector
from tests.support.fakes import face


@pytest.fixture(scope="module")
def bundle():
    return classifier_bundle()


def with_card(bundle, **changes):
    """The shipped classifier with a card of other thresholds."""
    return Classifier(Bundle(msgspec.structs.replace(bundle.card, **changes), bundle.model))


def test_softmax_sums_to_one_and_does_not_overflow():
    """Logits far from zero are handled too."""
    logits = np.array([[0, 0, 0, 0], [1000, 0, -1000, 999], [-5, -5, -5, -4]], np.float32)
    given = softmax(logits)
    assert given.dtype == np.float32
    assert given.sum(1) == pytest.approx([1, 1, 1])
    assert given[0] == pytest.approx([0.25] * 4)
    assert given[1] == pytest.approx([np.e / (np.e + 1), 0, 0, 1 / (np.e + 1)])


def test_portrait_is_happy(bundle, astronaut):
    """A real face is detected, cropped and classified as happiness, and the observation is good."""
    faces = Detector(detector_bundle()).detect(astronaut)
    (expression,) = Classifier(bundle).classify(astronaut, faces)
    assert bundle.card.labels[int(np.argmax(expression.probabilities))] == "happiness"
    assert expression.good
    assert sum(expression.probabilities) == pytest.approx(1)


def test_one_expression_per_face_in_their_order(bundle, astronaut):
    """A batch of faces gives what each face gives alone; no face gives nothing."""
    classifier = Classifier(bundle)
    faces = [face(224, 115, 110), face(60, 400, 80), face(300, 300, 60), face(500, 20, 90)]
    together = classifier.classify(astronaut, faces)
    assert together == tuple(expression for each in faces for expression in classifier.classify(astronaut, [each]))
    assert len({expression.probabilities for expression in together}) == 4
    assert classifier.classify(astronaut, faces[::-1]) == together[::-1]
    assert classifier.classify(astronaut, []) == ()


def test_small_face_is_not_good(bundle, astronaut):
    """The longer side in the frame decides, not the size of the crop."""
    classifier = with_card(bundle, min_face_px=100, unknown_below=0.0)
    expressions = classifier.classify(astronaut, [face(224, 115, 99), face(224, 115, 100)])
    assert [expression.good for expression in expressions] == [False, True]


def test_uncertain_expression_is_not_good(bundle, astronaut):
    """The largest probability decides."""
    confidence = max(Classifier(bundle).classify(astronaut, [face(224, 115, 110)])[0].probabilities)
    for below, good in ((confidence - 0.001, True), (min(1.0, confidence + 0.001), False)):
        (expression,) = with_card(bundle, unknown_below=below).classify(astronaut, [face(224, 115, 110)])
        assert expression.good is good


def test_blurred_face_is_not_good(bundle, astronaut):
    """The card sets the limit; 0 switches it off."""
    blurred = cv2.GaussianBlur(astronaut, (0, 0), 12)
    strict, lax = (with_card(bundle, unknown_below=0.0, min_sharpness=limit) for limit in (30.0, 0.0))
    images = [astronaut, blurred]
    assert [strict.classify(pixels, [face(224, 115, 110)])[0].good for pixels in images] == [True, False]
    assert [lax.classify(pixels, [face(224, 115, 110)])[0].good for pixels in images] == [True, True]


def test_temperature_softens_probabilities(bundle, astronaut):
    """A higher temperature lowers the confidence, but does not change the label."""
    sharp, soft = (with_card(bundle, temperature=t).classify(astronaut, [face(224, 115, 110)])[0] for t in (0.5, 5.0))
    assert np.argmax(sharp.probabilities) == np.argmax(soft.probabilities)
    assert max(sharp.probabilities) > max(soft.probabilities)


def test_crops_of_any_size_are_classified(bundle, astronaut):
    """Images that are already crops may have any size; the size threshold applies to the image's size."""
    crop = astronaut[60:171, 170:281]
    tiny = cv2.resize(crop, (12, 12), interpolation=cv2.INTER_AREA)
    whole, small, wide = Classifier(bundle).classify_crops([crop, tiny, astronaut[60:171, 100:400]])
    assert bundle.card.labels[int(np.argmax(whole.probabilities))] == "happiness"
    assert whole.good
    assert not small.good
    assert sum(wide.probabilities) == pytest.approx(1)


@pytest.mark.parametrize("shape", [(48, 48), (64, 64), (300, 200), (1, 1), (20, 700)])
def test_resize_gives_the_size(shape):
    """A uniform image stays uniform when shrunk or enlarged; one of the right size is not changed."""
    pixels = np.random.default_rng(1).integers(0, 256, shape, np.uint8)
    assert resize(pixels, (64, 64)).shape == (64, 64)
    assert (resize(np.full(shape, 99, np.uint8), (64, 64)) == 99).all()
    if shape == (64, 64):
        assert (resize(pixels, (64, 64)) == pixels).all()
