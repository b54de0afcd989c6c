"""Training and conversion on small, drawn data: what they compute, and that an interrupted run ends like a whole
one."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from contract.card import Crop, read_card
from contract.errors import BundleError
from edge.words import Face

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
keras = pytest.importorskip("keras", reason="Keras is not installed (make train-setup)")
pytest.importorskip("tensorflow", reason="TensorFlow is not installed (make train-setup)")

from training.targets import OWN_LABELS, VOTES  # noqa: E402

ROOT = Path(__file__).parent.parent
KINDS = {"happiness": 0.9, "sadness": -0.9, "neutral": 0.0}
"""Labels of drawn faces, and how much their mouths curve."""
OWN = {
    "satisfied": {"happiness": 1.0, "surprise": 0.5},
    "dissatisfied": {"anger": 1.0, "disgust": 1.0, "sadness": 1.0},
    "neutral": {"neutral": 1.0},
}
RECIPE = """\
[model]
task = "classify"
name = "mood"
width = 48
height = 48
network = "cnn"
steps = 24
batch = 16
peak_rate = 1e-3
ema = 0.9
margin = 0.0
[model.labels]
satisfied = { happiness = 1, surprise = 0.5 }
dissatisfied = { anger = 1, disgust = 1, sadness = 1 }
neutral = { neutral = 1 }
"""


def draw_faces(count, side, rng):
    """Drawn faces, smiling, frowning or neither, and which each is."""
    from convert.golden import face

    mouths = list(KINDS.values())
    chosen = rng.integers(3, size=count)
    drawn = [face((side, side), [(side / 2 + rng.normal(), side / 2, side * 0.42, mouths[kind])]) for kind in chosen]
    return np.stack(drawn), chosen


def draw_cache(path):
    """A cache of drawn faces in the form that `prepare` writes; in one photograph of the test no face was found."""
    from training.faces import write
    from training.fer import FerFaces
    from training.photographs import SIDE, Photographs

    rng = np.random.default_rng(5)
    pixels, kind = draw_faces(180, 48, rng)
    photos, photo_kind = draw_faces(60, SIDE, rng)
    votes = np.zeros((180, 10), np.uint8)
    names = np.array(list(KINDS))
    for row, each in enumerate(kind):
        votes[row, VOTES.index(names[each])] = 10
    own = np.array([OWN_LABELS.index(names[each]) for each in kind], np.uint8)
    parts = np.array(["train", "tune", "test"])
    side = np.full(60, 50, np.float32)
    side[-1] = 0
    write(
        path,
        FerFaces(pixels, votes, own, np.repeat(parts, [100, 40, 40])),
        Photographs(photos, names[photo_kind], np.repeat(parts, 20), side),
    )


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run trained in one go: other categories, from the command line."""
    run = tmp_path_factory.mktemp("run")
    draw_cache(run / "cache.npz")
    (run / "mood.toml").write_text(RECIPE)
    train(run, run / "mood.toml")
    return run


def train(run, recipe, *arguments):
    command = [sys.executable, "-m", "training", "train", str(recipe), "--run", str(run), *arguments]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=300)


def weights(run):
    return keras.saving.load_model(run / "model.keras", compile=False).get_weights()


def test_soft_labels_map_votes_onto_own_categories():
    """Votes become shares of the labels asked for; single votes are slips; a face mostly of other labels is out."""
    from training.targets import from_votes

    votes = np.zeros((4, 10), np.uint8)
    votes[0, [1, 2]] = (6, 4)  # happiness, surprise: 6 and half of 4 are satisfied
    votes[1, [3, 0]] = (5, 5)  # sadness and neutral
    votes[2, [0, 1]] = (9, 1)  # one slip
    votes[3, [8, 0]] = (8, 2)  # mostly unknown
    labels = from_votes(votes, OWN)
    np.testing.assert_allclose(labels, [[1, 0, 0], [0, 0.5, 0.5], [0, 0, 1], [0, 0, 0]], atol=1e-6)


