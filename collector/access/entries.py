"""The list of people and programs that may log in: one JSON file, which holds hashes of tokens only."""

import hashlib
import re
import secrets
from collections.abc import Iterable
from datetime import date
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from base.durable_file import replace_file
from base.errors import SettingsError
from base.validation_errors import explain_json
from contract.fields import Id

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._@+-]{0,99}$(?!\n)"
"""Names appear in the log, so they are short and have no spaces or quotes. An e-mail address is a name."""
TOKEN_BYTES = 32
FILE_MODE = 0o640


class Entry(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One person or program."""

    name: Annotated[str, Meta(pattern=NAME_PATTERN)]
    sites: tuple[Id, ...] | None = None
    """The sites that may be seen; None for all."""
    sha256: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")] | None = None
    """Hash of the token, hexadecimal; None for a person whom only a proxy can log in.

    A token has 256 random bits. Nobody can guess it from its hash, so a slow hash would add nothing.
    """
    created: date | None = None

    @property
    def permitted(self) -> frozenset[str] | None:
        """The sites as a set; None for all."""
        return None if self.sites is None else frozenset(self.sites)


def new_token() -> str:
    """Return a random token of 256 bits, in the letters of a URL."""
    return secrets.token_urlsafe(TOKEN_BYTES)


def hash_token(token: str) -> str:
    """Return the SHA-256 of a token, hexadecimal."""
    return hashlib.sha256(token.encode()).hexdigest()


def check_name(name: str) -> None:
    """Raise SettingsError if a name cannot be used."""
    if not re.search(NAME_PATTERN, name):
        raise SettingsError(
            "NAME: must be 1 to 100 letters, digits, '.', '_', '@', '+' or '-', beginning with a letter or digit,"
            f" is {name!r}"
        )


def read_entries(path: Path) -> tuple[Entry, ...]:
    """Read the file; an empty one has no entries.

    Raise SettingsError if it cannot be read, is damaged, or has a name twice.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise SettingsError(f"key 'access.file': {path}: {error.strerror}") from error
    try:
        entries = msgspec.json.decode(data or b"[]", type=tuple[Entry, ...])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"key 'access.file': {path}: {explain_json(error, data, Entry)}") from error
    names = [entry.name for entry in entries]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise SettingsError(f"key 'access.file': {path}: {', '.join(twice)}: must be there once")
    return entries


def write_entries(path: Path, entries: Iterable[Entry]) -> None:
    """Replace the file. It is on disk when this returns. Raise SettingsError if it cannot be written.

    Owner and group stay, those of a new file are its folder's: the page, which reads it, is not run by root.
    """
    data = msgspec.json.format(msgspec.json.encode(list(entries)), indent=2) + b"\n"
    try:
        replace_file(path, data, mode=FILE_MODE, owned_like=path if path.exists() else path.parent)
    except OSError as error:
        raise SettingsError(f"key 'access.file': {path}: {error.strerror}") from error
