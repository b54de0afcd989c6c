"""Messages as bytes: exact keys, golden files of every version, JSON Schemas, and rejected payloads."""

import json
from datetime import datetime, timedelta, timezone
from pathlib import Path

import jsonschema
import msgspec
import pytest

from contract.__main__ import schemas
from contract.card import read_card
from contract.errors import BadMessage
from contract.health import Health
from contract.message import MAX_BYTES, Counts, Model, Privacy, Shadow, Status, decode, encode
from tests.support.fakes import counts
from tests.support.messages import BOOT, MESSAGES

GOLDEN = Path(__file__).parents[1] / "golden"
SCHEMA = Path(__file__).parents[2] / "contract" / "schema"
MODELS = Path(__file__).parents[2] / "edge" / "models"
KINDS = {"counts": Counts, "status": Status, "model": Model, "health": Health, "shadow": Shadow}


def kind_of(name):
    return KINDS[name.partition("-")[0]]


def altered(**changes):
    """A valid counts message as JSON with keys replaced, or removed where the value is ``...``."""
    tree = json.loads(encode(MESSAGES["counts-1"])) | changes
    return json.dumps({key: value for key, value in tree.items() if value is not ...}).encode()


def test_window_message_has_exactly_these_keys_in_this_order():
    """The keys are the contract: none can hold anything about one person."""
    tree = json.loads(encode(MESSAGES["counts-1"]))
    assert list(tree) == [
        "schema", "site", "device", "boot", "seq", "start", "end", "clock", "coverage", "degraded", "visits",
        "merged", "privacy", "model",
    ]  # fmt: skip
    assert list(tree["privacy"]) == ["k"]
    assert list(tree["model"]) == ["detector", "expression"]


@pytest.mark.parametrize("name", MESSAGES)
def test_bytes_are_those_of_the_golden_file(name):
    """A message is encoded byte for byte as in the release that introduced its version, and decodes to itself."""
    golden = (GOLDEN / f"{name}.json").read_bytes()
    assert encode(MESSAGES[name]) + b"\n" == golden
    assert decode(golden, kind_of(name)) == MESSAGES[name]


def test_model_message_of_version_2_is_read_as_version_3():
    """The matrix that version 2 calls ``visits`` becomes ``visit_confusion``."""
    assert decode((GOLDEN / "model-2.json").read_bytes(), Model) == MESSAGES["model-3"]


@pytest.mark.parametrize(
    ("schema", "changes", "expected"),
    [
        (1, {"visit_confusion": [[9, 0, 1], [1, 8, 2]]}, "`visit_confusion` needs version 3, `schema` is 1"),
        (1, {"visits": [[9, 0, 1], [1, 8, 2]]}, "`visit_confusion` needs version 3, `schema` is 1"),
        (3, {"visit_confusion": [[9, 1], [2, 8]]}, "`visit_confusion` must be 2 x 3"),
        (3, {"visit_confusion": []}, "`visit_confusion` must be 2 x 3"),
        (3, {"confusion": [[9, 1]]}, "`confusion` must be 2 x 2"),
        (3, {"visits": [[9, 0, 1], [1, 8, 2]]}, "both are present"),
        (4, {}, r"'schema"),
    ],
)
def test_matrix_that_does_not_fit_labels_or_version_is_rejected(schema, changes, expected):
    """The error names the matrix and the shape or version that it must have."""
    tree = json.loads(encode(MESSAGES["model-3"]))
    if schema == 1:
        del tree["expression"]["visit_confusion"]
    tree["schema"], tree["expression"] = schema, tree["expression"] | changes
    with pytest.raises(BadMessage, match=expected):
        decode(json.dumps(tree).encode(), Model)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"table": [[4, 0, 0], [0] * 3, [0] * 3]}, "`table` must hold no visits or at least k = 5, holds 4"),
        ({"skipped": 1}, "`skipped` must hold no visits or at least k = 5, holds 1"),
        ({"table": [[9, 9], [9, 9]]}, "`table` must be 3 x 3"),
        ({"labels": ["happiness"]}, "labels"),
        ({"visit": 17}, "visit"),
    ],
)
def test_agreement_table_with_few_visits_or_another_shape_is_rejected(changes, expected):
    """So no message tells of fewer than ``k`` visits; the audit reads each message by these rules."""
    tree = json.loads(encode(MESSAGES["shadow-1"])) | changes
    with pytest.raises(BadMessage, match=expected):
        decode(json.dumps(tree).encode(), Shadow)


