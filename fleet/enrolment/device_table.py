"""Read the table of devices that an operator writes, ``devices.csv``; all its errors at once, by line and column."""

import csv
import io
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from base.errors import SettingsError
from base.logs import hide_secrets
from contract.errors import TopicError
from contract.release import INSTANCE_PATTERN
from contract.topics import check_id
from fleet.enrolment.authority import MAX_IDENTITY
from fleet.enrolment.boards import kind_of
from fleet.errors import Refused

REQUIRED = ("site", "device", "group", "zones")
OPTIONAL = {"camera": "", "board": "raspberry-pi", "host": ""}
"""Columns that may be absent, and what an absent or empty one stands for."""
WHOLE_IMAGE = ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0))
TAKEN = ("ca", "device")
"""Names of files of every device in /etc/facetally, which a further camera's certificate and key would replace."""
MAX_BYTES = 10_000_000
SOURCES = {"v4l2": "device", "picamera2": "camera", "gstreamer": "pipeline", "file": "path"}
"""Camera sources, and the key of ``[capture]`` that ``SOURCE:VALUE`` sets."""
SCHEMES = {"rtsp": "rtsp", "rtsps": "rtsp", "http": "http", "https": "http"}
"""Schemes of a network camera's URL, and its source."""


@dataclass(frozen=True, slots=True)
class Row:
    """One device of the table."""

    line: int
    site: str
    device: str
    group: str
    board: str
    camera: str
    host: str
    """Device of the same site to which it is a further camera; empty for a device of its own."""
    zones: str
    """Content of its zones file: TOML with the one key ``staff_zones``."""

    @property
    def identity(self) -> str:
        """``SITE/DEVICE``."""
        return f"{self.site}/{self.device}"


def read_table(path: Path) -> list[Row]:
    """Read the table. Raise Refused with one line of text for each error: file, line, column, what is allowed."""
    rows, errors = [], []
    for line, fields in _lines(path):
        found = dict(_errors(fields, path.parent))
        errors += [f"{path}: line {line}, column '{column}': {error}" for column, error in found.items()]
        if not found:
            rows.append(Row(line=line, **fields | {"zones": _zones(fields["zones"], path.parent)}))
    first: dict[str, int] = {}
    for row in rows:
        if (before := first.setdefault(row.identity, row.line)) != row.line:
            errors.append(f"{path}: line {row.line}, column 'device': {row.identity} is already in line {before}")
    hosts = {row.identity: row for row in rows if not row.host}
    errors += [f"{path}: line {row.line}, column {error}" for row in rows for error in _host_errors(row, hosts)]
    if errors:
        raise Refused("\n".join(errors))
    if not rows:
        raise Refused(f"{path}: must have at least one device, has none")
    return rows


def capture_of(camera: str) -> dict[str, Any]:
    """``"v4l2:0"`` -> ``{"source": "v4l2", "device": 0}``. Raise ValueError for an unknown source."""
    source, colon, value = camera.partition(":")
    if value.startswith("//") and source in SCHEMES:
        return {"source": SCHEMES[source], "url": camera}
    if source not in SOURCES:
        raise ValueError(
            f"must be SOURCE:VALUE with a source of {', '.join(SOURCES)}, or a URL of {', '.join(SCHEMES)},"
            f" is {hide_secrets(camera)!r}"
        )
    if not colon:
        return {"source": source}
    return {"source": source, SOURCES[source]: int(value) if value.isascii() and value.isdigit() else value}


def _lines(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield line number and columns of each row. Raise Refused for a file or a header that cannot be used."""
    try:
        content = path.read_bytes()
        if len(content) > MAX_BYTES:
            raise Refused(f"{path}: must be at most {MAX_BYTES} bytes, is {len(content)}")
        text = content.decode("utf-8-sig")
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise SettingsError(f"{path}: must be UTF-8 text: {error}") from error
    table = csv.DictReader(io.StringIO(text, newline=""), restkey="", restval=None, strict=True)
    try:
        header = [name.strip() for name in table.fieldnames or ()]
        _check_header(path, header)
        table.fieldnames = header
        for row in table:
            if "" in row:
                raise Refused(f"{path}: line {table.line_num}: must have {len(header)} columns, has more")
            filled = {name: (value or "").strip() or OPTIONAL.get(name, "") for name, value in row.items()}
            yield table.line_num, OPTIONAL | filled
    except csv.Error as error:
        raise Refused(f"{path}: after line {table.line_num}: not CSV: {error}") from error


def _check_header(path: Path, header: list[str]) -> None:
    allowed = (*REQUIRED, *OPTIONAL)
    for name in header:
        if name not in allowed or header.count(name) > 1:
            raise Refused(f"{path}: line 1: columns must be each once of {', '.join(allowed)}, has {name!r}")
    for name in REQUIRED:
        if name not in header:
            raise Refused(f"{path}: line 1: missing column '{name}'; required are {', '.join(REQUIRED)}")


def _errors(fields: dict[str, str], folder: Path) -> Iterator[tuple[str, str]]:
    """Yield column and error of each wrong value of a row."""
    for column in ("site", "device", "group"):
        try:
            check_id(column, fields[column])
        except TopicError as error:
            yield column, str(error).removeprefix(f"{column} {fields[column]!r} ") + f", is {fields[column]!r}"
    if len(identity := f"{fields['site']}/{fields['device']}") > MAX_IDENTITY:
        yield (
            "device",
            f"site and device together must have at most {MAX_IDENTITY - 1} characters, have {len(identity) - 1}",
        )
    for column, check in (("board", kind_of), ("camera", capture_of)):
        try:
            if fields[column]:
                check(fields[column])
        except ValueError as error:
            yield column, str(error)
    try:
        _zones(fields["zones"], folder)
    except ValueError as error:
        yield "zones", str(error)


def _host_errors(row: Row, hosts: Mapping[str, Row]) -> Iterator[str]:
    """Yield what is wrong with a further camera. ``hosts`` are the devices that are none, by identity."""
    if not row.host:
        return
    if row.device in TAKEN or not re.fullmatch(INSTANCE_PATTERN, row.device):
        yield (
            "'device': of a further camera must be 1 to 21 lower-case letters, digits, '-' or '_', beginning with a"
            f" letter or digit, and not edge, collector, update, {' or '.join(TAKEN)}, is {row.device!r}"
        )
    host = hosts.get(f"{row.site}/{row.host}")
    if host is None:
        yield f"'host': must be a device of this table and site that has no host itself, is {row.host!r}"
    elif host.group != row.group:
        yield f"'group': of a further camera must be that of its host, {host.group!r}, is {row.group!r}"


def _zones(value: str, folder: Path) -> str:
    """Return the TOML of a row's staff zones. Raise ValueError if the column or its file is wrong.

    The daemon's own reader checks the polygons later, with the whole configuration.
    """
    if value == "none":
        return "staff_zones = []\n"
    if value == "all":
        return f"staff_zones = [{json.dumps(WHOLE_IMAGE)}]\n"
    if not value:
        raise ValueError("must be a file with the line of `facetally-edge zones`, 'none' or 'all', is empty")
    path = folder / value
    try:
        tree = msgspec.toml.decode(path.read_bytes())
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}") from error
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise ValueError(f"{path}: not TOML: {error}") from error
    if set(tree) != {"staff_zones"}:
        raise ValueError(f"{path}: must have the key staff_zones only, has {', '.join(tree) or 'none'}")
    return f"staff_zones = {json.dumps(tree['staff_zones'], default=str)}\n"
