"""Convert counts messages to CSV rows under the store's header, and check the lines of a file.

A window with doubtful visits has the columns `OPTIONAL` before its labels, a window without them does not. The message
alone decides, so a message that arrives twice always belongs in the same file.
"""

import csv
import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import lru_cache
from typing import get_args

from msgspec import UNSET

from contract.errors import BadMessage
from contract.labels import LABEL_PATTERN, labelset
from contract.message import LONGEST_WINDOW, Clock, Counts

FIXED = (
    "schema",
    "site",
    "device",
    "boot",
    "seq",
    "start",
    "end",
    "clock",
    "coverage",
    "degraded",
    "merged",
    "privacy_k",
    "model_detector",
    "model_expression",
)
"""Columns that every file has, in the message's order; one column a label follows."""

OPTIONAL = ("doubtful_low", "doubtful_high")
"""Columns of whole numbers that a file may have between `FIXED` and its labels, in this order. They come from version 2
of the message. In a file without them no visit is doubtful."""

DERIVED = ("date", "visits", "windows", "seconds", "begin", "hour", "day", "weekday")
"""Names that folders and `collector.analysis.summarise` give: a label of the same name could not be told apart."""

TAKEN = frozenset((*FIXED, *OPTIONAL, *DERIVED))
CLOCKS = frozenset(get_args(Clock))
LARGEST = 2**53
"""A number beyond is not what a device counted, and no column of whole numbers would hold it."""
BEGIN_OF_TIME, END_OF_TIME = 1970, 2200
"""pandas before 3 counts nanoseconds and ends in 2262; one absurd time would make a whole folder unreadable."""

OFFSET = len("+00:00")
"""Of what a message's times, which are UTC, end with; rows have ``Z`` instead."""


LONGEST_NAME = 200
"""Characters of a model's name: a longer one is a waste of each row."""
WHOLE = re.compile(r"[0-9]{1,16}")
RATIO = re.compile(r"[0-9]+(\.[0-9]+)?([eE][-+]?[0-9]+)?")
MOMENT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{6})?Z")


def columns_of(counts: Counts) -> tuple[str, ...]:
    """Return the columns after `FIXED` of the message's row: `OPTIONAL` if visits are doubtful, then the labels."""
    return (OPTIONAL if any(_doubtful(counts)) else ()) + tuple(counts.visits)


def header(columns: tuple[str, ...]) -> str:
    """Return the first line of the file whose columns after `FIXED` are these, as `columns_of` gives them."""
    return ",".join(FIXED + columns) + "\n"


def fault_of_header(names: Sequence[str]) -> str | None:
    """The first line's names -> why they are no header, or None if they are one."""
    if tuple(names[: len(FIXED)]) != FIXED:
        return f"its first columns are not {', '.join(FIXED)}"
    labels = [name for name in names[len(FIXED) :] if name not in OPTIONAL]
    if not labels or len(set(names)) != len(names):
        return "its header has no label, or a name twice"
    wrong = next((label for label in labels if not re.fullmatch(LABEL_PATTERN, label) or label in TAKEN), None)
    return None if wrong is None else f"its header has {wrong!r}, which is no label"


def fault_of_row(text: str, columns: int) -> str | None:
    """A line without its line break, and how many columns its header has -> why it is no row, or None if it is one."""
    try:
        cells = next(csv.reader([text], strict=True), [])
    except csv.Error as error:
        return str(error)
    if len(cells) != columns:
        return f"{len(cells)} columns, the header has {columns}"
    of = dict(zip(FIXED, cells, strict=False))
    whole = [of["schema"], of["seq"], of["merged"], of["privacy_k"], *cells[len(FIXED) :]]
    wrong = next((cell for cell in whole if not WHOLE.fullmatch(cell) or int(cell) > LARGEST), None)
    if wrong is not None:
        return f"{wrong!r} is no whole number from 0 to {LARGEST}"
    if of["clock"] not in CLOCKS:
        return f"clock {of['clock']!r}"
    if not RATIO.fullmatch(of["coverage"]) or not 0 <= float(of["coverage"]) <= 1:
        return f"coverage {of['coverage']!r} is no number from 0 to 1"
    return _fault_of_times(of["start"], of["end"])


