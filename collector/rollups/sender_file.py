"""Encode tables of `collector.rollups.fleet_senders` as bytes that are decoded fast: a year has millions of sums.

The bytes are the size of the content (8 bytes, little-endian), then the content, compressed by zstd. The content is the
length of a description (8 bytes), the description of all tables in JSON, and their arrays one after another.
"""

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
from msgspec import Raw, Struct

from collector.rollups.fleet_senders import Pair, SenderBlock, SenderNames, SenderTable, sender_block
from collector.rollups.rollup_file import DamagedRollup

VALUES = ("visits", "unknown", "watched_s")
_SIZE_BYTES = 8


class _Head(Struct, frozen=True):
    """The description of a table and of its arrays."""

    label_set: str
    unset: bool
    devices: Raw
    """List of `Pair`. It stays encoded, because equal lists are decoded once (`SenderNames.of_list`)."""
    dates: list[str]
    starts: list[int]
    dtypes: list[str]
    """Of visits, unknown visits and watched time, see `collector.rollups.fleet_senders.narrow`."""


def encode(tables: Sequence[SenderTable]) -> bytes:
    """Return the bytes of tables."""
    heads, arrays = [], []
    for table in tables:
        values = [getattr(table, name) for name in VALUES]
        devices = Raw(msgspec.json.encode(table.devices))
        dtypes = [str(each.dtype) for each in values]
        heads.append(_Head(table.label_set, table.unset, devices, table.dates, table.starts.tolist(), dtypes))
        arrays += [each.tobytes() for each in (*values, table.present)]
    head = msgspec.json.encode(heads)
    data = b"".join((len(head).to_bytes(_SIZE_BYTES, "little"), head, *arrays))
    packed: bytes = pa.compress(data, codec="zstd", asbytes=True)
    return len(data).to_bytes(_SIZE_BYTES, "little") + packed


def decode(data: memoryview, names: SenderNames, dates: Sequence[str] | None = None) -> tuple[SenderBlock, ...]:
    """Return the sums in bytes of `encode`, of some dates or of all. Raises DamagedRollup.

    The checksum of the bytes must have been verified.
    """
    try:
        size = int.from_bytes(data[:_SIZE_BYTES], "little")
        plain: Any = pa.decompress(data[_SIZE_BYTES:], decompressed_size=size, codec="zstd")
        at = _SIZE_BYTES + int.from_bytes(memoryview(plain)[:_SIZE_BYTES], "little")
        found = []
        for head in msgspec.json.decode(memoryview(plain)[_SIZE_BYTES:at], type=list[_Head]):
            numbers = names.of_list(bytes(head.devices), _pairs)
            table, at = _table(head, plain, at, len(numbers))
            found.append(sender_block(table, numbers, names, dates))
        return tuple(found)
    except (pa.ArrowException, OSError, msgspec.DecodeError, ValueError) as error:  # zstd raises OSError
        raise DamagedRollup(f"sums of devices: {error}") from error


def _table(head: _Head, plain: Any, at: int, devices: int) -> tuple[SenderTable, int]:
    """Return the table whose arrays begin at a byte, without its devices, and the byte after them."""
    shape = (len(head.starts), devices)
    arrays = []
    for kind in (*head.dtypes, "bool"):
        flat = np.frombuffer(plain, kind, shape[0] * shape[1], at)
        arrays.append(flat.reshape(shape))
        at += flat.nbytes
    starts = np.array(head.starts, np.int64)
    return SenderTable(head.label_set, head.unset, [], head.dates, starts, *arrays), at


def _pairs(text: bytes) -> list[Pair]:
    return msgspec.json.decode(text, type=list[Pair])
