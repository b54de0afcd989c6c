"""Counts -> one row of CSV, under a header that is the contract of the store."""

from functools import lru_cache

from contract.errors import BadMessage
from contract.labels import labelset
from contract.message import LONGEST, Counts

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

DERIVED = ("date", "visits", "windows", "seconds", "begin", "hour", "day", "weekday")
"""Names that folders and `collector.summarise` give: a label of the same name could not be told apart."""

TAKEN = frozenset((*FIXED, *DERIVED))
LARGEST = 2**53
"""A number beyond is not what a device counted, and no column of whole numbers would hold it."""
BEGIN_OF_TIME, END_OF_TIME = 1970, 2200
"""pandas before 3 counts nanoseconds and ends in 2262; one absurd time would make a whole folder unreadable."""

OFFSET = len("+00:00")
"""Of what a message's times, which are UTC, end with; rows have ``Z`` instead."""


def header(labels: tuple[str, ...]) -> str:
    """Labels in the message's order -> the first line of their file."""
    return ",".join(FIXED + labels) + "\n"


def row(counts: Counts) -> str:
    """A message -> its line; BadMessage for what the store cannot hold.

    Times are RFC 3339 in UTC with ``Z``; reasons of degradation are joined with ``|``.
    """
    if not TAKEN.isdisjoint(counts.visits):
        label = next(label for label in counts.visits if label in TAKEN)
        raise BadMessage(f"counts: label {label!r} is the name of a column")
    if max(counts.merged, counts.privacy.k) > LARGEST:
        raise BadMessage(f"counts: merged {counts.merged}, privacy.k {counts.privacy.k}: more than {LARGEST}")
    if counts.start.year < BEGIN_OF_TIME:
        raise BadMessage(f"counts: begins in the year {counts.start.year}")
    if counts.end - counts.start > LONGEST:
        raise BadMessage(f"counts: {(counts.end - counts.start).days} days in one window")
    if counts.end.year >= END_OF_TIME:
        raise BadMessage(f"counts: ends in the year {counts.end.year}")
    # written out rather than joined by a loop: this is a sixth of what storing a message costs
    return (
        f"{counts.schema},{counts.site},{counts.device},{counts.boot},{counts.seq},"
        f"{counts.start.isoformat()[:-OFFSET]}Z,{counts.end.isoformat()[:-OFFSET]}Z,{counts.clock},{counts.coverage},"
        f"{'|'.join(counts.degraded)},{counts.merged},{counts.privacy.k},"
        f"{_quoted('model.detector', counts.model.detector)},{_quoted('model.expression', counts.model.expression)},"
        f"{','.join(map(str, counts.visits.values()))}\n"
    )


def file_name(counts: Counts, writer: str) -> str:
    """A message and the collector's name -> the file within the store that the row belongs in."""
    labels = _labelset(tuple(counts.visits))
    return f"date={counts.start.date().isoformat()}/site={counts.site}/counts-{labels}-{writer}.csv"


_labelset = lru_cache(1024)(labelset)
"""Of the few sets of labels that a fleet has, the hash is taken once."""


@lru_cache(1024)
def _quoted(key: str, text: str) -> str:
    """Free text -> a cell of RFC 4180; it may hold anything printable, and so no line break."""
    if not text.isprintable():
        raise BadMessage(f"counts: a character in {key} cannot be printed")
    return '"' + text.replace('"', '""') + '"' if "," in text or '"' in text else text
