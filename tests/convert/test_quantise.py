"""Converting: int8 answers as float does, or the gate refuses."""

import os

import numpy as np
import pytest

from contract.card import Crop
from contract.errors import BundleError
from tests.support.drawings import OWN

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
pytest.importorskip("keras", reason="Keras is not installed (make train-setup)")
pytest.importorskip("tensorflow", reason="TensorFlow is not installed (make train-setup)")


def answered(rights):
    """Label -> right answers of so many: answers as a classifier of three labels would give them."""
    from training.evaluate.classifier_metrics import Predictions

    truth = np.repeat(np.arange(3), [total for _, total in rights])
    given = np.concatenate([np.where(np.arange(n) < right, at, (at + 1) % 3) for at, (right, n) in enumerate(rights)])
    return Predictions(truth, np.eye(3, dtype=np.float32)[given])


@pytest.mark.parametrize(
    ("after", "complaint"),
    [
        ([(896, 1000), (180, 200), (18, 20)], None),
        ([(890, 1000), (176, 200), (18, 20)], "accuracy falls"),
        ([(900, 1000), (173, 200), (18, 20)], "accuracy falls|recall of dissatisfied falls by 0.035"),
        ([(904, 1000), (173, 200), (18, 20)], "recall of dissatisfied falls by 0.035 on 200"),
        ([(900, 1000), (180, 200), (17, 20)], None),  # one face of twenty: nothing is sure
        ([(905, 1000), (180, 200), (12, 20)], "recall of neutral falls by 0.300 on 20"),
    ],
)
def test_the_gate_refuses_an_int8_model_that_lost_too_much(after, complaint):
    """Half a point of accuracy and three of a label's recall are allowed; of a rare label, what chance may do too."""
    from convert import gate

    before = answered([(900, 1000), (180, 200), (18, 20)])
    if complaint is None:
        gate.check("mood", gate.classifier_faults(before, answered(after), list(OWN)))
    else:
        with pytest.raises(BundleError, match=complaint):
            gate.check("mood", gate.classifier_faults(before, answered(after), list(OWN)))


def test_the_gate_refuses_a_detector_that_lost_too_much():
    """A hundredth of average precision is allowed."""
    from convert import gate

    gate.check("face", gate.detector_faults(0.8, 0.791))
    with pytest.raises(BundleError, match="average precision"):
        gate.check("face", gate.detector_faults(0.8, 0.789))


def test_int8_and_float_agree_and_nothing_is_left_in_float(trained):
    """The quantised file holds no float tensor, and its probabilities are those of the float model within 0.1."""
    from convert.quantise import float_tensors, quantise
    from edge.vision.bundle import Bundle
    from edge.vision.classify import Classifier
    from edge.vision.interpreter import Interpreter
    from training.data.face_cache import read
    from training.evaluate import float_model
    from training.networks.architectures import restored

    model = restored(trained / "model.keras")
    crops = read(trained / "cache.npz")[0].pixels[:60]
    content = quantise(model, "classify", crops[..., None])
    assert float_tensors(content) == []
    card = float_model.draft_classifier(list(OWN), 48, 48, Crop(margin=0.0, align="none"))
    exact = float_model.float_classifier(model, card).probabilities(crops)
    int8 = Classifier(Bundle(card, Interpreter(content))).probabilities(crops)
    assert np.abs(exact - int8).max() < 0.1
