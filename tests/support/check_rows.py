"""The table that `facetally-edge check` prints."""

from typing import NamedTuple


class Row(NamedTuple):
    """One part of the device: ``ok``, ``warning`` or ``FAILED``, and what was found."""

    state: str
    text: str


def check_rows(printed: str) -> dict[str, Row]:
    """Return the rows of a table by the name of the part."""
    cells = (line.split(maxsplit=2) for line in printed.splitlines())
    return {part: Row(state, text) for state, part, text in cells}
