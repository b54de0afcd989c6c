"""Collect receipts of processed windows, by which devices delete windows from their spools.

Receipts are kept in memory only and bounded. A lost receipt costs a repeat: the device sends the window again, the
store detects the repeat by its key, and it is confirmed again.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from collector.store.sequence_set import SequenceSet
from contract.message import Counts
from contract.receipt import MAX_BOOTS, MAX_RUNS, SeqRange, Stored, encode_receipt, stored_topic

MAX_DEVICES = 10_000
"""Devices that are remembered. Beyond it the least recently heard device is forgotten."""

DeviceKey = tuple[str, str]
"""Site and device."""


@dataclass(slots=True)
class _DeviceReceipts:
    """The processed windows of one device."""

    sequences: dict[str, SequenceSet] = field(default_factory=dict)
    """Sequence numbers by boot, the most recently heard boot last."""
    due: dict[str, None] = field(default_factory=dict)
    """Boots with numbers that are not confirmed yet, in order."""


class Receipts:
    """What one collector has processed. Receipts must not be taken from it before the windows are on disk."""

    def __init__(self, writer: str) -> None:
        self._writer = writer
        self._devices: dict[DeviceKey, _DeviceReceipts] = {}
        self._due: dict[DeviceKey, None] = {}

    def add(self, counts: Counts) -> None:
        """Add a window that need not be sent again: it is stored, was stored before, or is refused for good."""
        device = self._schedule((counts.site, counts.device))
        boot = counts.boot
        if boot not in device.due:
            device.due[boot] = None
            known = device.sequences.pop(boot, None)
            device.sequences[boot] = SequenceSet() if known is None else known
        device.sequences[boot].add(counts.seq)

    def schedule(self, site: str, device: str) -> None:
        """Send a device a receipt, even an empty one: it tells a device that has come online of this collector."""
        self._schedule((site, device))

    def take_due(self, most: int) -> Iterator[tuple[str, bytes]]:
        """Yield topic and payload of the receipts of up to ``most`` devices; usually one receipt per device."""
        for key in list(self._due)[:most]:
            del self._due[key]
            device = self._devices[key]
            for boots in _receipts(device):
                yield stored_topic(*key, self._writer), encode_receipt(Stored(schema=1, boots=boots))
            device.due.clear()
            for boot in list(device.sequences)[:-MAX_BOOTS]:
                del device.sequences[boot]
            for sequence in device.sequences.values():
                sequence.keep_last_runs(MAX_RUNS)

    def _schedule(self, key: DeviceKey) -> _DeviceReceipts:
        if key in self._due:
            return self._devices[key]
        device = self._devices.pop(key, None) or _DeviceReceipts()
        self._devices[key] = device
        self._due[key] = None
        while len(self._devices) > MAX_DEVICES:
            forgotten = next(iter(self._devices))
            del self._devices[forgotten]
            self._due.pop(forgotten, None)
        return device


def _receipts(device: _DeviceReceipts) -> Iterator[dict[str, tuple[SeqRange, ...]]]:
    """Yield the runs of all due boots, in parts that fit into a receipt.

    The broker retains the last receipt, so that one also names the most recently heard boots as far as they fit.
    """
    parts = [(boot, part) for boot in device.due for part in _parts(list(device.sequences[boot]))]
    while len(parts) > MAX_BOOTS or len({boot for boot, _ in parts}) < len(parts):
        boots: dict[str, tuple[SeqRange, ...]] = {}
        while parts and len(boots) < MAX_BOOTS and parts[0][0] not in boots:
            boot, runs = parts.pop(0)
            boots[boot] = runs
        yield boots
    last = dict(parts)
    for boot in reversed(device.sequences):
        if len(last) < MAX_BOOTS:
            last.setdefault(boot, tuple(device.sequences[boot])[-MAX_RUNS:])
    yield last


def _parts(runs: Sequence[SeqRange]) -> Iterator[tuple[SeqRange, ...]]:
    for begin in range(0, len(runs), MAX_RUNS):
        yield tuple(runs[begin : begin + MAX_RUNS])