@pytest.mark.parametrize("name", schemas())
def test_checked_in_schema_is_the_generated_one(name):
    """The stored schema is the generated one (`python -m contract`)."""
    assert (SCHEMA / name).read_bytes() == schemas()[name]
    jsonschema.Draft202012Validator.check_schema(json.loads(schemas()[name]))


def test_no_schema_is_left_over():
    """Every file in the folder is generated."""
    assert {path.name for path in SCHEMA.iterdir()} == set(schemas())


def validator(name):
    return jsonschema.Draft202012Validator(json.loads(schemas()[name]))


@pytest.mark.parametrize("name", [*MESSAGES, "model-2"])
def test_golden_message_is_valid_by_its_schema(name):
    """Messages of every version are valid by the newest JSON Schema."""
    (schema,) = [newest for newest in schemas() if newest.startswith(name.partition("-")[0])]
    validator(schema).validate(json.loads((GOLDEN / f"{name}.json").read_bytes()))


@pytest.mark.parametrize("name", ["face-416x320", "face-check", "expression"])
def test_shipped_card_is_valid_by_its_schema(name):
    """The shipped cards are valid by the JSON Schema of cards."""
    text = (MODELS / f"{name}.json").read_bytes()
    validator("card-3.json").validate(json.loads(text))
    assert read_card(text, name).schema in (1, 3)


BAD_IN_SCHEMA_TOO = [
    ("extra key", altered(face_id=7), "face_id"),
    ("missing key", altered(coverage=...), "coverage"),
    ("negative count", altered(visits={"a": -1, "b": 0, "unknown": 0}), r"'visits"),
    ("bool count", altered(visits={"a": True, "b": 0, "unknown": 0}), r"'visits"),
    ("half a visit", altered(visits={"a": 1.5, "b": 0, "unknown": 0}), r"'visits"),
    ("text count", altered(visits={"a": "1", "b": 0, "unknown": 0}), r"'visits"),
    ("label in capitals", altered(visits={"Anna": 1, "b": 0, "unknown": 0}), r"'visits"),
    ("label with a newline", altered(visits={"a\n": 1, "b": 0, "unknown": 0}), r"'visits"),
    ("two columns", altered(visits={"a": 1, "unknown": 0}), r"'visits"),
    ("too many columns", altered(visits={f"l{n}": 0 for n in range(34)}), r"'visits"),
    ("visits as a list", altered(visits=[1, 2]), r"'visits"),
    ("other schema", altered(schema=3), r"'schema"),
    ("no schema", altered(schema=...), "schema"),
    ("seq below 0", altered(seq=-1), r"'seq"),
    ("seq as text", altered(seq="1"), r"'seq"),
    ("coverage above 1", altered(coverage=1.01), r"'coverage"),
    ("coverage below 0", altered(coverage=-0.01), r"'coverage"),
    ("merged 0", altered(merged=0), r"'merged"),
    ("k 0", altered(privacy={"k": 0}), r"'privacy\.k"),
    ("extra key within", altered(privacy={"k": 5, "names": []}), r"privacy\.names"),
    ("unknown clock", altered(clock="sundial"), r"'clock"),
    ("unknown reason", altered(degraded=["bored"]), r"'degraded"),
    ("nine reasons", altered(degraded=["hot"] * 9), r"'degraded"),
    ("site a/b", altered(site="a/b"), r"'site"),
    ("site with a newline", altered(site="a\n"), r"'site"),
    ("empty device", altered(device=""), r"'device"),
    ("boot in capitals", altered(boot="0123456789ABCDEF"), r"'boot"),
    ("boot with a newline", altered(boot="0123456789abcdef\n"), r"'boot"),
    ("not an object", b"[1]", "object"),
    ("null", b"null", "object"),
]
BAD = [
    *BAD_IN_SCHEMA_TOO,
    ("float count", altered(visits={"a": 1.0, "b": 0, "unknown": 0}), r"'visits"),
    ("start without zone", altered(start="2026-03-28T09:01:00"), r"'start"),
    ("start is no time", altered(start="today"), r"'start"),
    ("end is start", altered(end="2026-03-28T09:01:00Z"), "`end` must be after `start`"),
    ("end before start", altered(end="2026-03-28T09:00:59Z"), "`end` must be after `start`"),
    ("offset of Berlin", altered(start="2026-03-28T10:01:00+01:00"), "`start` and `end` must be UTC"),
    ("end off UTC", altered(end="2026-03-28T10:02:00+01:00"), "`start` and `end` must be UTC"),
    ("not JSON", b"visits=3", "not JSON"),
    ("nothing", b"", "truncated"),
    ("cut off", altered()[:-5], "truncated"),
    ("two messages", altered() + altered(), "not JSON"),
    ("not UTF-8", altered(site="x").replace(b'"x"', b'"\xff"'), "utf-8|UTF-8"),
    ("nested for ever", b"[" * 15_000, "counts"),
    ("too long", altered(site="a" * MAX_BYTES), f"at most {MAX_BYTES}"),
]


