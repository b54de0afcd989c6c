"""Write the JSON Schemas of the contract into a folder and the AsyncAPI document beside it."""

import argparse
from pathlib import Path

import msgspec

from contract.asyncapi import document
from contract.card import Card
from contract.hour import Hour
from contract.message import MESSAGES
from contract.receipt import Stored
from contract.release import DeviceManifest, ReleaseManifest
from contract.schemas import schema

NEWEST = {"counts": 2, "model": 3, "card": 3, "health": 4, "device": 2}
"""Newest version of each kind that has more than one. Its schema accepts the earlier versions too."""


def schemas() -> dict[str, bytes]:
    """Return the JSON Schemas (draft 2020-12) of messages, receipt, model card and manifests, by file name."""
    others = {"card": Card, "stored": Stored, "hour": Hour, "release": ReleaseManifest, "device": DeviceManifest}
    kinds = {f"{kind}-{NEWEST.get(kind, 1)}": message for kind, message in (MESSAGES | others).items()}
    return {
        f"{name}.json": msgspec.json.format(msgspec.json.encode(schema(kind)), indent=2) + b"\n"
        for name, kind in kinds.items()
    }


def asyncapi() -> bytes:
    """Return the AsyncAPI document of all topics, as stored in ``contract/asyncapi.json``."""
    return msgspec.json.format(msgspec.json.encode(document()), indent=2) + b"\n"


def main() -> None:
    """Write all schemas into the folder given, by default ``contract/schema``, and print the paths."""
    parser = argparse.ArgumentParser(prog="python -m contract", description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=Path(__file__).parent / "schema")
    folder = parser.parse_args().folder
    for name, text in schemas().items():
        (folder / name).write_bytes(text)
        print(folder / name)
    beside = folder.parent / "asyncapi.json"
    beside.write_bytes(asyncapi())
    print(beside)


if __name__ == "__main__":
    main()
