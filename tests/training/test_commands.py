"""Training, evaluation and conversion of classifiers on small, drawn data."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from contract.card import read_card
from tests.support.drawings import OWN, RECIPE, ROOT, draw_cache, train, weights
from tests.support.training_commands import run

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
keras = pytest.importorskip("keras", reason="Keras is not installed (make train-setup)")
pytest.importorskip("tensorflow", reason="TensorFlow is not installed (make train-setup)")


def test_soft_labels_map_votes_onto_own_categories():
    """Votes become distributions over the recipe's labels. Single votes and faces of other labels do not count."""
    from training.data.label_targets import from_votes

    votes = np.zeros((4, 10), np.uint8)
    votes[0, [1, 2]] = (6, 4)  # happiness, surprise: 6 and half of 4 are satisfied
    votes[1, [3, 0]] = (5, 5)  # sadness and neutral
    votes[2, [0, 1]] = (9, 1)  # one slip
    votes[3, [8, 0]] = (8, 2)  # mostly unknown
    labels = from_votes(votes, OWN)
    np.testing.assert_allclose(labels, [[1, 0, 0], [0, 0.5, 0.5], [0, 0, 1], [0, 0, 0]], atol=1e-6)


def test_a_run_killed_and_resumed_ends_at_the_same_weights(trained, tmp_path):
    """Training that is killed after a checkpoint and started again ends with the same weights, bit for bit."""
    draw_cache(tmp_path / "cache.npz")
    (tmp_path / "mood.toml").write_text(RECIPE)
    script = (
        "import os, sys; from training.fit import loop; save = loop.save\n"
        "def once(model, path):\n    save(model, path)\n    os.kill(os.getpid(), 9)\n"
        "loop.save = once\nloop.EPOCH = 7\n"
        "from training.__main__ import main; main(sys.argv[1:])"
    )
    arguments = ["train", str(tmp_path / "mood.toml"), "--run", str(tmp_path)]
    killed = subprocess.run([sys.executable, "-c", script, *arguments], cwd=ROOT, capture_output=True, check=False)
    assert killed.returncode == -9
    assert not (tmp_path / "model.keras").exists()
    train(tmp_path, tmp_path / "mood.toml")
    for whole, resumed in zip(weights(trained), weights(tmp_path), strict=True):
        np.testing.assert_array_equal(whole, resumed)


def test_other_categories_become_a_bundle_that_the_daemon_runs(trained, quantised):
    """A recipe with other labels is quantised and verified, and the daemon predicts those labels."""
    card = read_card(quantised.read_bytes(), "mood.json")
    assert card.labels == ("satisfied", "dissatisfied", "neutral")
    assert "FULLY_CONNECTED" in card.operators
    assert np.array(card.confusion).shape == (3, 3)
    run("convert", "verify", quantised, "--run", trained)
    skimage = pytest.importorskip("skimage")
    portrait = Path(skimage.__file__).parent / "data" / "astronaut.png"
    command = [
        sys.executable,
        "-m",
        "edge",
        "try",
        "--json",
        "--classifier",
        str(quantised),
        str(portrait),
    ]
    row = json.loads(subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout)
    assert list(row["faces"][0]["probabilities"]) == ["satisfied", "dissatisfied", "neutral"]


@pytest.mark.filterwarnings("ignore:__array__ implementation")  # Keras's own, with NumPy 2
def test_a_run_in_bfloat16_becomes_the_bundle_of_the_same_weights(trained, tmp_path):
    """Only weights reach the bundle: the card equals that of the float32 network but for the sha256, since layers have
    other names.
    """
    import msgspec

    from convert import write_bundle
    from training.fit import loop
    from training.networks import architectures
    from training.trained_run import open_run

    exact = architectures.load_model(trained / "model.keras")
    model = loop.build_with_precision("mixed_bfloat16", lambda: architectures.cnn(exact.input_shape[1], 3))
    model.set_weights(exact.get_weights())
    for name in ("recipe.json", "cache.npz"):
        (tmp_path / name).write_bytes((trained / name).read_bytes())
    model.save(tmp_path / "model.keras")
    wanted, given = (write_bundle.make(open_run(run), tmp_path / "out") for run in (trained, tmp_path))
    assert given == msgspec.structs.replace(wanted, sha256=given.sha256)


