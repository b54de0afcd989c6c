"""TOML text -> a strict struct, or an error that names file, key and what is allowed."""

import re
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from contract.errors import SettingsError

S = TypeVar("S", bound=msgspec.Struct)


def read_toml(path: Path, kind: type[S], overrides: tuple[str, ...] = ()) -> S:
    """A TOML file, with ``key.path=value`` overrides on top -> settings of the kind.

    SettingsError if the file cannot be read, is not TOML, has an unknown key, lacks one, or a value is wrong.
    """
    try:
        tree = msgspec.toml.decode(path.read_bytes())
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: not TOML: {error}") from error
    for override in overrides:
        _override(tree, override)
    return from_tree(tree, kind, str(path))


def from_tree(tree: object, kind: type[S], where: str) -> S:
    """Nested dicts and lists -> settings of the kind; SettingsError as `read_toml`."""
    try:
        return msgspec.convert(tree, kind)
    except msgspec.ValidationError as error:
        raise SettingsError(f"{where}: {_explain(str(error), kind)}") from error


def _override(tree: dict[str, Any], text: str) -> None:
    """Set ``a.b=value`` in the tree; the value is read as TOML, and as plain text where it is none."""
    dotted, equals, value = text.partition("=")
    if not equals or not dotted:
        raise SettingsError(f"--set {text}: expected key=value, such as privacy.k=1")
    *parents, key = dotted.split(".")
    for parent in parents:
        tree = tree.setdefault(parent, {})
        if not isinstance(tree, dict):
            raise SettingsError(f"--set {text}: {parent} is a value, not a table")
    try:
        tree[key] = msgspec.toml.decode(f"value = {value}")["value"]
    except msgspec.DecodeError:
        tree[key] = value


def _explain(problem: str, kind: type) -> str:
    """Msgspec's sentence, with the path as a TOML key and, for an unknown or bad key, what is allowed there."""
    sentence, _, at = problem.partition(" - at `")
    path = at.rstrip("`").removeprefix("$").lstrip(".")
    unknown = re.fullmatch(r"Object contains unknown field `(.*)`", sentence)
    if unknown:
        key = f"{path}.{unknown[1]}" if path else unknown[1]
        return f"unknown key '{key}'; allowed: {', '.join(_keys_at(kind, path))}"
    missing = re.fullmatch(r"Object missing required field `(.*)`", sentence)
    if missing:
        return f"missing key '{path}.{missing[1]}'" if path else f"missing key '{missing[1]}'"
    return f"key '{path}': {sentence}" if path else sentence


def _keys_at(kind: type, path: str) -> list[str]:
    """The keys that the table at a dotted path may have."""
    structs = [kind]
    for name in filter(None, re.sub(r"\[.*?\]", "", path).split(".")):
        structs = [
            struct
            for outer in structs
            for field in msgspec.structs.fields(outer)
            if field.encode_name == name
            for struct in _structs_in(field.type)
        ]
    names = {field.encode_name: None for struct in structs for field in msgspec.structs.fields(struct)}
    configs = [msgspec.inspect.type_info(struct) for struct in structs]
    tags = {each.tag_field: None for each in configs if isinstance(each, msgspec.inspect.StructType) and each.tag_field}
    return [str(name) for name in {**tags, **names}]


def _structs_in(annotation: Any) -> list[Any]:
    """Struct types named in an annotation, through unions, optionals and tuples."""
    if isinstance(annotation, type) and issubclass(annotation, msgspec.Struct):
        return [annotation]
    return [struct for part in getattr(annotation, "__args__", ()) for struct in _structs_in(part)]
