"""Read a TOML file into strict settings; errors name file, key, value and what is allowed."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta, Struct

from base.errors import SettingsError
from base.validation_errors import explain

S = TypeVar("S", bound=Struct)
Text = Annotated[
    str,
    Meta(min_length=1, max_length=4096, pattern=r"^[^\x00]+$", description="a text without a NUL character"),
]
"""Text that is handed to the system, such as a path."""
Seconds = Annotated[float, Meta(gt=0, le=31_622_400)]
"""At most a leap year, which also rejects ``inf`` and ``nan``."""
MAX_BYTES = 1_000_000
"""Longer files are not read: no configuration is longer, and a device file may never end."""
TOO_DEEP = "tables or lists are nested too deeply"


class Table(Struct, frozen=True, forbid_unknown_fields=True):
    """Base of all tables of a configuration: immutable; unknown keys are errors."""


def read_toml(
    path: Path, kind: type[S], overrides: tuple[str, ...] = (), renamed: Mapping[str, str] | None = None
) -> S:
    """Read a TOML file, with ``key.path=value`` overrides on top, into settings of ``kind``.

    ``renamed`` maps former keys to present ones, dotted; a former key is an error that names the present one. Raise
    SettingsError if the file cannot be read or is not TOML, a key is unknown or missing, or a value is wrong.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise SettingsError(f"{path}: must be at most {MAX_BYTES} bytes, is longer")
        tree = msgspec.toml.decode(content)
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror}") from error
    except (msgspec.DecodeError, ValueError) as error:  # a ValueError: not UTF-8, or a NUL in the path
        raise SettingsError(f"{path}: not TOML: {error}") from error
    except RecursionError as error:
        raise SettingsError(f"{path}: not TOML that can be read: {TOO_DEEP}") from error
    for override in overrides:
        _override(tree, override)
    return from_tree(tree, kind, str(path), renamed)


def from_tree(tree: Any, kind: type[S], where: str, renamed: Mapping[str, str] | None = None) -> S:
    """Convert nested dicts and lists into settings of ``kind``; arguments and errors as `read_toml`."""
    for old, new in _former_keys(tree, renamed or {}):
        raise SettingsError(f"{where}: key '{old}' is now '{new}'")
    try:
        return msgspec.convert(tree, kind)
    except msgspec.ValidationError as error:
        raise SettingsError(f"{where}: {explain(str(error), kind, tree)}") from error
    except RecursionError as error:
        raise SettingsError(f"{where}: {TOO_DEEP}") from error


def _former_keys(tree: Any, renamed: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """The former keys that a tree has, dotted, each with its present name. A table is named by its first key."""
    for old, new in renamed.items():
        value = tree
        for name in old.split("."):
            value = value.get(name) if isinstance(value, dict) else None
        if value is None:
            continue
        inner = next(iter(value), None) if isinstance(value, dict) else None
        yield (old, new) if inner is None else (f"{old}.{inner}", f"{new}.{inner}")


def _override(tree: dict[str, Any], text: str) -> None:
    """Set ``a.b=value`` in the tree; a value that is not TOML is taken as text."""
    dotted, equals, value = text.partition("=")
    if not equals or not dotted:
        raise SettingsError(f"--set {text}: expected key=value, such as privacy.k=1")
    *parents, key = dotted.split(".")
    for parent in parents:
        tree = tree.setdefault(parent, {})
        if not isinstance(tree, dict):
            raise SettingsError(f"--set {text}: {parent} must be a table, is a value")
    try:
        tree[key] = msgspec.toml.decode(f"value = {value}")["value"]
    except msgspec.DecodeError:
        tree[key] = value
    except RecursionError as error:
        raise SettingsError(f"--set {dotted}: {TOO_DEEP}") from error
