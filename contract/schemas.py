"""JSON Schemas of message structs, identical on all Python versions: before 3.13 docstrings keep their indentation."""

import inspect
from collections.abc import Iterable
from typing import Any

import msgspec


def schema(kind: Any) -> dict[str, Any]:
    """Return the JSON Schema of a type, with the definitions of all types that it refers to."""
    described: dict[str, Any] = _unindented(msgspec.json.schema(kind))
    return described


def components(kinds: Iterable[Any], template: str) -> dict[str, Any]:
    """Return the JSON Schemas of types and of all types that they refer to, by name.

    ``template`` is the form of a reference, such as ``#/components/schemas/{name}``.
    """
    described: dict[str, Any] = _unindented(msgspec.json.schema_components(kinds, ref_template=template)[1])
    return described


def _unindented(value: Any) -> Any:
    """Return a JSON value in which descriptions have lost the indentation of their docstring."""
    if isinstance(value, dict):
        return {
            key: inspect.cleandoc(each) if key == "description" and isinstance(each, str) else _unindented(each)
            for key, each in value.items()
        }
    return [_unindented(each) for each in value] if isinstance(value, list) else value
