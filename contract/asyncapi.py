"""Build the AsyncAPI 3.0 document that describes all topics and messages to other programs."""

import inspect
from typing import Any

from contract.hour import Hour
from contract.message import MESSAGES
from contract.receipt import Stored
from contract.schemas import components
from contract.topics import ID_PATTERN, PREFIX, Kind

SCHEMAS = "#/components/schemas/{name}"
RETAINED: dict[Kind, bool] = {"counts": False, "status": True, "model": True, "health": True, "shadow": True}
BY_COLLECTOR = {"stored": Stored, "hour": Hour}
"""Messages that collectors publish."""
LEVELS = {"site": "Id of the shop", "device": "Id of the device in it"}
WRITER = {"writer": "Name of the collector, ``store.writer`` of its configuration"}


def document() -> dict[str, Any]:
    """Return the document as JSON values. Its schemas come from the same structs as those in ``contract/schema``."""
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "facetally",
            "version": "1.0.0",
            "description": "Anonymous counts of visits by apparent expression. Delivery is at least once: drop repeats"
            " of counts by site, device, boot and seq. A visit is not a person: who comes twice is two visits.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": {kind: _channel(kind, kind, LEVELS) for kind in MESSAGES}
        | {"stored": _channel("stored", "stored/{writer}", LEVELS | WRITER), "hour": _channel("hour", "hour", LEVELS)},
        "operations": {f"hear-{kind}": _operation(kind, RETAINED[kind]) for kind in MESSAGES}
        | {"hear-hour": _operation("hour", True), "confirm-stored": _confirmation()},
        "components": {
            "messages": {kind: _message(kind, struct) for kind, struct in (MESSAGES | BY_COLLECTOR).items()},
            "schemas": components([*MESSAGES.values(), *BY_COLLECTOR.values()], SCHEMAS),
            "parameters": {name: {"description": f"{text}: {ID_PATTERN}"} for name, text in (LEVELS | WRITER).items()},
        },
    }


def _channel(name: str, last: str, levels: dict[str, str]) -> dict[str, Any]:
    return {
        "address": f"{PREFIX}/{{site}}/{{device}}/{last}",
        "messages": {name: {"$ref": f"#/components/messages/{name}"}},
        "parameters": {level: {"$ref": f"#/components/parameters/{level}"} for level in levels},
    }


def _operation(kind: str, retained: bool) -> dict[str, Any]:
    """Return the operation of a program that subscribes to a kind of message. ``retain`` is set by its publisher."""
    return {
        "action": "receive",
        "channel": {"$ref": f"#/channels/{kind}"},
        "messages": [{"$ref": f"#/channels/{kind}/messages/{kind}"}],
        "bindings": {"mqtt": {"qos": 1, "retain": retained, "bindingVersion": "0.2.0"}},
    }


def _confirmation() -> dict[str, Any]:
    """Return the operation of a collector: it confirms stored windows, which the device then deletes."""
    return {
        "action": "send",
        "channel": {"$ref": "#/channels/stored"},
        "messages": [{"$ref": "#/channels/stored/messages/stored"}],
        "bindings": {"mqtt": {"qos": 0, "retain": True, "bindingVersion": "0.2.0"}},
    }


def _message(kind: str, struct: type) -> dict[str, Any]:
    summary = (inspect.getdoc(struct) or "").partition("\n\n")[0]
    return {
        "name": kind,
        "summary": " ".join(summary.split()),
        "contentType": "application/json",
        "payload": {
            "schemaFormat": "application/schema+json;version=draft-2020-12",
            "schema": {"$ref": SCHEMAS.format(name=struct.__name__)},
        },
    }