def _fault_of_times(start: str, end: str) -> str | None:
    """Two cells -> why they are no window, or None if they are one."""
    try:
        if not MOMENT.fullmatch(start) or not MOMENT.fullmatch(end):
            raise ValueError
        begin, past = (datetime.fromisoformat(text[:-1]) for text in (start, end))
    except ValueError:
        return f"start {start!r}, end {end!r}: not times as 2026-03-29T00:00:00Z"
    if not begin < past <= begin + LONGEST_WINDOW or begin.year < BEGIN_OF_TIME or past.year >= END_OF_TIME:
        return f"start {start}, end {end}: no window of the years {BEGIN_OF_TIME} to {END_OF_TIME - 1}"
    return None


def row(counts: Counts) -> str:
    """Convert a message to its line, in the columns of `columns_of`; BadMessage if the store cannot hold it.

    Times are RFC 3339 in UTC with ``Z``. Reasons of degradation are joined with ``|``.
    """
    if not TAKEN.isdisjoint(counts.visits):
        label = next(label for label in counts.visits if label in TAKEN)
        raise BadMessage(f"counts: label {label!r} is the name of a column")
    if max(counts.merged, counts.privacy.k) > LARGEST:
        raise BadMessage(f"counts: merged {counts.merged}, privacy.k {counts.privacy.k}: more than {LARGEST}")
    if counts.start.year < BEGIN_OF_TIME:
        raise BadMessage(f"counts: begins in the year {counts.start.year}")
    if counts.end - counts.start > LONGEST_WINDOW:
        raise BadMessage(f"counts: {(counts.end - counts.start).days} days in one window")
    if counts.end.year >= END_OF_TIME:
        raise BadMessage(f"counts: ends in the year {counts.end.year}")
    doubtful = _doubtful(counts)
    # written out rather than joined by a loop: this is a sixth of what storing a message costs
    return (
        f"{counts.schema},{counts.site},{counts.device},{counts.boot},{counts.seq},"
        f"{counts.start.isoformat()[:-OFFSET]}Z,{counts.end.isoformat()[:-OFFSET]}Z,{counts.clock},{counts.coverage},"
        f"{'|'.join(counts.degraded)},{counts.merged},{counts.privacy.k},"
        f"{_quoted('model.detector', counts.model.detector)},{_quoted('model.expression', counts.model.expression)},"
        f"{f'{doubtful[0]},{doubtful[1]},' if any(doubtful) else ''}"
        f"{','.join(map(str, counts.visits.values()))}\n"
    )


def _doubtful(counts: Counts) -> tuple[int, int]:
    """Return the doubtful visits of a message, down and up; 0 where it does not say."""
    low, high = counts.doubtful_low, counts.doubtful_high
    return 0 if low is UNSET else low, 0 if high is UNSET else high


def folder(counts: Counts) -> str:
    """A message -> the folder within the store that its row belongs in; the date is that of ``start`` in UTC."""
    return f"date={counts.start.date().isoformat()}/site={counts.site}"


def file_names(columns: tuple[str, ...], writer: str) -> Iterator[tuple[str, bool]]:
    """Yield the names that a file with these columns after `FIXED` may have, and whether a file of that name may be
    begun. The first name that fits is used.

    The first name has 8 digits of the hash, as stores had until version 0.1; no new file gets it, for two label sets
    with the same 32 bits are quickly found. The others have 32 digits, and a number where another file is in the way.
    """
    digits = _labelset(columns)
    yield f"counts-{digits[:OLD_DIGITS]}-{writer}.csv", False
    yield f"counts-{digits}-{writer}.csv", True
    for number in range(2, 100):
        yield f"counts-{digits}_{number}-{writer}.csv", True


def is_file_of(name: str, writer: str) -> bool:
    """Whether a file has a name that `file_names` gives to some labels for this writer."""
    return (
        re.fullmatch(rf"counts-[0-9a-f]{{8}}([0-9a-f]{{24}}(_[0-9]{{1,2}})?)?-{re.escape(writer)}\.csv", name)
        is not None
    )


OLD_DIGITS = 8
_labelset = lru_cache(1024)(labelset)
"""Of the few sets of labels that a fleet has, the hash is taken once."""


@lru_cache(1024)
def _quoted(key: str, text: str) -> str:
    """Free text -> a cell of RFC 4180; it may hold anything printable, and so no line break."""
    if not text.isprintable():
        raise BadMessage(f"counts: a character in {key} cannot be printed")
    if len(text) > LONGEST_NAME:
        raise BadMessage(f"counts: {key} has {len(text)} characters, at most {LONGEST_NAME} are allowed")
    return '"' + text.replace('"', '""') + '"' if "," in text or '"' in text else text
