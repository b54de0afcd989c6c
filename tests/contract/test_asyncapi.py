"""The AsyncAPI document describes exactly the topics and messages that exist."""

import gzip
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from contract.__main__ import asyncapi
from contract.hour import hour_topic
from contract.message import MESSAGES
from contract.receipt import stored_topic
from contract.topics import KINDS, topic

ROOT = Path(__file__).parents[2]
STORED = ROOT / "contract" / "asyncapi.json"
GOLDEN = ROOT / "tests" / "golden"


def document() -> dict[str, Any]:
    text: dict[str, Any] = json.loads(STORED.read_bytes())
    return text


def test_it_is_current() -> None:
    """The stored document is the generated one (`python -m contract`)."""
    assert asyncapi() == STORED.read_bytes()


def test_it_is_asyncapi() -> None:
    """It is valid by the JSON Schema of AsyncAPI 3.0.0 (asyncapi/spec-json-schemas, Apache-2.0)."""
    schema = json.loads(gzip.decompress((GOLDEN / "asyncapi-3.0.0.json.gz").read_bytes()))
    check = jsonschema.Draft7Validator(schema)
    assert list(check.iter_errors(document())) == []
    broken = document()
    del broken["info"]["title"]
    assert list(check.iter_errors(broken))


def test_every_reference_leads_somewhere() -> None:
    """Each ``$ref`` points to an element of the document."""
    references: list[str] = []

    def collect(part: Any) -> None:
        for key, value in part.items() if isinstance(part, dict) else enumerate(part):
            if key == "$ref":
                references.append(value)
            elif isinstance(value, (dict, list)):
                collect(value)

    collect(document())
    assert len(references) > len(MESSAGES)
    for reference in references:
        part = document()
        for name in reference.removeprefix("#/").split("/"):
            part = part[name]


def test_every_topic_is_there() -> None:
    """There is a channel with the right address for each kind of message, and one for receipts and hours each."""
    addresses = {kind: channel["address"] for kind, channel in document()["channels"].items()}
    topics = {kind: text.format(site="shop-1", device="door", writer="one") for kind, text in addresses.items()}
    assert topics.pop("stored") == stored_topic("shop-1", "door", "one")
    assert topics.pop("hour") == hour_topic("shop-1", "door")
    assert topics == {kind: topic("shop-1", "door", kind) for kind in KINDS}


@pytest.mark.parametrize("kind", ["counts", "status", "health", "stored", "hour"])
def test_golden_messages_satisfy_their_schema(kind: str) -> None:
    """A golden message is valid by the document; one with a wrong value is not."""
    whole = document()
    name = whole["components"]["messages"][kind]["payload"]["schema"]["$ref"]
    check = jsonschema.Draft202012Validator({"$ref": name, "components": whole["components"]})
    message = json.loads((GOLDEN / f"{kind}-1.json").read_bytes())
    assert list(check.iter_errors(message)) == []
    if kind == "counts":
        assert list(check.iter_errors(message | {"coverage": 2}))
