"""Rewrite msgspec's validation errors for people who edit TOML: key, what must be, what is."""

import re
from collections.abc import Iterator
from typing import Any, Literal, get_args, get_origin

import msgspec
from msgspec import Meta, Struct

from base.logs import hide_secrets

TYPES = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "str": "a text",
    "array": "a list",
    "object": "a table",
    "datetime": "a date and time",
    "date": "a date",
    "time": "a time",
}
"""Msgspec's names of types, for people."""
SHOWN = 40
"""Of a text that is wrong, so many characters are shown."""


def explain(problem: str, kind: type, tree: Any) -> str:
    """Rewrite the message of a ``msgspec.ValidationError``, raised when ``tree`` was converted into ``kind``.

    "Expected `int` >= 1 - at `$.privacy.k`" becomes "key 'privacy.k': must be >= 1, is 0". For unknown keys and values
    that are none of a few, what is allowed is listed.
    """
    sentence, _, at = problem.partition(" - at `")
    path = at.rstrip("`").removeprefix("$").lstrip(".")
    unknown = re.fullmatch(r"Object contains unknown field `(.*)`", sentence)
    if unknown:
        key = f"{path}.{unknown[1]}" if path else unknown[1]
        return f"unknown key '{key}'; allowed: {', '.join(_keys(_structs_at(kind, path, tree)))}"
    missing = re.fullmatch(r"Object missing required field `(.*)`", sentence)
    if missing:
        return f"missing key '{path}.{missing[1]}'" if path else f"missing key '{missing[1]}'"
    table, _, key = re.sub(r"\[.*?\]", "", path).rpartition(".")
    must = _must(sentence, _structs_at(kind, table, None), key)
    if must is not None:
        sentence = f"must be {must}, is {_found(_value_at(tree, path))}"
    return f"key '{path}': {sentence}" if path else sentence


def _must(sentence: str, structs: list[Any], key: str) -> str | None:
    """What a value must be by msgspec's sentence and the type of the key; None for other sentences."""
    values = _values(structs, key)
    if values and re.match(r"Invalid |Expected `str(?: \| null)?`, got ", sentence):
        return f"one of {', '.join(values)}"
    bound = re.fullmatch(r"Expected `(?:int|float)` ([<>]=?) (.+)", sentence)
    if bound:
        return f"{bound[1]} {bound[2].removesuffix('.0')}"
    if re.match(r"Expected `str` matching regex", sentence):
        return next(_described(structs, key, sentence), sentence.removeprefix("Expected `str` "))
    length = re.match(r"Expected `(str|array)` of length ((?:[<>]= )?\d+)", sentence)
    if length:
        return f"{TYPES[length[1]]} of length {length[2]}"
    wrong = re.fullmatch(r"Expected `(.+)`, got `\w+`", sentence)
    if wrong:
        names = [name for name in wrong[1].split(" | ") if name != "null"]
        return " or ".join(TYPES.get(name, name) for name in names)
    return None


def _found(value: Any) -> str:
    """A value of a TOML file in a few words, without what looks like a secret."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        shown = hide_secrets(value)
        return repr(shown) if len(shown) <= SHOWN else f"{shown[:SHOWN]!r}..."
    if isinstance(value, list):
        return f"a list of length {len(value)}"
    if isinstance(value, dict):
        return "a table"
    return str(value)


def _value_at(tree: Any, path: str) -> Any:
    """The value at a path such as ``admit.staff_zones[0][1]``."""
    for name, index in re.findall(r"([^.\[\]]+)|\[(\d+)\]", path):
        tree = tree[int(index)] if index else tree[name]
    return tree


def _structs_at(kind: type, path: str, tree: Any) -> list[Any]:
    """The struct types that the table at a dotted path may have; of a tagged union, the one whose tag the tree has."""
    structs = [kind]
    for name in filter(None, re.sub(r"\[.*?\]", "", path).split(".")):
        structs = [struct for field in _fields(structs, name) for struct in _structs_in(field.type)]
        tree = tree.get(name) if isinstance(tree, dict) else None
    tagged = [each for each in structs if isinstance(tree, dict) and _tag(each)[1] == tree.get(_tag(each)[0] or "")]
    return tagged or structs


def _fields(structs: list[Any], name: str) -> list[Any]:
    """The fields of this name that the structs have."""
    return [field for struct in structs for field in msgspec.structs.fields(struct) if field.encode_name == name]


def _structs_in(annotation: Any) -> list[Any]:
    """Struct types named in an annotation, through unions, optionals and tuples."""
    if isinstance(annotation, type) and issubclass(annotation, Struct):
        return [annotation]
    return [struct for part in getattr(annotation, "__args__", ()) for struct in _structs_in(part)]


def _tag(struct: Any) -> tuple[str | None, Any]:
    """The key that tells the structs of a union apart, and this struct's value."""
    config = struct.__struct_config__
    return config.tag_field, config.tag


def _keys(structs: list[Any]) -> list[str]:
    """The keys that the structs may have."""
    tags = [_tag(struct)[0] for struct in structs]
    names = [field.encode_name for struct in structs for field in msgspec.structs.fields(struct)]
    return list(dict.fromkeys(key for key in [*tags, *names] if key))


def _values(structs: list[Any], key: str) -> list[str]:
    """The values allowed for a key that has few: tags of a union, or those of a ``Literal``."""
    tags = [value for name, value in map(_tag, structs) if name == key]
    return [str(value) for value in tags or [one for each in _fields(structs, key) for one in _literals_in(each.type)]]


def _literals_in(annotation: Any) -> list[Any]:
    """Values of the ``Literal`` named in an annotation, through optionals and tuples."""
    if get_origin(annotation) is Literal:
        return list(get_args(annotation))
    return [value for part in getattr(annotation, "__args__", ()) for value in _literals_in(part)]


def _described(structs: list[Any], key: str, sentence: str) -> Iterator[str]:
    """Descriptions of the patterns of a key of which the sentence names the regular expression."""
    for field in _fields(structs, key):
        for meta in _metas_in(field.type):
            if meta.description and meta.pattern and repr(meta.pattern) in sentence:
                yield meta.description


def _metas_in(annotation: Any) -> list[Meta]:
    """The constraints in an annotation, through unions, optionals and tuples."""
    own = [meta for meta in getattr(annotation, "__metadata__", ()) if isinstance(meta, Meta)]
    origin = getattr(annotation, "__origin__", None) if own else None
    parts = [origin, *getattr(annotation, "__args__", ())]
    return own + [meta for part in parts if part is not None for meta in _metas_in(part)]
