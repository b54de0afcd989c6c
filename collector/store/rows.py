"""Convert counts messages to CSV rows under the store's header, and check the lines of a file.

A window with doubtful visits has `DOUBTFUL_COLUMNS` before its labels, a window without them does not. The message
alone decides, so that a message that arrives twice belongs in the same file.
"""

import csv
import re
from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from typing import get_args

from msgspec import UNSET
from msgspec.json import Encoder

from collector.language.catalogue import mark
from collector.store.columns import DOUBTFUL_COLUMNS, FIXED_COLUMNS, RESERVED_NAMES
from collector.store.damage import Fault
from contract.errors import BadMessage
from contract.fields import LONGEST_WINDOW, Clock
from contract.labels import LABEL_PATTERN
from contract.message import Counts

CLOCKS = frozenset(get_args(Clock))
MAX_INTEGER = 2**53
"""Largest whole number of a row: a float64 holds every integer up to it."""
FIRST_YEAR, END_YEAR = 1970, 2200
"""Years of windows, the last excluded. pandas 2 cannot hold times after 2262, and one such row would make a whole
folder unreadable."""
MAX_MODEL_NAME = 200
"""Characters of a model's name, which every row repeats."""

INTEGER = re.compile(r"[0-9]{1,16}")
RATIO = re.compile(r"[0-9]+(\.[0-9]+)?([eE][-+]?[0-9]+)?")
TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{6})?Z")

_encoder = Encoder()


def columns_of(counts: Counts) -> tuple[str, ...]:
    """Return the columns after `FIXED_COLUMNS` of a message's row: `DOUBTFUL_COLUMNS` if needed, then the labels."""
    low, high = _doubtful(counts)
    return (*DOUBTFUL_COLUMNS, *counts.visits) if low or high else tuple(counts.visits)


def header(columns: tuple[str, ...]) -> str:
    """Return the first line of the file with these columns after `FIXED_COLUMNS`."""
    return ",".join(FIXED_COLUMNS + columns) + "\n"


def header_error(names: Sequence[str]) -> Fault | None:
    """Return why column names are not the header of a store file; None if they are."""
    if tuple(names[: len(FIXED_COLUMNS)]) != FIXED_COLUMNS:
        return Fault.of(mark("the first columns must be {columns}"), columns=", ".join(FIXED_COLUMNS))
    if len(set(names)) != len(names):
        repeated = next(name for at, name in enumerate(names) if name in names[:at])
        return Fault.of(mark("column names must be unique, {found} is repeated"), found=repr(repeated))
    labels = [name for name in names[len(FIXED_COLUMNS) :] if name not in DOUBTFUL_COLUMNS]
    if not labels:
        return Fault.of(mark("a label column must follow {column}"), column=FIXED_COLUMNS[-1])
    wrong = next((name for name in labels if not re.fullmatch(LABEL_PATTERN, name) or name in RESERVED_NAMES), None)
    return None if wrong is None else Fault.of(mark("column {found} cannot be a label"), found=repr(wrong))


def row_error(text: str, columns: int) -> Fault | None:
    """Return why a line, without its line break, is not a row of a file with so many columns; None if it is."""
    try:
        cells = next(csv.reader([text], strict=True), [])
    except csv.Error as error:
        return Fault.of("{reason}", reason=error)
    if len(cells) != columns:
        message = mark("must have {columns} columns as the header, has {found}")
        return Fault.of(message, columns=columns, found=len(cells))
    named = dict(zip(FIXED_COLUMNS, cells, strict=False))
    integers = [named["schema"], named["seq"], named["merged"], named["privacy_k"], *cells[len(FIXED_COLUMNS) :]]
    wrong = next((cell for cell in integers if not INTEGER.fullmatch(cell) or int(cell) > MAX_INTEGER), None)
    if wrong is not None:
        message = mark("must be a whole number from 0 to {largest}, is {found}")
        return Fault.of(message, largest=MAX_INTEGER, found=repr(wrong))
    if named["clock"] not in CLOCKS:
        message = mark("clock must be one of {clocks}, is {found}")
        return Fault.of(message, clocks=", ".join(sorted(CLOCKS)), found=repr(named["clock"]))
    if not RATIO.fullmatch(named["coverage"]) or not 0 <= float(named["coverage"]) <= 1:
        return Fault.of(mark("coverage must be a number from 0 to 1, is {found}"), found=repr(named["coverage"]))
    return _times_error(named["start"], named["end"])