def test_targets_decode_to_the_boxes_they_came_from():
    """What the trainer encodes the device decodes: boxes, landmarks, and no cell for a place that only may be a
    face."""
    from edge.detect import cells, decode
    from training.collage import Collage
    from training.detect import STRIDES, targets

    boxes = np.array([[40, 30, 24, 30], [150, 100, 120, 150], [10, 200, 40, 40]], np.float32)
    points = np.array([[[x + w * a, y + h * b] for a, b in ((0.3, 0.4), (0.7, 0.4), (0.5, 0.6), (0.35, 0.8), (0.65,
    0.8))]
                       for x, y, w, h in boxes], np.float32)  # fmt: skip
    collage = Collage(np.zeros((320, 320), np.uint8), boxes, points.reshape(3, 10), np.array([True, True, False]))
    at = cells((320, 320), STRIDES)
    rows = targets(collage, at)
    peaks = rows[:, 0] > 0.999
    found, landmarks = decode(rows[peaks, 1:5], rows[peaks, 5:15], at[peaks])
    for box, marks in zip(found, landmarks, strict=True):
        nearest = int(np.abs(boxes[:2] - box).sum(1).argmin())
        np.testing.assert_allclose(box, boxes[nearest], rtol=1e-4)
        np.testing.assert_allclose(marks, points[nearest], rtol=1e-4)
    unsure = (at[:, 0] > 10) & (at[:, 0] < 50) & (at[:, 1] > 200) & (at[:, 1] < 240)
    assert not rows[unsure, 15].any()


def test_average_precision_by_hand():
    """Two labels; found: right, wrong, right. Precision at recall 1/2 is 1, at recall 1 it is 2/3."""
    from training.score import Picture, curve

    boxes = np.array([[0, 0, 10, 10], [50, 50, 10, 10]], np.float32)
    found = [Face((0, 0, 10, 10), 0.9), Face((100, 100, 10, 10), 0.8), Face((51, 50, 10, 10), 0.7)]
    made = curve([Picture(found, boxes, np.array([True, True]))])
    assert made.average_precision() == pytest.approx(0.5 + 0.5 * 2 / 3)
    assert made.recall_at(0.0) == 0.5
    assert made.recall_at(1.0) == 1.0


def test_aface_on_a_label_that_does_not_count_is_neither_right_nor_wrong():
    """Small or unsure labels may be found or not."""
    from training.score import Picture, match

    picture = Picture([Face((0, 0, 10, 10), 0.9)], np.array([[0, 0, 10, 10]], np.float32), np.array([False]))
    assert match(picture) == []


