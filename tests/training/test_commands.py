"""Training and conversion on small, drawn data: what they compute, and that an interrupted run ends like a whole
one."""

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

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
keras = pytest.importorskip("keras", reason="Keras is not installed (make train-setup)")
pytest.importorskip("tensorflow", reason="TensorFlow is not installed (make train-setup)")


def test_soft_labels_map_votes_onto_own_categories():
    """Votes become shares of the labels asked for; single votes are slips; a face mostly of other labels is out."""
    from training.data.label_targets import from_votes

    votes = np.zeros((4, 10), np.uint8)
    votes[0, [1, 2]] = (6, 4)  # happiness, surprise: 6 and half of 4 are satisfied
    votes[1, [3, 0]] = (5, 5)  # sadness and neutral
    votes[2, [0, 1]] = (9, 1)  # one slip
    votes[3, [8, 0]] = (8, 2)  # mostly unknown
    labels = from_votes(votes, OWN)
    np.testing.assert_allclose(labels, [[1, 0, 0], [0, 0.5, 0.5], [0, 0, 1], [0, 0, 0]], atol=1e-6)


def test_a_run_killed_and_resumed_ends_at_the_same_weights(trained, tmp_path):
    """Training that is killed after a checkpoint and started again ends, bit for bit, where a whole run does."""
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


def test_other_categories_become_a_bundle_that_the_daemon_runs(trained, tmp_path):
    """A recipe with own labels is quantised, verified, and counted under its labels, without a change of code."""
    make = [sys.executable, "-m", "convert", "quantise", str(trained), "--out", str(tmp_path)]
    subprocess.run(make, cwd=ROOT, check=True, capture_output=True, timeout=300)
    card = read_card((tmp_path / "mood.json").read_bytes(), "mood.json")
    assert card.labels == ("satisfied", "dissatisfied", "neutral")
    assert "QUANTIZE" in card.operators
    assert np.array(card.confusion).shape == (3, 3)
    verify = [sys.executable, "-m", "convert", "verify", str(tmp_path / "mood.json"), "--run", str(trained)]
    subprocess.run(verify, cwd=ROOT, check=True, capture_output=True, timeout=300)
    skimage = pytest.importorskip("skimage")
    portrait = Path(skimage.__file__).parent / "data" / "astronaut.png"
    command = [
        sys.executable,
        "-m",
        "edge",
        "try",
        "--json",
        "--classifier",
        str(tmp_path / "mood.json"),
        str(portrait),
    ]
    row = json.loads(subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout)
    assert list(row["faces"][0]["probabilities"]) == ["satisfied", "dissatisfied", "neutral"]


@pytest.mark.filterwarnings("ignore:__array__ implementation")  # Keras's own, with NumPy 2
def test_a_run_in_bfloat16_becomes_the_bundle_of_the_same_weights(trained, tmp_path):
    """What training computed in is forgotten: all that the card says, but the sum of a file in which layers have other
    names, is as of the network in float32.
    """
    import msgspec

    from convert import write_bundle
    from training.fit import loop
    from training.networks import architectures
    from training.trained_run import open_run

    exact = architectures.restored(trained / "model.keras")
    model = loop.build_with_precision("mixed_bfloat16", lambda: architectures.cnn(exact.input_shape[1], 3))
    model.set_weights(exact.get_weights())
    for name in ("recipe.json", "cache.npz"):
        (tmp_path / name).write_bytes((trained / name).read_bytes())
    model.save(tmp_path / "model.keras")
    wanted, given = (write_bundle.make(open_run(run), tmp_path / "out") for run in (trained, tmp_path))
    assert given == msgspec.structs.replace(wanted, sha256=given.sha256)


