"""Read and write the JSON files of the contract: model cards and manifests."""

from typing import Any

import msgspec

from base.validation_errors import explain_json


def read_json(text: bytes, kind: Any, where: str, refused: type[Exception]) -> Any:
    """Decode JSON into ``kind``. Raise ``refused``, which names ``where`` and the key, if the text is not one."""
    try:
        return msgspec.json.decode(text, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise refused(f"{where}: {explain_json(error, text, kind)}") from error


def write_json(value: msgspec.Struct) -> bytes:
    """Encode a struct as indented JSON with a line break at the end."""
    return msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n"
