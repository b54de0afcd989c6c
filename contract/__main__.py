"""Writes the JSON Schemas of the contract into a folder, and the AsyncAPI document beside it:
``python -m contract contract/schema``.
"""

import argparse
from pathlib import Path

import msgspec

from contract.asyncapi import document
from contract.card import Card
from contract.message import MESSAGES
from contract.receipt import Stored
from contract.schemas import schema

NEWEST = {"counts": 2, "model": 2, "card": 2, "health": 3}
"""The version of each kind that has more than one; its schema takes those before it too."""


def schemas() -> dict[str, bytes]:
    """File name -> JSON Schema (draft 2020-12) of each message, of the receipt and of the model card."""
    others = {"card": Card, "stored": Stored}
    kinds = {f"{kind}-{NEWEST.get(kind, 1)}": message for kind, message in (MESSAGES | others).items()}
    return {
        f"{name}.json": msgspec.json.format(msgspec.json.encode(schema(kind)), indent=2) + b"\n"
        for name, kind in kinds.items()
    }


def topics() -> bytes:
    """The AsyncAPI document of all topics, as it is kept in ``contract/asyncapi.json``."""
    return msgspec.json.format(msgspec.json.encode(document()), indent=2) + b"\n"


def main() -> None:
    """Write the schemas into the folder named, or beside this file."""
    parser = argparse.ArgumentParser(prog="python -m contract", description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=Path(__file__).parent / "schema")
    folder = parser.parse_args().folder
    for name, text in schemas().items():
        (folder / name).write_bytes(text)
        print(folder / name)
    beside = folder.parent / "asyncapi.json"
    beside.write_bytes(topics())
    print(beside)


if __name__ == "__main__":
    main()