def _times_error(start: str, end: str) -> Fault | None:
    """Return why two cells are not the start and end of a window; None if they are."""
    try:
        if not TIME.fullmatch(start) or not TIME.fullmatch(end):
            raise ValueError
        first, past = (datetime.fromisoformat(text[:-1]) for text in (start, end))
    except ValueError:
        message = mark("start and end must be times such as 2026-03-29T00:00:00Z, are {start} and {end}")
        return Fault.of(message, start=repr(start), end=repr(end))
    if not first < past <= first + LONGEST_WINDOW:
        message = mark("end must be up to {days} days after start, are {start} and {end}")
        return Fault.of(message, days=LONGEST_WINDOW.days, start=start, end=end)
    if first.year < FIRST_YEAR or past.year >= END_YEAR:
        message = mark("start and end must be in the years {first} to {last}, are {start} and {end}")
        return Fault.of(message, first=FIRST_YEAR, last=END_YEAR - 1, start=start, end=end)
    return None


def row(counts: Counts) -> str:
    """Convert a message to its line, with the columns of `columns_of`.

    Times are RFC 3339 in UTC with ``Z``. Reasons of degradation are joined with ``|``. Raises BadMessage if the store
    cannot hold the message.
    """
    _check(counts)
    low, high = _doubtful(counts)
    # one f-string instead of a loop over columns: a sixth of the cost of storing a message
    return (
        f"{counts.schema},{counts.site},{counts.device},{counts.boot},{counts.seq},"
        f"{_cells(counts.start)},{_cells(counts.end)},{counts.clock},{counts.coverage},"
        f"{'|'.join(counts.degraded)},{counts.merged},{counts.privacy.k},"
        f"{_quoted('model.detector', counts.model.detector)},{_quoted('model.expression', counts.model.expression)},"
        f"{f'{low},{high},' if low or high else ''}"
        f"{_cells([*counts.visits.values()])}\n"
    )


def _cells(value: datetime | list[int]) -> str:
    """Return a UTC time as RFC 3339 with ``Z``, or numbers with commas between them.

    That is their JSON without quotes or brackets. Its encoder takes less than half the time of `isoformat` and `str`.
    """
    return _encoder.encode(value)[1:-1].decode()


def _check(counts: Counts) -> None:
    """Raise BadMessage for a message that is valid but cannot be a row."""
    if not RESERVED_NAMES.isdisjoint(counts.visits):
        label = next(label for label in counts.visits if label in RESERVED_NAMES)
        raise BadMessage(f"counts: a label must not be the name of a column, is {label!r}")
    if max(counts.merged, counts.privacy.k) > MAX_INTEGER:
        merged, k = counts.merged, counts.privacy.k
        raise BadMessage(f"counts: `merged` and `privacy.k` must be at most {MAX_INTEGER}, are {merged} and {k}")
    if counts.start.year < FIRST_YEAR:
        raise BadMessage(
            f"counts: `start` must be in the year {FIRST_YEAR} or later, is in the year {counts.start.year}"
        )
    if counts.end - counts.start > LONGEST_WINDOW:
        days = (counts.end - counts.start).days
        raise BadMessage(f"counts: a window must be at most {LONGEST_WINDOW.days} days long, is {days} days")
    if counts.end.year >= END_YEAR:
        raise BadMessage(f"counts: `end` must be before the year {END_YEAR}, is in the year {counts.end.year}")


def _doubtful(counts: Counts) -> tuple[int, int]:
    """Return the doubtful visits of a message, down and up; 0 where they are absent."""
    low, high = counts.doubtful_low, counts.doubtful_high
    return 0 if low is UNSET else low, 0 if high is UNSET else high


@lru_cache(1024)
def _quoted(key: str, text: str) -> str:
    """Return free text as a CSV cell of RFC 4180. It may hold any printable character, so no line break."""
    if not text.isprintable():
        raise BadMessage(f"counts: `{key}` must have printable characters only, is {text[:MAX_MODEL_NAME]!r}")
    if len(text) > MAX_MODEL_NAME:
        raise BadMessage(f"counts: `{key}` must have at most {MAX_MODEL_NAME} characters, has {len(text)}")
    return '"' + text.replace('"', '""') + '"' if "," in text or '"' in text else text
