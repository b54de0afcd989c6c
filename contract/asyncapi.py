"""The messages and topics -> an AsyncAPI 3.0 document: what is on the broker, for programs of others."""

import inspect
from typing import Any

from contract.message import MESSAGES
from contract.receipt import Stored
from contract.schemas import components
from contract.topics import ID_PATTERN, PREFIX, Kind

SCHEMAS = "#/components/schemas/{name}"
RETAINED: dict[Kind, bool] = {"counts": False, "status": True, "model": True, "health": True}
LEVELS = {"site": "A shop", "device": "A unit in it"}
WRITER = {"writer": "A collector: its own name in the store"}


def document() -> dict[str, Any]:
    """All channels as JSON values; the schemas are those of ``contract/schema``, which the same structs give."""
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "facetally",
            "version": "1.0.0",
            "description": "Anonymous counts of visits by apparent expression. Delivery is at least once: drop repeats"
            " of counts by site, device, boot and seq. A track is no person: somebody who looks twice is two visits.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": {kind: _channel(kind, kind, LEVELS) for kind in MESSAGES}
        | {"stored": _channel("stored", "stored/{writer}", LEVELS | WRITER)},
        "operations": {f"hear-{kind}": _operation(kind) for kind in MESSAGES} | {"confirm-stored": _confirmation()},
        "components": {
            "messages": {kind: _message(kind, struct) for kind, struct in (MESSAGES | {"stored": Stored}).items()},
            "schemas": components([*MESSAGES.values(), Stored], SCHEMAS),
            "parameters": {name: {"description": f"{says}: {ID_PATTERN}"} for name, says in (LEVELS | WRITER).items()},
        },
    }


def _channel(name: str, last: str, levels: dict[str, str]) -> dict[str, Any]:
    return {
        "address": f"{PREFIX}/{{site}}/{{device}}/{last}",
        "messages": {name: {"$ref": f"#/components/messages/{name}"}},
        "parameters": {level: {"$ref": f"#/components/parameters/{level}"} for level in levels},
    }


def _operation(kind: Kind) -> dict[str, Any]:
    """What an analyst's program does: it only listens. The devices' own part is ``retain``."""
    return {
        "action": "receive",
        "channel": {"$ref": f"#/channels/{kind}"},
        "messages": [{"$ref": f"#/channels/{kind}/messages/{kind}"}],
        "bindings": {"mqtt": {"qos": 1, "retain": RETAINED[kind], "bindingVersion": "0.2.0"}},
    }


def _confirmation() -> dict[str, Any]:
    """What a collector does: a device deletes a window when this says that it is stored. Listeners do not send it."""
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