@pytest.mark.filterwarnings("ignore:__array__ implementation")  # Keras's own, with NumPy 2
def test_training_goes_on_from_a_bundle_or_a_run(trained, quantised, tmp_path):
    """Training starts from a run or from the int8 file of a bundle: after a step at a vanishing rate the network
    predicts the same. A start of another size, one trained on near-duplicates, and a teacher of other labels are named.
    """
    import msgspec

    from base.errors import SettingsError
    from contract.errors import BundleError
    from edge.vision import bundle
    from training import recipe
    from training.data.face_cache import Faces
    from training.evaluate import classifier_metrics
    from training.fit.classifier_task import ClassifierTask
    from training.fit.distil import distilled_targets
    from training.networks import architectures
    from training.trained_run import open_run

    one_step = ("model.steps=1", "model.peak_rate=1e-9", "model.weight_decay=0")
    first = recipe.read(trained / "mood.toml", one_step)
    crops = Faces.load(trained / "cache.npz", first, "test").crops(first)[0]
    wanted = classifier_metrics.softmax(
        classifier_metrics.logits(architectures.load_model(trained / "model.keras"), crops)
    )
    for number, start in enumerate((trained, quantised)):
        run = tmp_path / str(number)
        run.mkdir()
        draw_cache(run / "cache.npz")
        ClassifierTask(msgspec.structs.replace(first, start=str(start))).train(run)
        given = classifier_metrics.softmax(
            classifier_metrics.logits(architectures.load_model(run / "model.keras"), crops)
        )
        assert np.abs(given - wanted).mean() < 0.1
    (run / "checkpoint.keras").unlink()
    with pytest.raises(SettingsError, match=r"model.start: .* has model.width 48, must be 64"):
        ClassifierTask(msgspec.structs.replace(first, start=str(trained), width=64, height=64)).train(run)
    tainted = tmp_path / "tainted"
    msgspec.structs.replace(first, near_duplicates="include").save_to(tainted)
    shutil.copy(trained / "model.keras", tainted)
    (tainted / "cache.npz").hardlink_to(trained / "cache.npz")
    with pytest.raises(SettingsError, match=r"model.start: .* has model.near_duplicates include, must be exclude"):
        ClassifierTask(msgspec.structs.replace(first, start=str(tainted))).train(run)
    with pytest.raises(BundleError, match=r"tainted: model.near_duplicates must be 'exclude'"):
        open_run(tainted)
    with pytest.raises(SettingsError, match=r"model.teachers: .* has the labels"):
        shipped = (str(bundle.SHIPPED / "expression.json"),)
        distilled_targets(
            Faces.load(trained / "cache.npz", first, "train"), msgspec.structs.replace(first, teachers=shipped)
        )


def test_the_card_says_what_the_recipe_says_of_its_data(trained, quantised, tmp_path):
    """The card names the data of the recipe, not those of the shipped models. A figure missing on a card is named."""
    card = read_card(quantised.read_bytes(), "mood.json")
    assert (card.data, card.licence) == ("Drawn faces.", "Not stated in the recipe.")
    named = tmp_path / "mood.json"
    shutil.copy(quantised.with_suffix(".tflite"), tmp_path)
    tree = json.loads(quantised.read_text())
    del tree["figures"]["photos.accuracy.int8"]
    named.write_text(json.dumps(tree))
    assert "the card must hold photos.accuracy" in run("convert", "verify", named, "--run", trained, code=2).stderr


def test_evaluate_writes_a_page_with_float_and_int8_side_by_side(trained, quantised):
    """One HTML file needs no other file and holds the figures of both. A face that is not detected is wrong."""
    done = run(
        "training", "evaluate", trained / "mood.toml", "--run", trained, "--card", quantised, "--beside", trained
    )
    assert "ferplus_majority.accuracy" in done.stdout
    page = (trained / "report.html").read_text()
    assert page.count("data:image/png;base64,") == 6
    assert "http" not in page
    figures = json.loads((trained / "report.json").read_text())
    assert set(figures) == {"float", "int8"}
    assert figures["int8"]["photos.accuracy"] <= 19 / 20
    for name in ("confusion", "roc", "calibration", "coverage", "learning_curve"):
        assert (trained / f"{name}.png").stat().st_size > 1000
    assert cv2.imread(str(trained / "worst.png")).any()


def test_a_report_says_that_there_are_no_errors(trained, tmp_path):
    """Without errors there is no sheet of errors, and that of an earlier report is removed."""
    from training import recipe
    from training.data.face_cache import Faces
    from training.evaluate import classifier_metrics, classifier_report
    from training.networks import architectures

    run = tmp_path / "right"
    shutil.copytree(trained, run)
    (run / "worst.png").write_bytes(b"of an earlier report")
    made = recipe.read(run / "mood.toml")
    with np.load(run / "cache.npz") as held:
        cached = dict(held)
    test = Faces.load(run / "cache.npz", made, "test")
    answers = classifier_metrics.logits(
        architectures.load_model(run / "model.keras"), np.concatenate(test.crops(made))[-20:]
    ).argmax(1)
    names = np.array(["happiness", "sadness", "neutral"])
    cached["photo_labels"][cached["photo_part"] == "test"] = names[answers]
    np.savez(run / "cache.npz", **cached)
    classifier_report.evaluate(made, run, None)
    assert "Of `photos`: none." in (run / "report.html").read_text()
    assert not (run / "worst.png").exists()


def test_folds_of_photographs_cover_them_all_once(trained):
    """Each photograph is in the test set of one fold and in the training set of the others."""
    import msgspec

    from training import recipe as recipes
    from training.data.face_cache import Faces

    made = recipes.read(trained / "mood.toml")
    tests = [
        Faces.load(trained / "cache.npz", msgspec.structs.replace(made, photo_fold=fold), "test") for fold in range(5)
    ]
    assert sum(len(each.photos) for each in tests) == 60
