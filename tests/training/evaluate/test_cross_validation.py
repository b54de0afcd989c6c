"""Cross-validation: photographs predicted by the runs that held them out."""

import os

import numpy as np
import pytest

from tests.support.drawings import RECIPE, draw_cache
from tests.support.training_commands import run

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
pytest.importorskip("keras", reason="Keras is not installed (make train-setup)")
pytest.importorskip("tensorflow", reason="TensorFlow is not installed (make train-setup)")


def test_every_photograph_is_scored_once(tmp_path):
    """Two runs of five folds score two fifths of sixty photographs. The same fold twice, and a folder without a run,
    are refused by name.
    """
    (tmp_path / "mood.toml").write_text(RECIPE)
    runs = [tmp_path / f"fold-{fold}" for fold in (0, 4)]
    for of in runs:
        of.mkdir()
        draw_cache(of / "cache.npz")
        keys = ("--set", f"model.photo_fold={of.name[-1]}", "--set", "model.steps=2")
        run("training", "train", tmp_path / "mood.toml", "--run", of, *keys)
    lines = run("training", "pool", *runs).stdout.splitlines()
    assert lines[0] == "24 photographs of 2 folds"
    assert lines[1].split() == ["float"]
    rows = {line[:32].strip(): line[32:].split() for line in lines[2:]}
    assert 0 <= float(rows["accuracy"][0]) <= 23 / 24  # in one of them no face was found
    assert float(rows["accuracy"][1].strip("(")) <= float(rows["accuracy"][0]) <= float(rows["accuracy"][3].strip(")"))
    assert {"macro recall", "accuracy, `unknown` wrong", "crop left", "crop wider"} <= set(rows)
    for refused, why in (((runs[0], runs[0]), "hold out [0, 0]"), ((tmp_path,), "recipe.json")):
        assert why in run("training", "pool", *refused, code=2).stderr


def test_estimates_and_intervals_by_hand():
    """Of label 0 nine of ten are correct, of label 1 one of two; label 2 does not occur and does not count."""
    from training.evaluate.classifier_metrics import Predictions
    from training.evaluate.cross_validation import estimates

    truth = np.repeat([0, 1], [10, 2])
    chosen = np.array([0] * 9 + [1, 1, 0])
    found = estimates(Predictions(truth, np.eye(3, dtype=np.float32)[chosen]))
    value, low, high = found["accuracy"]
    assert value == pytest.approx(10 / 12)
    assert low == pytest.approx(10 / 12 - 1.96 * (10 / 12 * 2 / 12 / 12) ** 0.5, abs=0.06)
    assert high <= 1
    assert found["macro recall"][0] == pytest.approx((0.9 + 0.5) / 2)
    assert found["macro recall"][1] < found["macro recall"][0] < found["macro recall"][2]


def test_faces_not_found_or_unknown_are_wrong():
    """A face that was not found has a row of zeros; the device predicts `unknown` for small and uncertain ones."""
    from types import SimpleNamespace

    from training.evaluate.classifier_metrics import Predictions
    from training.evaluate.cross_validation import _without_unknown

    probabilities = np.array([[0.9, 0.1], [0.6, 0.4], [0.9, 0.1], [0, 0]], np.float32)
    part = SimpleNamespace(photo_side=np.array([50, 50, 20, 0]), photo_targets=np.eye(2)[[0, 0, 0, 0]])
    held = SimpleNamespace(part=part, recipe=SimpleNamespace(min_face_px=24))
    model = SimpleNamespace(card=SimpleNamespace(unknown_below=0.7))
    answers = Predictions(np.zeros(4, np.intp), probabilities)
    assert answers.correct.tolist() == [True, True, True, False]
    assert _without_unknown(answers, held, model).correct.tolist() == [True, False, False, False]
