"""An outbox and its spool on a simulated clock."""

from contract.receipt import Stored
from edge.delivery.outbox import Confirm, Outbox
from edge.delivery.rate_limit import RateLimit
from tests.support.fakes import counts

BOOT = "0123456789abcdef"


class Line:
    """An outbox and its spool on a simulated clock; sent windows are identified by seq."""

    def __init__(self, spool, confirm: Confirm = "collector", drain_per_s: float = 1000.0) -> None:
        self.spool, self.outbox, self.now, self._mid = spool, Outbox(confirm, RateLimit(drain_per_s)), 0.0, 0
        self.outbox.connected(spool, self.now)

    def send(self, *, taken: bool = True) -> list[int]:
        """Send all that may be sent now, as fast as the broker acknowledges; return the seqs."""
        seqs = []
        while rows := self.outbox.next_messages(self.spool, self.now):
            for number, payload in rows:
                self._mid += 1
                self.outbox.sent(self._mid, number, payload, self.now)
                seqs.append(int(payload.split(b'"seq":')[1].split(b",")[0]))
                if taken:
                    self.outbox.acknowledged(self._mid, self.now)
            self.outbox.delete_confirmed(self.spool, self.now)
            self.now += 0.02
            if not taken:
                break
        return seqs

    def wait(self, seconds: float) -> list[int]:
        """Let time pass a second at a time; return the seqs sent meanwhile."""
        seqs = []
        for _ in range(int(seconds)):
            self.now += 1
            self.outbox.delete_confirmed(self.spool, self.now)
            seqs += self.send()
        return seqs

    def confirm(self, *runs: tuple[int, int], writer: str = "collector", live: bool = True) -> None:
        """Receive a receipt of the collector ``writer`` that names these runs of `BOOT`."""
        self.outbox.add_receipt(writer, Stored(schema=1, boots={BOOT: runs}), self.spool, self.now, live=live)
        self.outbox.delete_confirmed(self.spool, self.now)

    def left(self) -> list[int]:
        """Return the seqs of the windows in the spool."""
        return [int(payload.split(b'"seq":')[1].split(b",")[0]) for _, payload in self.spool.waiting(0, 10_000)]


def fill(spool, windows: int) -> None:
    """Add windows 0 to ``windows`` - 1 to a spool."""
    fill_from(spool, 0, windows)


def fill_from(spool, first: int, end: int) -> None:
    """Add windows ``first`` to ``end`` - 1 to a spool."""
    for minute in range(first, end):
        spool.add(counts(minute, 6))
