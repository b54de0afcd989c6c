"""TOML text -> a strict struct, or an error that names file, key and what is allowed."""

import ipaddress
import re
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin

import msgspec

from base.errors import SettingsError

S = TypeVar("S", bound=msgspec.Struct)
MOST_BYTES = 1_000_000
"""No configuration is longer; a larger file, or a device that never ends, is not read."""


def read_toml(path: Path, kind: type[S], overrides: tuple[str, ...] = ()) -> S:
    """A TOML file, with ``key.path=value`` overrides on top -> settings of the kind.

    SettingsError if the file cannot be read, is not TOML, has an unknown key, lacks one, or a value is wrong.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
        if len(content) > MOST_BYTES:
            raise SettingsError(f"{path}: must be at most {MOST_BYTES} bytes, is longer")
        tree = msgspec.toml.decode(content)
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror}") from error
    except (msgspec.DecodeError, ValueError) as error:  # a ValueError: not UTF-8, or a NUL in the path
        raise SettingsError(f"{path}: not TOML: {error}") from error
    except RecursionError as error:
        raise SettingsError(f"{path}: not TOML that can be read: tables or lists are nested too deeply") from error
    for override in overrides:
        _override(tree, override)
    return from_tree(tree, kind, str(path))


def from_tree(tree: object, kind: type[S], where: str) -> S:
    """Nested dicts and lists -> settings of the kind; SettingsError as `read_toml`."""
    try:
        return msgspec.convert(tree, kind)
    except msgspec.ValidationError as error:
        raise SettingsError(f"{where}: {_explain(str(error), kind, tree)}") from error
    except RecursionError as error:
        raise SettingsError(f"{where}: tables or lists are nested too deeply") from error


def check_encrypted(host: str, encrypted: bool, plain_text: bool) -> None:
    """ValueError if counts and passwords would cross a network as plain text and nobody has said that they may."""
    if not (encrypted or plain_text or is_loopback(host)):
        raise ValueError(f"{host} is another machine: set tls, or plain_text = true to send unencrypted")


def is_loopback(host: str) -> bool:
    """Whether a host is this machine only: the name ``localhost``, or an address of the loopback."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


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
    except RecursionError as error:
        raise SettingsError(f"--set {dotted}: tables or lists are nested too deeply") from error


def _explain(problem: str, kind: type, tree: object) -> str:
    """Msgspec's sentence, with the path as a TOML key and, for a bad key or one of a few values, what is allowed."""
    sentence, _, at = problem.partition(" - at `")
    path = at.rstrip("`").removeprefix("$").lstrip(".")
    unknown = re.fullmatch(r"Object contains unknown field `(.*)`", sentence)
    if unknown:
        key = f"{path}.{unknown[1]}" if path else unknown[1]
        return f"unknown key '{key}'; allowed: {', '.join(_keys(_structs_at(kind, path, tree)))}"
    missing = re.fullmatch(r"Object missing required field `(.*)`", sentence)
    if missing:
        return f"missing key '{path}.{missing[1]}'" if path else f"missing key '{missing[1]}'"
    if re.match(r"Invalid (enum )?value", sentence):
        table, _, key = re.sub(r"\[.*?\]", "", path).rpartition(".")
        sentence += f"; allowed: {', '.join(_values(_structs_at(kind, table, None), key))}"
    return f"key '{path}': {sentence}" if path else sentence


def _structs_at(kind: type, path: str, tree: object) -> list[Any]:
    """What the table at a dotted path may be: a struct, or several of a union unless the tree has the tag of one."""
    structs = [kind]
    for name in filter(None, re.sub(r"\[.*?\]", "", path).split(".")):
        fields = [field for outer in structs for field in msgspec.structs.fields(outer) if field.encode_name == name]
        structs = [struct for field in fields for struct in _structs_in(field.type)]
        tree = tree.get(name) if isinstance(tree, dict) else None
    tagged = [each for each in structs if isinstance(tree, dict) and _tag(each)[1] == tree.get(_tag(each)[0] or "")]
    return tagged or structs


def _structs_in(annotation: Any) -> list[Any]:
    """Struct types named in an annotation, through unions, optionals and tuples."""
    if isinstance(annotation, type) and issubclass(annotation, msgspec.Struct):
        return [annotation]
    return [struct for part in getattr(annotation, "__args__", ()) for struct in _structs_in(part)]


def _tag(struct: Any) -> tuple[str | None, Any]:
    """The key that tells structs of a union apart, and this one's value."""
    config = struct.__struct_config__
    return config.tag_field, config.tag


def _keys(structs: list[Any]) -> list[str]:
    """The keys that one of the structs may have."""
    tags = [_tag(struct)[0] for struct in structs]
    names = [field.encode_name for struct in structs for field in msgspec.structs.fields(struct)]
    return list(dict.fromkeys(key for key in [*tags, *names] if key))


def _values(structs: list[Any], key: str) -> list[str]:
    """The few values that a key of one of the structs may have: tags of a union, or those of a ``Literal``."""
    tags = [value for name, value in map(_tag, structs) if name == key]
    fields = [field for struct in structs for field in msgspec.structs.fields(struct) if field.encode_name == key]
    return [str(value) for value in tags or [one for field in fields for one in _literals_in(field.type)]]


def _literals_in(annotation: Any) -> list[Any]:
    """Values of the ``Literal`` named in an annotation, through optionals and tuples."""
    if get_origin(annotation) is Literal:
        return list(get_args(annotation))
    return [value for part in getattr(annotation, "__args__", ()) for value in _literals_in(part)]
