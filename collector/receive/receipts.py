"""Windows that were dealt with -> receipts, by which devices delete them from their spools.

Kept in memory only and bounded. A receipt that is lost costs a repeat: the device sends the window again, the store
drops it by its key, and it is confirmed again.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from collector.store.writer import Runs
from contract.message import Counts
from contract.receipt import MAX_BOOTS, MAX_RUNS, SeqRange, Stored, encode_receipt, stored_topic

MAX_DEVICES = 10_000
"""Devices that are remembered; of more, the one that was not heard of for longest is forgotten."""

Device = tuple[str, str]


@dataclass(slots=True)
class _Boots:
    """Of one device: the numbers dealt with by boot, the last heard of last, and the boots that are not told yet."""

    runs: dict[str, Runs] = field(default_factory=dict)
    due: dict[str, None] = field(default_factory=dict)


class Receipts:
    """What one collector has dealt with. Nothing may be taken from it before it is on disk."""

    def __init__(self, writer: str) -> None:
        self._writer = writer
        self._devices: dict[Device, _Boots] = {}
        self._due: dict[Device, None] = {}

    def note(self, counts: Counts) -> None:
        """A window is stored, was stored before, or is set aside for good: it need not come again."""
        boots = self._of((counts.site, counts.device))
        runs = boots.runs.pop(counts.boot, None) or Runs()
        boots.runs[counts.boot] = runs
        runs.add(counts.seq)
        boots.due[counts.boot] = None

    def greet(self, site: str, device: str) -> None:
        """A device is there, or this collector is back: tell it so, if only by an empty receipt."""
        self._of((site, device))

    def _of(self, device: Device) -> _Boots:
        boots = self._devices.pop(device, None) or _Boots()
        self._devices[device] = boots
        self._due[device] = None
        while len(self._devices) > MAX_DEVICES:
            forgotten = next(iter(self._devices))
            del self._devices[forgotten]
            self._due.pop(forgotten, None)
        return boots

    def take(self, most: int) -> Iterator[tuple[str, bytes]]:
        """Topic and payload of what at most so many devices are to be told now; usually one receipt a device."""
        for device in list(self._due)[:most]:
            del self._due[device]
            boots = self._devices[device]
            for told in _receipts(boots):
                yield stored_topic(*device, self._writer), encode_receipt(Stored(schema=1, boots=told))
            boots.due.clear()
            for boot in list(boots.runs)[:-MAX_BOOTS]:
                del boots.runs[boot]
            for runs in boots.runs.values():
                runs.keep_last(MAX_RUNS)


def _receipts(boots: _Boots) -> Iterator[dict[str, tuple[SeqRange, ...]]]:
    """All runs of the boots that are due, in pieces that a receipt has room for; the last one, which the broker keeps,
    names the boots heard of last, too."""
    pieces = [(boot, piece) for boot in boots.due for piece in _pieces(list(boots.runs[boot]))]
    while len(pieces) > MAX_BOOTS or len({boot for boot, _ in pieces}) < len(pieces):
        told: dict[str, tuple[SeqRange, ...]] = {}
        while pieces and len(told) < MAX_BOOTS and pieces[0][0] not in told:
            boot, piece = pieces.pop(0)
            told[boot] = piece
        yield told
    last = dict(pieces)
    for boot in reversed(boots.runs):
        if len(last) < MAX_BOOTS:
            last.setdefault(boot, tuple(boots.runs[boot])[-MAX_RUNS:])
    yield last


def _pieces(runs: Sequence[SeqRange]) -> Iterator[tuple[SeqRange, ...]]:
    for begin in range(0, len(runs), MAX_RUNS):
        yield tuple(runs[begin : begin + MAX_RUNS])