@pytest.mark.parametrize(("payload", "expected"), [row[1:] for row in BAD], ids=[row[0] for row in BAD])
def test_bad_message_says_at_which_key(payload, expected):
    """A payload that violates the contract is a BadMessage that names the key."""
    with pytest.raises(BadMessage, match=expected) as error:
        decode(payload, Counts)
    assert str(error.value).startswith("counts: ")


@pytest.mark.parametrize("payload", [row[1] for row in BAD_IN_SCHEMA_TOO], ids=[row[0] for row in BAD_IN_SCHEMA_TOO])
def test_schema_refuses_what_the_code_refuses(payload):
    """The JSON Schema has types and ranges too; only times and bytes are checked by code alone."""
    assert not validator("counts-2.json").is_valid(json.loads(payload))


def test_longest_allowed_message_is_read():
    """The maximum number of labels, with the longest names and counts, fits into a message."""
    visits = {f"l{n:031d}": 2**53 for n in range(32)} | {"unknown": 2**53}
    longest = counts(visits=visits, site="s" * 64, device="d" * 64, degraded=("hot",) * 8)
    assert decode(encode(longest), Counts) == longest
    assert len(encode(longest)) < MAX_BYTES


@pytest.mark.parametrize("end", [0, -60])
def test_backward_window_cannot_be_made(end):
    """A window that does not end after it starts cannot be constructed."""
    start = datetime(2026, 3, 28, 9, tzinfo=timezone.utc)
    with pytest.raises(ValueError, match="`end` must be after `start`"):
        counts(start=start, end=start + timedelta(seconds=end))


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"doubtful_low": 1}, "doubtful_low needs schema 2"),
        ({"doubtful_high": 1}, "doubtful_high needs schema 2"),
        ({"schema": 2, "doubtful_low": 8}, "doubtful_low must be at most the number of visits, is 8"),
        ({"schema": 2, "doubtful_high": 8}, "doubtful_high must be at most the number of visits, is 8"),
        ({"schema": 2, "doubtful_low": -1}, r"'doubtful_low"),
    ],
)
def test_doubtful_visits_are_some_of_the_visits(changes, expected):
    """Doubtful visits need version 2 and cannot exceed the visits counted."""
    with pytest.raises(BadMessage, match=expected):
        decode(altered(**changes), Counts)


def test_key_is_what_makes_a_window_countable_once():
    """The key is site, device, boot and seq, which restamping does not change."""
    one = counts(1, 6, seq=4)
    assert one.key == ("shop-1", "door", BOOT, 4)
    assert msgspec.structs.replace(one, start=one.start - timedelta(hours=1), clock="restamped").key == one.key


def test_message_of_another_kind_is_bad():
    """A status message on the counts topic is rejected."""
    with pytest.raises(BadMessage, match=r"^counts: "):
        decode(encode(MESSAGES["status-1"]), Counts)
    with pytest.raises(BadMessage, match=r"^status: key 'state'"):
        decode(b'{"schema":1,"state":"asleep","boot":"0123456789abcdef"}', Status)


def test_message_cannot_be_changed():
    """Messages are immutable."""
    with pytest.raises(AttributeError):
        counts().privacy = Privacy(k=1)
