"""Model cards: required keys, error messages, and the versions that are read."""

import json
from pathlib import Path

import msgspec
import pytest

from contract.card import CheckCard, ClassifierCard, DetectorCard, bundle_identity, pack, read_card, unpack, write_card
from contract.errors import BundleError
from contract.labels import EXPRESSIONS

MODELS = Path(__file__).parents[2] / "edge" / "models"
FACE, CHECK, EXPRESSION = (
    json.loads((MODELS / f"{name}.json").read_bytes()) for name in ("face-416x320", "face-check", "expression")
)


def altered(card, **changes):
    """A shipped card as JSON with keys replaced, or removed where the value is ``...``."""
    return json.dumps({key: value for key, value in (card | changes).items() if value is not ...}).encode()


@pytest.mark.parametrize(("card", "kind"), [(FACE, DetectorCard), (CHECK, CheckCard), (EXPRESSION, ClassifierCard)])
def test_card_reads_back_as_itself(card, kind):
    """Reading and writing lose nothing, and the task selects the type of card."""
    read = read_card(altered(card), "x.json")
    assert isinstance(read, kind)
    assert read_card(write_card(read), "x.json") == read


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"{", "truncated"),
        (b"[]", "object"),
        (altered(EXPRESSION, task="segment"), "'task'.*segment"),
        (altered(EXPRESSION, task=...), "task"),
        (altered(EXPRESSION, schema=4), r"'schema"),
        (altered(EXPRESSION, author="me"), "author"),
        (b'{"author":' + b"[" * 100_000, "nested too deeply"),
        (altered(EXPRESSION, temperature=...), "temperature"),
        (altered(EXPRESSION, temperature=0), r"'temperature"),
        (altered(EXPRESSION, unknown_below=1.5), r"'unknown_below"),
        (altered(EXPRESSION, min_face_px=0), r"'min_face_px"),
        (altered(EXPRESSION, sha256="x" * 64), r"'sha256"),
        (altered(EXPRESSION, sha256="a" * 64 + "\n"), r"'sha256"),
        (altered(EXPRESSION, golden=[]), r"'golden"),
        (altered(EXPRESSION, crop={"margin": -0.5, "align": "none"}), r"'crop\.margin"),
        (altered(EXPRESSION, crop={"margin": 0.1, "align": "nose"}), r"'crop\.align"),
        (altered(EXPRESSION, input=EXPRESSION["input"] | {"channels": 3}), r"'input\.channels"),
        (altered(EXPRESSION, input=EXPRESSION["input"] | {"dtype": "float32"}), r"'input\.dtype"),
        (altered(EXPRESSION, input=EXPRESSION["input"] | {"width": 0}), r"'input\.width"),
        (altered(EXPRESSION, labels=EXPRESSION["labels"][:-1]), "`confusion` must be 6 x 6"),
        (altered(EXPRESSION, labels=[*EXPRESSION["labels"][:-1], "unknown"]), "'unknown' is reserved"),
        (altered(EXPRESSION, labels=["Joy", *EXPRESSION["labels"][1:]]), "'Joy'"),
        (altered(EXPRESSION, confusion=EXPRESSION["confusion"][:-1]), "7 x 7"),
        (altered(EXPRESSION, confusion=[[-1] * 7] * 7), r"'confusion"),
        (altered(FACE, strides=[]), r"'strides"),
        (altered(FACE, strides=[0]), r"'strides"),
        (altered(FACE, threshold=-0.1), r"'threshold"),
        (altered(FACE, landmarks=["ear"]), r"'landmarks"),
        (altered(FACE, labels=list(EXPRESSIONS)), "labels"),
        (altered(CHECK, weight=0), r"'weight"),
        (altered(CHECK, bias=-21), r"'bias"),
        (altered(CHECK, checked_below=1.1), r"'checked_below"),
        (altered(CHECK, crop=...), "crop"),
        (altered(CHECK, threshold=0.5), "threshold"),
    ],
)
def test_bad_card_names_file_and_key(text, expected):
    """The error for an invalid card names the file and the key."""
    with pytest.raises(BundleError, match=expected) as error:
        read_card(text, "models/x.json")
    assert str(error.value).startswith("models/x.json: ")


VISITS = [[5] * 8] * 7


def before_version_3(**changes):
    """The shipped classifier card without a confusion matrix of visits, with keys replaced."""
    return altered(EXPRESSION, visit_confusion=..., **changes)


def test_card_of_version_2_is_read_as_version_3():
    """The matrix that version 2 calls ``visits`` becomes ``visit_confusion``; the card is written in version 3."""
    old = read_card(before_version_3(schema=2, visits=VISITS), "x.json")
    assert old == read_card(altered(EXPRESSION, visit_confusion=VISITS), "x.json")
    written = json.loads(write_card(old))
    assert (written["schema"], written["visit_confusion"], "visits" in written) == (3, VISITS, False)


@pytest.mark.parametrize("schema", [1, 2, 3])
def test_card_without_visit_confusion_keeps_its_version(schema):
    """The matrix is optional in every version."""
    assert json.loads(write_card(read_card(before_version_3(schema=schema), "x.json")))["schema"] == schema


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"schema": 1, "visits": VISITS}, "`visits` must be `visit_confusion` in a card of schema 1"),
        ({"schema": 3, "visits": VISITS}, "`visits` must be `visit_confusion` in a card of schema 3"),
        ({"schema": 2, "visits": VISITS[:-1]}, "7 x 8"),
    ],
)
def test_former_name_is_accepted_in_version_2_only(changes, expected):
    """A card may not mix the keys of two versions."""
    with pytest.raises(BundleError, match=expected):
        read_card(before_version_3(**changes), "x.json")


def test_visit_confusion_needs_version_3():
    """A reader of version 2 would reject the key."""
    with pytest.raises(BundleError, match="`visit_confusion` needs version 3, `schema` is 2"):
        read_card(altered(EXPRESSION, schema=2), "x.json")


def test_identity_is_name_and_twelve_digits_of_the_hash():
    """The identity has the form that counts messages carry."""
    card = read_card(altered(EXPRESSION, name="seven", sha256="0123456789ab" + "c" * 52), "x")
    assert card.identity == "seven@0123456789ab"


def test_what_goes_out_of_a_card():
    """The model message has labels, figures and confusion matrices; golden images stay on the device."""
    faces, expressions = (bundle_identity(read_card(altered(card), "x")) for card in (FACE, EXPRESSION))
    assert expressions.labels == EXPRESSIONS
    assert len(expressions.confusion) == 7
    assert (faces.labels, faces.confusion) == ((), ())
    assert faces.figures == FACE["figures"]
    assert set(msgspec.structs.asdict(faces)) == {
        "name", "sha256", "labels", "figures", "confusion", "visit_confusion", "visits",
    }  # fmt: skip


@pytest.mark.parametrize("raw", [b"", b"\x00", bytes(range(256)) * 40])
def test_golden_bytes_come_back(raw):
    """Unpacking inverts packing."""
    assert unpack(pack(raw)) == raw


@pytest.mark.parametrize("text", ["not base64!", "QUJD", ""])
def test_damaged_golden_text_is_a_value_error(text):
    """A damaged golden sample raises ValueError."""
    with pytest.raises(ValueError, match=r".+"):
        unpack(text)
