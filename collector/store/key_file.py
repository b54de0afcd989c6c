"""Keep the keys of compacted windows in a small text file, so that a repeat is recognised without reading Parquet.

``_keys-LABELSET-WRITER.txt`` stands beside ``counts-LABELSET-WRITER.parquet``. It has one line
``device,boot,first,last`` for each run of sequence numbers. Readers of the store ignore the file for its underscore.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from base.durable_file import replace_file
from collector.store.sequence_set import SequenceSet


class Run(NamedTuple):
    """Consecutive sequence numbers of one boot of one device."""

    device: str
    boot: str
    first: int
    last: int


def key_path(parquet: Path) -> Path:
    """Return the path of the key file of a Parquet file."""
    return parquet.with_name(f"_keys-{parquet.stem.removeprefix('counts-')}.txt")


def write_keys(path: Path, sequences: Mapping[tuple[str, str], SequenceSet]) -> None:
    """Replace a key file, on disk when this returns. ``sequences`` are by device and boot. Raises OSError."""
    rows = (
        f"{device},{boot},{first},{last}\n" for (device, boot), numbers in sequences.items() for first, last in numbers
    )
    replace_file(path, "".join(rows).encode())


def read_keys(path: Path) -> Iterator[Run]:
    """Yield the runs of a key file. Raises OSError, and ValueError if a line is no run."""
    for number, text in enumerate(path.read_text(encoding="ascii").splitlines(), 1):
        cells = text.split(",")
        if len(cells) != len(Run._fields) or not all(cell.isdigit() for cell in cells[2:]):
            raise ValueError(f"line {number} must be device,boot,first,last")
        yield Run(cells[0], cells[1], int(cells[2]), int(cells[3]))
