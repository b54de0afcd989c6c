"""A model and its card belong together, or the device does not start; whatever is wrong, the file is named."""

import hashlib
import json
import shutil
from pathlib import Path

import pytest

from contract.card import ClassifierCard, DetectorCard, pack, unpack
from contract.errors import BundleError
from edge.vision.bundle import DEFAULT_CLASSIFIER, DEFAULT_DETECTOR, SHIPPED, card_path, load

KINDS = {"face-416x320": DetectorCard, "expression": ClassifierCard}


@pytest.fixture
def copy(tmp_path):
    """Copies a shipped bundle, its card changed by keys, and says where the card is."""

    def make(name="expression", **changes):
        shutil.copy(SHIPPED / f"{name}.tflite", tmp_path)
        card = json.loads((SHIPPED / f"{name}.json").read_bytes())
        path = tmp_path / f"{name}.json"
        path.write_text(json.dumps(card | {key: change(card[key]) for key, change in changes.items()}))
        return path

    return make


def refusal(path, kind=ClassifierCard):
    with pytest.raises(BundleError) as error:
        load(path, kind)
    return str(error.value)


@pytest.mark.parametrize("name", KINDS)
def test_shipped_bundle_loads(name):
    """Hash, shapes and golden samples of what is shipped are right on this machine and runtime."""
    bundle = load(SHIPPED / f"{name}.json", KINDS[name])
    assert bundle.card.sha256 == hashlib.sha256((SHIPPED / f"{name}.tflite").read_bytes()).hexdigest()
    assert bundle.model.input.shape[1:] == (bundle.card.input.height, bundle.card.input.width, 1)


@pytest.mark.parametrize("name", KINDS)
def test_bundle_may_lie_anywhere_under_any_name(copy, name):
    """Nothing is inferred from a file's name."""
    path = copy(name)
    moved = path.with_name("a b.v2.json")
    path.rename(moved)
    path.with_suffix(".tflite").rename(moved.with_suffix(".tflite"))
    assert load(moved, KINDS[name]).card == load(SHIPPED / f"{name}.json", KINDS[name]).card


def test_wrong_hash(copy):
    """One bit of the model file changed."""
    path = copy()
    model = path.with_suffix(".tflite")
    content = bytearray(model.read_bytes())
    content[-1] ^= 1
    model.write_bytes(content)
    assert refusal(path).startswith(f"{model}: sha256 is ")


def test_file_that_is_no_model(copy):
    """The hash is right, but it is the hash of something else."""
    text = b"a text, not a model"
    path = copy(sha256=lambda _: hashlib.sha256(text).hexdigest())
    path.with_suffix(".tflite").write_bytes(text)
    assert refusal(path).startswith(f"{path.with_suffix('.tflite')}: not a TFLite model")


@pytest.mark.parametrize("suffix", [".json", ".tflite"])
def test_missing_file(copy, suffix):
    """Card or model is not there."""
    path = copy()
    path.with_suffix(suffix).unlink()
    assert refusal(path) == f"{path.with_suffix(suffix)}: No such file or directory"


def test_card_of_another_task(copy):
    """A detector's card where a classifier is asked for, and the other way round."""
    assert "another task than the ClassifierCard" in refusal(copy("face-416x320"))
    assert "another task than the DetectorCard" in refusal(copy("expression"), DetectorCard)


def test_wrong_label_count(copy):
    """Six labels for seven outputs: the matrices fit the labels, the model does not."""
    path = copy(
        labels=lambda labels: labels[:-1],
        confusion=lambda rows: [row[:-1] for row in rows[:-1]],
        visits=lambda rows: [[*row[:-2], row[-1]] for row in rows[:-1]],
    )
    message = refusal(path)
    assert message.startswith(f"{path.with_suffix('.tflite')}: outputs are ")
    assert "(7,)" in message
    assert "(6,)" in message


def test_bundle_is_named_or_a_path(copy):
    """What ships has a name, wherever it is installed; anything else is a path."""
    assert {card_path(path.stem) for path in SHIPPED.glob("*.json")} == set(SHIPPED.glob("*.json"))
    assert {DEFAULT_DETECTOR, DEFAULT_CLASSIFIER} <= set(SHIPPED.glob("*.json"))
    assert card_path("face-416x320.json") == Path("face-416x320.json")
    assert (
        load(card_path(str(copy("face-416x320"))), KINDS["face-416x320"]).card
        == load(SHIPPED / "face-416x320.json", KINDS["face-416x320"]).card
    )
    with pytest.raises(BundleError, match=r"^face-1x1: no bundle of that name is shipped \(expression, face-"):
        card_path("face-1x1")


@pytest.mark.parametrize(
    ("name", "key", "change", "says"),
    [
        ("expression", "input", lambda given: given | {"width": 48}, "input is .* the card says"),
        ("expression", "input", lambda given: given | {"scale": 1.0}, "not the card's"),
        ("expression", "input", lambda given: given | {"zero_point": 3}, "not the card's"),
        ("face-416x320", "strides", lambda given: [*given, 64], "outputs are"),
        ("face-416x320", "landmarks", lambda given: given[:-1], "outputs are"),
        ("face-416x320", "strides", lambda given: given[:-1], "outputs are"),
    ],
)
def test_card_that_does_not_fit_the_model(copy, name, key, change, says):
    """Shape, scale and cells of the card are held against the file."""
    path = copy(name, **{key: change})
    with pytest.raises(BundleError, match=says) as error:
        load(path, KINDS[name])
    assert str(error.value).startswith(f"{path.with_suffix('.tflite')}: ")


def golden(change):
    """Changes the first golden sample of a card."""
    return lambda samples: [samples[0] | change(samples[0]), *samples[1:]]


def shifted(sample):
    """The promised output, each value one step beyond the tolerance off."""
    steps = sample["tolerance"] + 1
    output = bytes((value + steps) % 256 for value in unpack(sample["output"]))
    return {"output": pack(output)}


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize(
    ("change", "says"),
    [
        (shifted, r"off by \d+ steps, at most \d+ allowed"),
        (lambda sample: {"output": pack(unpack(sample["output"])[:-1])}, "output values, the card has"),
        (lambda sample: {"output": "?"}, "golden sample"),
        (lambda sample: {"output": "QUJD"}, "not zlib"),
        (lambda sample: {"input": pack(unpack(sample["input"])[:-1])}, "cannot reshape"),
    ],
)
def test_changed_golden_sample(copy, name, change, says):
    """A runtime or file that computes something else, and samples that are none."""
    path = copy(name, golden=golden(change))
    with pytest.raises(BundleError, match=says) as error:
        load(path, KINDS[name])
    assert str(error.value).startswith(f"{path.with_suffix('.tflite')}: golden sample ")


def test_card_that_is_none(copy):
    """Not JSON, not even text."""
    path = copy()
    for content in (b"{}", b"", b"\xff\xfe"):
        path.write_bytes(content)
        assert refusal(path).startswith(f"{path}: ")