def test_a_run_killed_and_resumed_ends_at_the_same_weights(trained, tmp_path):
    """Training that is killed after a checkpoint and started again ends, bit for bit, where a whole run does."""
    draw_cache(tmp_path / "cache.npz")
    (tmp_path / "mood.toml").write_text(RECIPE)
    script = (
        "import os, sys; from training import loop; save = loop._save\n"
        "def once(model, path):\n    save(model, path)\n    os.kill(os.getpid(), 9)\n"
        "loop._save = once\nloop.EVERY = 7\n"
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


def answered(rights):
    """Label -> right answers of so many: answers as a classifier of three labels would give them."""
    from training.naming import Answers

    truth = np.repeat(np.arange(3), [total for _, total in rights])
    given = np.concatenate([np.where(np.arange(n) < right, at, (at + 1) % 3) for at, (right, n) in enumerate(rights)])
    return Answers(truth, np.eye(3, dtype=np.float32)[given])


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
        gate.classifier(before, answered(after), list(OWN))
    else:
        with pytest.raises(BundleError, match=complaint):
            gate.classifier(before, answered(after), list(OWN))


def test_the_gate_refuses_a_detector_that_lost_too_much():
    """A hundredth of average precision is allowed."""
    from convert import gate

    gate.detector(0.8, 0.791)
    with pytest.raises(BundleError, match="average precision"):
        gate.detector(0.8, 0.789)


def test_int8_and_float_agree_and_nothing_is_left_in_float(trained):
    """The quantised file holds no float tensor, and its probabilities are those of the float model within 0.1."""
    from convert.quantise import floats, quantise
    from edge.bundle import Bundle
    from edge.classify import Classifier
    from edge.interpreter import Interpreter
    from training import floating
    from training.faces import read

    model = keras.saving.load_model(trained / "model.keras", compile=False)
    crops = read(trained / "cache.npz")[0].pixels[:60]
    content = quantise(model, "classify", crops[..., None])
    assert floats(content) == []
    card = floating.draft_classifier(list(OWN), 48, 48, Crop(margin=0.0, align="none"))
    exact = floating.float_classifier(model, card).probabilities(crops)
    int8 = Classifier(Bundle(card, Interpreter(content))).probabilities(crops)
    assert np.abs(exact - int8).max() < 0.1


def test_a_wrong_recipe_is_named(tmp_path):
    """A typo in a recipe ends with exit code 2, the file, the key and what is allowed."""
    (tmp_path / "bad.toml").write_text(RECIPE.replace("steps", "stepps"))
    command = [sys.executable, "-m", "training", "train", str(tmp_path / "bad.toml"), "--run", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "bad.toml: unknown key 'model.stepps'; allowed: " in done.stderr


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
    for name in ("confusion", "roc", "calibration", "risk", "course", "worst"):
        assert (trained / f"{name}.png").stat().st_size > 1000


@pytest.mark.filterwarnings("ignore:__array__ implementation")  # Keras's own, with NumPy 2
def test_training_stops_when_nothing_gets_better_and_keeps_the_best(tmp_path, monkeypatch):
    """Of verdicts 1, 3, 2, 2, ... with a patience of two the second is the best: the fourth ends the run."""
    from training import loop

    monkeypatch.setattr(loop, "EVERY", 2)

    def make():
        keras.utils.set_random_seed(0)
        model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
        model.compile(keras.optimizers.AdamW(0.1, use_ema=True), "mse")
        return model

    def batch(step):
        rng = np.random.default_rng(step)
        return rng.normal(size=(4, 3)).astype(np.float32), rng.normal(size=(4, 1)).astype(np.float32)

    verdicts, judged = iter([1.0, 3.0, 2.0, 2.0]), []

    def verdict(model):
        judged.append(model.get_weights())
        return next(verdicts)

    model = loop.train(make, batch, 100, tmp_path, loop.Judge(verdict, 2))
    assert len(judged) == 4
    for kept, best in zip(model.get_weights(), judged[1], strict=True):
        np.testing.assert_array_equal(kept, best)
    course = (tmp_path / "course.csv").read_text().splitlines()
    assert [line.split(",")[2] for line in course] == ["judged", "1.000000", "3.000000", "2.000000", "2.000000"]


def fer_folder(folder, rows):
    """A small fer2013.csv, gzipped, with FER+ votes."""
    import gzip

    folder.mkdir()
    lines = ["emotion,pixels,Usage", *(f"{label},{text},{usage}" for label, text, usage in rows)]
    with gzip.open(folder / "fer2013.csv.gz", "wt") as file:
        file.write("\n".join(lines) + "\n")
    head = "Usage,Image name," + ",".join(VOTES)
    votes = [f"{usage},x.png," + ",".join("10" if at == 1 else "0" for at in range(10)) for _, _, usage in rows]
    (folder / "fer2013new.csv").write_text("\n".join([head, *votes]) + "\n")


@pytest.fixture
def drawn():
    return draw_faces(40, 48, np.random.default_rng(8))[0]


def text(face):
    return " ".join(map(str, face.ravel().tolist()))


def test_prepare_reads_a_compressed_table_and_leaves_repeats_out(tmp_path, drawn):
    """A mirrored and brightened copy of a test face is not trained on; what is kept comes back as it was."""
    rng = np.random.default_rng(4)
    noise = rng.integers(0, 256, (6, 12, 12), np.uint8).repeat(4, 1).repeat(4, 2)  # faces apart from each other
    copy = np.clip(noise[0, :, ::-1].astype(int) + 6, 0, 255).astype(np.uint8)
    rows = [(3, text(noise[0]), "PublicTest"), (3, text(copy), "Training")]
    rows += [(0, text(face), "Training") for face in noise[1:]]
    fer_folder(tmp_path / "fer2013", rows)
    run(["prepare", "--data", str(tmp_path)], tmp_path)
    from training.faces import read

    fer, _ = read(tmp_path / "cache.npz")
    assert fer.part[:2].tolist() == ["test", "repeat"]
    assert set(fer.part[2:].tolist()) <= {"train", "tune"}
    np.testing.assert_array_equal(fer.pixels[0], noise[0])
    assert fer.votes[:, 1].tolist() == [10] * 7
    assert "repeat" in (tmp_path / "prepared.html").read_text()


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        ((0, "1 2 3", "Training"), "row 3: 3 pixels, not 2304"),
        ((9, None, "Training"), "row 3: emotion 9, not 0..6"),
        ((0, None, "Trainin"), "row 3: Usage 'Trainin', not one of Training"),
        ((0, "x " * 2304, "Training"), "row 3: invalid literal"),
        ((0, "256 " * 2304, "Training"), "row 3: a pixel of 256 or 256, not 0..255"),
    ],
)
def test_a_broken_row_is_named_and_skipped_if_asked(tmp_path, drawn, row, complaint):
    """Exit code 2 with file and row; with --broken skip the others are read."""
    good = (3, text(drawn[0]), "Training")
    fer_folder(tmp_path / "fer2013", [good, (row[0], row[1] or text(drawn[1]), row[2]), good])
    stopped = run(["prepare", "--data", str(tmp_path)], tmp_path, 2)
    assert "fer2013.csv.gz" in stopped.stderr
    assert complaint in stopped.stderr
    skipped = run(["prepare", "--data", str(tmp_path), "--broken", "skip"], tmp_path)
    assert complaint in skipped.stdout + skipped.stderr
    from training.faces import read

    assert len(read(tmp_path / "cache.npz")[0].part) == 2


