"""The quick starts in the recipes' comments work as printed."""

import csv
import os
import re
import shlex

import cv2
import pytest

from contract.card import read_card
from tests.support.drawings import ROOT
from tests.support.training_commands import run
from tests.support.training_data import write_crops

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
pytest.importorskip("keras", reason="Keras is not installed (make train-setup)")
pytest.importorskip("tensorflow", reason="TensorFlow is not installed (make train-setup)")


@pytest.mark.parametrize(
    ("name", "labels"),
    [("cnn", ["happiness", "sadness", "neutral"]), ("mood", ["satisfied", "dissatisfied", "neutral"])],
)
def test_a_quick_start_works_as_printed(tmp_path, monkeypatch, name, labels):
    """The commands in the recipe's comment, with few steps, make a bundle of folders of crops. The run's folder holds a
    log with validation metrics and a preview of a batch.
    """
    write_crops(tmp_path / "data", labels)
    text = (ROOT / "training" / "recipes" / f"{name}.toml").read_text()
    lines = re.findall(r"^#   python (-m .*)$", text, re.MULTILINE)
    assert len(lines) == 4
    monkeypatch.chdir(tmp_path)
    for line in lines:
        _, program, *words = shlex.split(
            line.replace("DATA", "data").replace("training/recipes", f"{ROOT}/training/recipes")
        )
        words += ["--set", "model.steps=12", "--set", "model.batch=16"] if "train" in words else []
        words += ["--force"] if "quantise" in words else []
        run(program, *words)
    card = read_card((tmp_path / "runs" / "bundles" / f"{name}.json").read_bytes(), name)
    assert set(labels) <= set(card.labels)
    folder = tmp_path / "runs" / name
    with (folder / "training_log.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert 0 <= float(row["validation_accuracy"]) <= 1 and float(row["validation_loss"]) > 0
    assert cv2.imread(str(folder / "preview.png")).shape == (240, 960, 3)
