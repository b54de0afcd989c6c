"""Structs -> their JSON Schemas, in the same words on every Python: before 3.13 docstrings keep their indentation."""

import inspect
from collections.abc import Iterable
from typing import Any

import msgspec


def schema(kind: Any) -> dict[str, Any]:
    """A type -> its JSON Schema, with all that it refers to."""
    described: dict[str, Any] = _unindented(msgspec.json.schema(kind))
    return described


def components(kinds: Iterable[Any], template: str) -> dict[str, Any]:
    """Types -> name and JSON Schema of each and of all that they refer to, by references like ``template``."""
    described: dict[str, Any] = _unindented(msgspec.json.schema_components(kinds, ref_template=template)[1])
    return described


def _unindented(value: Any) -> Any:
    """A JSON value, its descriptions without the indentation of the code that they stand in."""
    if isinstance(value, dict):
        return {
            key: inspect.cleandoc(each) if key == "description" and isinstance(each, str) else _unindented(each)
            for key, each in value.items()
        }
    return [_unindented(each) for each in value] if isinstance(value, list) else value
