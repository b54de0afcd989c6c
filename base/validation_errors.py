"""Rewrite msgspec's validation errors for people: which key, what it must be, what it is."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Literal, get_args, get_origin

import msgspec
from msgspec import Meta, Struct

from base.logs import hide_secrets

TOML_TYPES = {
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
"""Msgspec's names of types, for people who edit TOML."""
JSON_TYPES = TOML_TYPES | {"object": "an object", "null": "null"}
SENTENCES = {
    "Invalid RFC3339 encoded datetime": "a date and time as in RFC 3339",
    "Expected `datetime` with a timezone component": "a date and time with its offset from UTC",
    "Number out of range": "a number within the range of 64 bits",
    "Integer value out of range": "a number within the range of 64 bits",
}
"""Msgspec's sentences about single types of values, and what the value must be."""
SHOWN = 40
"""Maximum number of characters shown of a wrong text."""
MAX_KEYS = 10
"""Maximum number of unknown keys that are named."""
UNREADABLE = object()
"""In place of a tree that only a decoder of its kind could read in part."""


def explain(problem: str, kind: Any, tree: Any, names: Mapping[str, str] = TOML_TYPES) -> str:
    """Rewrite the message of a ``msgspec.ValidationError``, raised when ``tree`` was converted into ``kind``.

    "Expected `int` >= 1 - at `$.privacy.k`" becomes "key 'privacy.k': must be >= 1, is 0". All unknown keys of a table
    are named, up to `MAX_KEYS`. For them and for values that are none of a few, what is allowed is listed. ``kind`` is
    a struct or a union of structs.
    """
    sentence, _, at = problem.partition(" - at `")
    in_names = at.startswith("key` in `")
    path = at.removeprefix("key` in `").rstrip("`").removeprefix("$").lstrip(".")
    unknown = re.fullmatch(r"Object contains unknown field `(.*)`", sentence, re.DOTALL)
    if unknown:
        allowed = _keys(_structs_at(kind, path, tree))
        keys = [f"{path}.{_cut(key)}" if path else _cut(key) for key in _unknown(tree, path, unknown[1], allowed)]
        named = ", ".join(f"'{key}'" for key in keys)
        return f"unknown key{'s' if len(keys) > 1 else ''} {named}; allowed: {', '.join(allowed)}"
    missing = re.fullmatch(r"Object missing required field `(.*)`", sentence)
    if missing:
        return f"missing key '{path}.{missing[1]}'" if path else f"missing key '{missing[1]}'"
    table, _, key = re.sub(r"\[.*?\]", "", path).rpartition(".")
    must = _must(sentence, _structs_at(kind, table, None), key, names)
    if must is not None and in_names:
        sentence = f"each name must be {must}"
    elif must is not None:
        path, found = _found(tree, path, sentence, names)
        sentence = f"must be {must}{found}"
    return f"key '{path}': {sentence}" if path else sentence


def _unknown(tree: Any, path: str, first: str, allowed: list[str]) -> list[str]:
    """The keys that are not allowed in the table at a path, of which msgspec names the first."""
    for _, table in () if tree is UNREADABLE else _values_at(tree, path):
        if isinstance(table, dict) and first in table:
            return [key for key in table if key not in allowed][:MAX_KEYS]
    return [first]


def explain_json(error: Exception, text: bytes, kind: Any) -> str:
    """Rewrite the error that msgspec raised when it decoded the JSON ``text`` into ``kind``; see `explain`."""
    if isinstance(error, RecursionError):
        return "not JSON that can be read: objects or lists are nested too deeply"
    if not isinstance(error, msgspec.ValidationError):
        return f"not JSON: {str(error).removeprefix('JSON is malformed: ')}"
    try:
        tree = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):  # after the first error there may be others
        tree = UNREADABLE
    return explain(str(error), kind, tree, JSON_TYPES)


