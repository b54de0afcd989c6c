"""Wrong values in JSON are named with key, value and what is allowed, in our words."""

import json
from typing import Annotated, Literal

import msgspec
import pytest
from msgspec import Meta, Struct

from base.validation_errors import SHOWN, explain_json

Short = Annotated[str, Meta(pattern="^[a-z]$", description="one small letter")]


class Box(Struct, forbid_unknown_fields=True, tag_field="kind", tag="box"):
    size: Annotated[int, Meta(ge=1)]
    sides: Annotated[tuple[float, ...], Meta(max_length=3)] = ()
    names: dict[Short, Annotated[int, Meta(ge=0, le=9)]] = {}
    packed: msgspec.Raw | None = None


class Ball(Struct, forbid_unknown_fields=True, tag_field="kind", tag="ball"):
    material: Literal["wood", "felt"]
    weight: float | None = None


BOX = {"kind": "box", "size": 1}


@pytest.mark.parametrize(
    ("tree", "expected"),
    [
        (BOX | {"size": 0}, "key 'size': must be >= 1, is 0"),
        (BOX | {"size": "x" * 99}, f"key 'size': must be a whole number, is '{'x' * SHOWN}'..."),
        (BOX | {"size": None}, "key 'size': must be a whole number, is null"),
        (BOX | {"sides": [1.5, {}]}, "key 'sides[1]': must be a number, is an object of length 0"),
        (BOX | {"sides": [1, 2, 3, 4]}, "key 'sides': must be a list of length <= 3, is a list of length 4"),
        (BOX | {"names": {"a": 1, "b": 10}}, "key 'names.b': must be <= 9, is 10"),
        (BOX | {"names": {"a": 1, "b": "two"}}, "key 'names.b': must be a whole number, is 'two'"),
        (BOX | {"names": {"AB": 1}}, "key 'names': each name must be one small letter"),
        (BOX | {"c" * 99: 1}, f"unknown key '{'c' * SHOWN}...'; allowed: kind, size, sides, names, packed"),
        ({"kind": "box"}, "missing key 'size'"),
        ({"kind": "cone"}, "key 'kind': must be one of box, ball, is 'cone'"),
        ({"kind": 7}, "key 'kind': must be one of box, ball, is 7"),
        ({"kind": "ball", "material": "lead"}, "key 'material': must be one of wood, felt, is 'lead'"),
        ({"kind": "ball", "material": "felt", "weight": "1"}, "key 'weight': must be a number or null, is '1'"),
        ([], "must be an object, is a list of length 0"),
    ],
)
def test_key_value_and_what_is_allowed_are_named(tree, expected) -> None:
    """For unions of structs, lists, objects and their names; long texts are cut."""
    assert _explained(json.dumps(tree).encode()) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"{", "not JSON: Input data was truncated"),
        (b"\xff", "not JSON: invalid character (byte 0)"),
        (b'{"kind":"box","size":0,', "key 'size': must be >= 1"),
        (b'{"kind":"box","size":1e999}', "key 'size': must be a number within the range of 64 bits"),
        (b'{"x":' + b"[" * 100_000, "not JSON that can be read: objects or lists are nested too deeply"),
    ],
)
def test_what_is_no_json_is_reported(text, expected) -> None:
    """Also behind the first wrong value, and where the decoder gives up."""
    assert _explained(text) == expected


def _explained(text: bytes) -> str:
    with pytest.raises((msgspec.DecodeError, UnicodeDecodeError, RecursionError)) as caught:
        msgspec.json.decode(text, type=Box | Ball)
    return explain_json(caught.value, text, Box | Ball)
