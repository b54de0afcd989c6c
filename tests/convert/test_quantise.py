"""Quantisation and its gate: the int8 model predicts as the float model, or is refused."""

import math
import os

import numpy as np
import pytest

from contract.card import Crop
from contract.errors import BundleError
from tests.support.drawings import OWN

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
pytest.importorskip("keras", reason="Keras is not installed (make train-setup)")
pytest.importorskip("tensorflow", reason="TensorFlow is not installed (make train-setup)")


def predicted(rights):
    """Predictions of a classifier of three labels with so many correct of so many faces of each."""
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
    """Half a point of accuracy and three of a label's recall may be lost; of a rare label, what may be random, too."""
    from convert import gate

    before = predicted([(900, 1000), (180, 200), (18, 20)])
    if complaint is None:
        gate.check("mood", gate.classifier_faults(before, predicted(after), list(OWN)))
    else:
        with pytest.raises(BundleError, match=complaint):
            gate.check("mood", gate.classifier_faults(before, predicted(after), list(OWN)))


def test_the_gate_refuses_a_detector_that_lost_too_much():
    """A hundredth of average precision may be lost. A figure that is not a number is refused."""
    from convert import gate

    gate.check("face", gate.detector_faults(0.8, 0.791))
    gate.check("face", gate.detector_faults(1.0, 0.99))  # as binary numbers they differ by more
    assert gate.detector_faults(0.8, math.nan)
    assert gate.detector_faults(math.nan, 0.8)
    with pytest.raises(BundleError, match="average precision"):
        gate.check("face", gate.detector_faults(0.8, 0.789))


def test_the_gate_refuses_a_face_check_that_lost_too_much():
    """A hundredth of the area under the ROC curve may be lost; other figures are not compared."""
    from convert import gate

    fine = {"backs.auc.float": 0.9, "backs.auc.int8": 0.891, "backs.false.float": 0.3, "backs.false.int8": 0.1}
    assert gate.check_faults(fine) == []
    (fault,) = gate.check_faults(fine | {"backs.auc.int8": 0.889})
    assert fault == "backs.auc falls from 0.9000 to 0.8890; 0.01 is allowed"
    assert gate.check_faults({"faces.ap.float": 0.9, "faces.ap.int8": 0.88})


@pytest.mark.parametrize(
    ("rights", "complaint"),
    [
        (
            [(900, 1000), (0, 200), (0, 20)],
            "accuracy is 0.7377; more than 0.8197, the fraction of satisfied, is allowed",
        ),
        ([(990, 1000), (190, 200), (0, 20)], "recall of neutral is 0 on 20 faces"),
    ],
)
def test_the_gate_refuses_a_useless_classifier_unless_forced(rights, complaint):
    """One no better than the majority label, or without a correct face of a label, is refused, even if int8 equals
    float. Forced, the card's notes say so.
    """
    from convert import gate

    faults = gate.classifier_faults(predicted(rights), predicted(rights), list(OWN))
    with pytest.raises(BundleError, match=f"mood: .*{complaint}.*--force"):
        gate.check("mood", faults)
    assert complaint in gate.check("mood", faults, force=True)
    assert gate.check("mood", [], force=True) == ""


def test_int8_and_float_agree_and_nothing_is_left_in_float(trained):
    """The quantised file holds no float tensor, and its probabilities are within 0.1 of the float model's."""
    from convert.quantise import float_tensors, quantise
    from edge.vision.bundle import Bundle
    from edge.vision.classify import Classifier
    from edge.vision.interpreter import Interpreter
    from training.data.face_cache import read
    from training.evaluate import float_model
    from training.networks.architectures import load_model

    model = load_model(trained / "model.keras")
    crops = read(trained / "cache.npz")[0].pixels[:60]
    content = quantise(model, "classify", crops[..., None])
    assert float_tensors(content) == []
    card = float_model.draft_classifier(list(OWN), 48, 48, Crop(margin=0.0, align="none"))
    exact = float_model.float_classifier(model, card).probabilities(crops)
    int8 = Classifier(Bundle(card, Interpreter(content))).probabilities(crops)
    assert np.abs(exact - int8).max() < 0.1