def _must(sentence: str, structs: list[Any], key: str, names: Mapping[str, str]) -> str | None:
    """What a value must be by msgspec's sentence and the type of the key; None for other sentences."""
    values = _values(structs, key)
    if values and re.match(r"Invalid |Expected `str(?: \| null)?`(?:, got |$)", sentence):
        return f"one of {', '.join(values)}"
    bound = re.fullmatch(r"Expected `(?:int|float)` ([<>]=?) (.+)", sentence)
    if bound:
        return f"{bound[1]} {bound[2].removesuffix('.0')}"
    regex = re.fullmatch(r"Expected `str` matching regex (.*)", sentence)
    if regex:
        return next(_described(structs, key, sentence), f"a text that matches {regex[1]}")
    length = re.match(r"Expected `(str|array|object)` of length ((?:[<>]= )?\d+)", sentence)
    if length:
        return f"{names[length[1]]} of length {length[2]}"
    wrong = re.fullmatch(r"Expected `([^`]+)`(?:, got `\w+`)?", sentence)
    if wrong and sentence not in SENTENCES:
        return " or ".join(names.get(name, name) for name in wrong[1].split(" | ") if name in names or name != "null")
    return SENTENCES.get(sentence)


def _found(tree: Any, path: str, sentence: str, names: Mapping[str, str]) -> tuple[str, str]:
    """The exact path of the value that a sentence is about, and ``, is VALUE``; nothing if it cannot be told."""
    for exact, value in () if tree is UNREADABLE else _values_at(tree, path):
        if exact == path or _fits(value, sentence):
            return exact, f", is {_shown(value, names)}"
    return path, ""


def _shown(value: Any, names: Mapping[str, str]) -> str:
    """A value in a few words, without what looks like a secret."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        shown = hide_secrets(value)
        return repr(shown) if len(shown) <= SHOWN else f"{shown[:SHOWN]!r}..."
    if isinstance(value, (list, dict)):
        return f"{names['array' if isinstance(value, list) else 'object']} of length {len(value)}"
    return _cut(str(value))


def _cut(text: str) -> str:
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."


def _fits(value: Any, sentence: str) -> bool:
    """Whether a sentence may be about this value: the type or length that it found, or a bound that it exceeds."""
    got = re.search(r", got `(\w+)`", sentence)
    if got:
        kinds = {"null": type(None), "bool": bool, "int": int, "float": float, "str": str, "array": list}
        return type(value) is kinds.get(got[1], dict)
    bound = re.search(r"` (of length )?([<>]=?)? ?([\d.]+)$", sentence)
    if bound and bound[1]:
        value = len(value) if isinstance(value, (str, list, dict)) else None
    if bound is None or not isinstance(value, (int, float)):
        return False
    limit = float(bound[3])
    within = {">=": value >= limit, "<=": value <= limit, ">": value > limit, "<": value < limit}
    return not within.get(bound[2], value == limit)


def _values_at(tree: Any, path: str, before: str = "") -> Iterator[tuple[str, Any]]:
    """The values at a path such as ``admit.staff_zones[0][1]``, with their paths. ``[...]`` is any key of an object."""
    step = re.match(r"\.?([^.\[\]]+)|\[(\d+)\]|\[\.\.\.\]", path)
    if step is None:
        yield before, tree
        return
    rest = path[step.end() :]
    if step[1] is not None:
        found = [(f".{step[1]}" if before else step[1], tree[step[1]])] if _has(tree, step[1]) else []
    elif step[2] is not None:
        found = [(step[0], tree[int(step[2])])] if isinstance(tree, list) and int(step[2]) < len(tree) else []
    else:
        found = [(f".{_cut(name)}", value) for name, value in tree.items()] if isinstance(tree, dict) else []
    for part, value in found:
        yield from _values_at(value, rest, before + part)


def _has(tree: Any, name: str) -> bool:
    return isinstance(tree, dict) and name in tree


def _structs_at(kind: Any, path: str, tree: Any) -> list[Any]:
    """The struct types that the table at a dotted path may have; of a tagged union, the one whose tag the tree has."""
    structs = _structs_in(kind)
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
    values = tags or [one for each in _fields(structs, key) for one in _literals_in(each.type)]
    return list(dict.fromkeys(map(str, values)))


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