@pytest.mark.filterwarnings("ignore:__array__ implementation")  # Keras's own, with NumPy 2
def test_training_goes_on_from_a_bundle_or_a_run(trained, tmp_path):
    """From the int8 file of a bundle, or from a run's model: after a step at a vanishing rate the network answers as
    that did. A start of another size, or of one that has seen the test, and a teacher of other labels are named.
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

    make = [sys.executable, "-m", "convert", "quantise", str(trained), "--out", str(tmp_path)]
    subprocess.run(make, cwd=ROOT, check=True, capture_output=True, timeout=300)
    still = ("model.steps=1", "model.peak_rate=1e-9", "model.weight_decay=0")
    first = recipe.read(trained / "mood.toml", still)
    crops = Faces.of(trained / "cache.npz", first, "test").crops(first)[0]
    wanted = classifier_metrics.softmax(
        classifier_metrics.logits(architectures.restored(trained / "model.keras"), crops)
    )
    for number, start in enumerate((trained, tmp_path / "mood.json")):
        run = tmp_path / str(number)
        run.mkdir()
        draw_cache(run / "cache.npz")
        ClassifierTask(msgspec.structs.replace(first, start=str(start))).train(run)
        given = classifier_metrics.softmax(
            classifier_metrics.logits(architectures.restored(run / "model.keras"), crops)
        )
        assert np.abs(given - wanted).mean() < 0.1
    (run / "checkpoint.keras").unlink()
    with pytest.raises(SettingsError, match=r"model.start: .* has model.width 48, must be 64"):
        ClassifierTask(msgspec.structs.replace(first, start=str(trained), width=64, height=64)).train(run)
    told = tmp_path / "told"
    msgspec.structs.replace(first, near_duplicates="include").save_to(told)
    shutil.copy(trained / "model.keras", told)
    (told / "cache.npz").hardlink_to(trained / "cache.npz")
    with pytest.raises(SettingsError, match=r"model.start: .* has model.near_duplicates include, must be exclude"):
        ClassifierTask(msgspec.structs.replace(first, start=str(told))).train(run)
    with pytest.raises(BundleError, match=r"told: model.near_duplicates must be 'exclude'"):
        open_run(told)
    with pytest.raises(SettingsError, match=r"model.teachers: .* has the labels"):
        shipped = (str(bundle.SHIPPED / "expression.json"),)
        distilled_targets(
            Faces.of(trained / "cache.npz", first, "train"), msgspec.structs.replace(first, teachers=shipped)
        )


def test_the_card_says_what_the_recipe_says_of_its_data(trained, tmp_path):
    """Nothing of what facetally's own models are trained on."""
    make = [sys.executable, "-m", "convert", "quantise", str(trained), "--out", str(tmp_path)]
    subprocess.run(make, cwd=ROOT, check=True, capture_output=True, timeout=300)
    card = read_card((tmp_path / "mood.json").read_bytes(), "mood.json")
    assert (card.data, card.licence) == ("Drawn faces.", "Not said by the recipe.")
    named = tmp_path / "mood.json"
    tree = json.loads(named.read_text())
    del tree["figures"]["photos.accuracy.int8"]
    named.write_text(json.dumps(tree))
    verify = [sys.executable, "-m", "convert", "verify", str(named), "--run", str(trained)]
    done = subprocess.run(verify, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "the card must hold photos.accuracy" in done.stderr


def test_evaluate_writes_a_page_with_float_and_int8_side_by_side(trained, tmp_path):
    """One HTML file that needs nothing beside it, with the figures of both; a face not found is wrong."""
    make = [sys.executable, "-m", "convert", "quantise", str(trained), "--out", str(tmp_path)]
    subprocess.run(make, cwd=ROOT, check=True, capture_output=True, timeout=300)
    command = [sys.executable, "-m", "training", "evaluate", str(trained / "mood.toml"), "--run", str(trained)]
    command += ["--card", str(tmp_path / "mood.json"), "--beside", str(trained)]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True, timeout=300)
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


def test_a_page_says_that_nothing_is_wrong(trained, tmp_path):
    """Where every face found is answered right there is no sheet of wrong ones, nor that of an earlier page."""
    from training import recipe
    from training.data.face_cache import Faces
    from training.evaluate import classifier_metrics, classifier_report
    from training.networks import architectures

    run = tmp_path / "right"
    shutil.copytree(trained, run)
    (run / "worst.png").write_bytes(b"of an earlier page")
    made = recipe.read(run / "mood.toml")
    with np.load(run / "cache.npz") as held:
        cached = dict(held)
    test = Faces.of(run / "cache.npz", made, "test")
    answers = classifier_metrics.logits(
        architectures.restored(run / "model.keras"), np.concatenate(test.crops(made))[-20:]
    ).argmax(1)
    names = np.array(["happiness", "sadness", "neutral"])
    cached["photo_labels"][cached["photo_part"] == "test"] = names[answers]
    np.savez(run / "cache.npz", **cached)
    classifier_report.evaluate(made, run, None)
    assert "Of `photos`: none." in (run / "report.html").read_text()
    assert not (run / "worst.png").exists()


