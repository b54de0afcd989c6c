"""A bundle is refused unless model and card belong together; the error names the file."""

import hashlib
import json
import shutil
from pathlib import Path

import pytest

from contract.card import CheckCard, ClassifierCard, DetectorCard, pack, unpack
from contract.errors import BundleError
from edge.vision.bundle import DEFAULT_CHECK, DEFAULT_CLASSIFIER, DEFAULT_DETECTOR, SHIPPED, card_path, load

KINDS = {"face-416x320": DetectorCard, "face-check": CheckCard, "expression": ClassifierCard}


@pytest.fixture
def copy(tmp_path):
    """A function that copies a shipped bundle, changes keys of its card, and returns the path of the card."""

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
    """Hash, shapes and golden samples of the shipped bundles match on this machine and runtime."""
    bundle = load(SHIPPED / f"{name}.json", KINDS[name])
    assert bundle.card.sha256 == hashlib.sha256((SHIPPED / f"{name}.tflite").read_bytes()).hexdigest()
    assert bundle.model.input.shape[1:] == (bundle.card.input.height, bundle.card.input.width, 1)


@pytest.mark.parametrize("name", KINDS)
def test_bundle_may_have_any_folder_and_name(copy, name):
    """Nothing is inferred from the name of a file."""
    path = copy(name)
    moved = path.with_name("a b.v2.json")
    path.rename(moved)
    path.with_suffix(".tflite").rename(moved.with_suffix(".tflite"))
    assert load(moved, KINDS[name]).card == load(SHIPPED / f"{name}.json", KINDS[name]).card


def test_wrong_hash_is_refused(copy):
    """One changed bit of the model file is noticed."""
    path = copy()
    model = path.with_suffix(".tflite")
    content = bytearray(model.read_bytes())
    content[-1] ^= 1
    model.write_bytes(content)
    assert refusal(path).startswith(f"{model}: sha256 is ")


def test_file_that_is_not_a_model_is_refused(copy):
    """The hash matches, but the file is a text."""
    text = b"a text, not a model"
    path = copy(sha256=lambda _: hashlib.sha256(text).hexdigest())
    path.with_suffix(".tflite").write_bytes(text)
    assert refusal(path).startswith(f"{path.with_suffix('.tflite')}: not a TFLite model")


@pytest.mark.parametrize("suffix", [".json", ".tflite"])
def test_missing_file_is_named(copy, suffix):
    """The error names the card or the model, whichever is missing."""
    path = copy()
    path.with_suffix(suffix).unlink()
    assert refusal(path) == f"{path.with_suffix(suffix)}: No such file or directory"


def test_card_of_another_task_is_refused(copy):
    """A card of one task is none of another."""
    assert "must be a ClassifierCard, is a DetectorCard" in refusal(copy("face-416x320"))
    assert "must be a DetectorCard, is a ClassifierCard" in refusal(copy("expression"), DetectorCard)
    assert "must be a CheckCard, is a DetectorCard" in refusal(copy("face-416x320"), CheckCard)
    assert "must be a ClassifierCard, is a CheckCard" in refusal(copy("face-check"))


def test_wrong_number_of_labels_is_refused(copy):
    """Six labels for seven outputs: the card is consistent, but the model does not match it."""
    path = copy(
        labels=lambda labels: labels[:-1],
        confusion=lambda rows: [row[:-1] for row in rows[:-1]],
        visit_confusion=lambda rows: [[*row[:-2], row[-1]] for row in rows[:-1]],
    )
    message = refusal(path)
    assert message.startswith(f"{path.with_suffix('.tflite')}: outputs must be ")
    assert "(7,)" in message
    assert "(6,)" in message


def test_bundle_is_given_by_name_or_path(copy):
    """A shipped bundle has a name, wherever the package is installed; any other is given by the path of its card."""
    assert {card_path(path.stem) for path in SHIPPED.glob("*.json")} == set(SHIPPED.glob("*.json"))
    assert {DEFAULT_DETECTOR, DEFAULT_CHECK, DEFAULT_CLASSIFIER} <= set(SHIPPED.glob("*.json"))
    assert card_path("face-416x320.json") == Path("face-416x320.json")
    assert (
        load(card_path(str(copy("face-416x320"))), KINDS["face-416x320"]).card
        == load(SHIPPED / "face-416x320.json", KINDS["face-416x320"]).card
    )
    with pytest.raises(BundleError, match=r"^face-1x1: no bundle of that name is shipped; .* one of expression, face-"):
        card_path("face-1x1")


@pytest.mark.parametrize(
    ("name", "key", "change", "message"),
    [
        ("expression", "input", lambda given: given | {"width": 48}, "input .* must be .* as in the card, is"),
        ("expression", "input", lambda given: given | {"scale": 1.0}, "scale and zero point must be .* as in the card"),
        (
            "expression",
            "input",
            lambda given: given | {"zero_point": 3},
            "scale and zero point must be .* as in the card",
        ),
        ("face-416x320", "strides", lambda given: [*given, 64], "outputs must be"),
        ("face-416x320", "landmarks", lambda given: given[:-1], "outputs must be"),
        ("face-416x320", "strides", lambda given: given[:-1], "outputs must be"),
    ],
)
def test_card_that_does_not_match_the_model_is_refused(copy, name, key, change, message):
    """Input shape, quantisation and number of grid cells of the card are compared with the model."""
    path = copy(name, **{key: change})
    with pytest.raises(BundleError, match=message) as error:
        load(path, KINDS[name])
    assert str(error.value).startswith(f"{path.with_suffix('.tflite')}: ")


def golden(change):
    """A change to the first golden sample of a card."""
    return lambda samples: [samples[0] | change(samples[0]), *samples[1:]]


def shifted(sample):
    """The expected output with each value one step more than the tolerance off."""
    steps = sample["tolerance"] + 1
    output = bytes((value + steps) % 256 for value in unpack(sample["output"]))
    return {"output": pack(output)}


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (shifted, r"at most \d+ quantised steps, differs by \d+"),
        (lambda sample: {"output": pack(unpack(sample["output"])[:-1])}, "output must have"),
        (lambda sample: {"output": "?"}, "golden sample"),
        (lambda sample: {"output": "QUJD"}, "not zlib"),
        (lambda sample: {"input": pack(unpack(sample["input"])[:-1])}, "cannot reshape"),
    ],
)
def test_golden_sample_that_differs_is_refused(copy, name, change, message):
    """The model computes something else, or the sample is damaged."""
    path = copy(name, golden=golden(change))
    with pytest.raises(BundleError, match=message) as error:
        load(path, KINDS[name])
    assert str(error.value).startswith(f"{path.with_suffix('.tflite')}: golden sample ")


def test_file_that_is_not_a_card_is_refused(copy):
    """The file is an empty object, is empty, or is not even text."""
    path = copy()
    for content in (b"{}", b"", b"\xff\xfe"):
        path.write_bytes(content)
        assert refusal(path).startswith(f"{path}: ")