def test_prepare_reads_folders_of_classes_and_a_table_of_pictures(tmp_path, drawn):
    """train/LABEL/x.png are faces already cut; labels.csv names pictures in which our detector finds the face."""
    import cv2

    data = pytest.importorskip("skimage.data", reason="scikit-image brings the portrait")
    for at, face in enumerate(drawn[:6]):
        folder = tmp_path / ("test" if at % 3 == 0 else "train") / ("happy" if at % 2 else "sad")
        folder.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / f"{at}.png"), face)
    cv2.imwrite(str(tmp_path / "portrait.jpg"), cv2.cvtColor(data.astronaut(), cv2.COLOR_RGB2BGR))
    cv2.imwrite(str(tmp_path / "nobody.jpg"), np.full((200, 200), 128, np.uint8))
    (tmp_path / "labels.csv").write_text("image,label,part\nportrait.jpg,happy,test\nnobody.jpg,sad,test\n")
    run(["prepare", "--data", str(tmp_path)], tmp_path)
    from training.faces import read

    _, photos = read(tmp_path / "cache.npz")
    assert photos.labels.tolist()[:2] == ["happy", "sad"]
    assert photos.side[0] > 40
    assert photos.side[1] == 0
    assert sorted(photos.part.tolist())[:4] == ["test"] * 4
    assert len(photos.part) == 8


def test_nothing_to_train_on_is_said(tmp_path):
    """An empty folder: exit code 2, and what was looked for."""
    assert "looked for fer2013/, scenes.zip" in run(["prepare", "--data", str(tmp_path)], tmp_path, 2).stderr


def run(arguments, folder, code=0):
    """A training command with the recipe `RECIPE`; what it says is shown if it does not end as it should."""
    (folder / "mood.toml").write_text(RECIPE)
    command = [sys.executable, "-m", "training", arguments[0], str(folder / "mood.toml"), "--run", str(folder)]
    done = subprocess.run([*command, *arguments[1:]], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr[-2000:]
    return done


def test_a_teacher_pulls_the_targets_towards_its_answers(trained):
    """Half of the targets, or as much as the recipe says, are the mean answer of the teachers."""
    from contract.settings import read_toml
    from training.expression import taught
    from training.faces import Faces
    from training.recipe import _Holder

    recipe = read_toml(
        trained / "mood.toml", _Holder, (f"model.teachers=['{trained}']", "model.teacher_share=0.25")
    ).model
    part = Faces.of(trained / "cache.npz", recipe, "train")
    mixed = taught(part, recipe)
    np.testing.assert_allclose(mixed.sum(1), 1, atol=1e-5)
    assert 0.01 < np.abs(mixed - part.targets).max() <= 0.25 + 1e-6


def test_folds_of_photographs_cover_them_all_once(trained):
    """Each photograph is in the test of one fold and trained on in the others."""
    import msgspec

    from training import recipe as recipes
    from training.faces import Faces

    made = recipes.read(trained / "mood.toml")
    tests = [
        Faces.of(trained / "cache.npz", msgspec.structs.replace(made, photo_fold=fold), "test") for fold in range(5)
    ]
    assert sum(len(each.photos) for each in tests) == 60