def small_model():
    """Three numbers -> one, weights averaged."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.AdamW(0.1, use_ema=True), "mse")
    return model


def small_batch(step):
    """Four rows of noise."""
    rng = np.random.default_rng(step)
    return rng.normal(size=(4, 3)).astype(np.float32), rng.normal(size=(4, 1)).astype(np.float32)


@pytest.mark.filterwarnings("ignore:__array__ implementation")  # Keras's own, with NumPy 2
def test_training_stops_when_nothing_gets_better_and_keeps_the_best(tmp_path, monkeypatch):
    """Of verdicts 1, 3, 2, 2, ... with a patience of two the second is the best: the fourth ends the run."""
    from training.fit import loop

    monkeypatch.setattr(loop, "EPOCH", 2)

    verdicts, judged = iter([1.0, 3.0, 2.0, 2.0]), []

    def verdict(model):
        judged.append(model.get_weights())
        return next(verdicts)

    with loop.BatchPrefetcher(small_batch) as batches:
        model = loop.train(small_model, batches, 100, tmp_path, loop.Judge(verdict, 2))
    assert len(judged) == 4
    for kept, best in zip(model.get_weights(), judged[1], strict=True):
        np.testing.assert_array_equal(kept, best)
    course = (tmp_path / "course.csv").read_text().splitlines()
    assert [line.split(",")[2] for line in course] == ["judged", "1.000000", "3.000000", "2.000000", "2.000000"]


@pytest.mark.filterwarnings("ignore:__array__ implementation")  # Keras's own, with NumPy 2
def test_snapshots_are_averaged_weights_along_the_way(tmp_path, monkeypatch):
    """The last is what the run ends with; leaving them changes nothing of that. A run of no steps is its start."""
    from training.fit import loop
    from training.networks.architectures import restored

    monkeypatch.setattr(loop, "EPOCH", 2)
    monkeypatch.setattr(loop, "SNAPSHOT_STEPS", 4)
    with loop.BatchPrefetcher(small_batch) as batches:
        run = loop.train(small_model, batches, 8, tmp_path)
        monkeypatch.setattr(loop, "SNAPSHOT_STEPS", 999)
        without, none = (loop.train(small_model, batches, steps, tmp_path / str(steps)) for steps in (8, 0))
    assert sorted(path.name for path in tmp_path.glob("*/snap*")) == []
    half, whole = (restored(tmp_path / f"snapshot-0000{step}.keras") for step in (4, 8))
    first = [model.get_weights()[0].tolist() for model in (run, without, whole)]
    assert first[0] == first[1] == first[2] != half.get_weights()[0].tolist()
    assert none.get_weights()[0].tolist() == small_model().get_weights()[0].tolist()


def test_batches_come_in_order_and_their_makers_end_with_a_killed_run(tmp_path):
    """The same batch by whichever process; after a kill of the one that asked for them none is left."""
    import time

    from training.fit.loop import BatchPrefetcher

    with BatchPrefetcher(lambda number: (number, number**2)) as batches:
        assert list(batches.between(3, 40)) == [(number, number**2) for number in range(3, 40)]
        assert batches(5) == (5, 25)
    script = (
        "import os, time; from training.fit.loop import Ahead\n"
        "with Ahead(lambda number: (os.getpid(),)) as batches:\n"
        "    print(*{pid for (pid,) in batches.between(0, 200)}, flush=True); time.sleep(100)"
    )
    with subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE, text=True) as run:
        makers = [int(word) for word in run.stdout.readline().split()]
        assert makers and all(Path(f"/proc/{pid}").exists() for pid in makers)
        run.kill()
    until = time.monotonic() + 30
    while any(_alive(pid) for pid in makers) and time.monotonic() < until:
        time.sleep(0.2)
    assert not any(_alive(pid) for pid in makers)


def _alive(pid):
    """Whether a process runs; one that has ended and was not waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_folds_of_photographs_cover_them_all_once(trained):
    """Each photograph is in the test of one fold and trained on in the others."""
    import msgspec

    from training import recipe as recipes
    from training.data.face_cache import Faces

    made = recipes.read(trained / "mood.toml")
    tests = [
        Faces.of(trained / "cache.npz", msgspec.structs.replace(made, photo_fold=fold), "test") for fold in range(5)
    ]
    assert sum(len(each.photos) for each in tests) == 60
