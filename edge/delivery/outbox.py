"""The outbox decides which spooled windows are sent now, which are sent again, and which may leave the spool.

With receipts a window leaves the spool once a collector confirms that it is stored; whatever the broker loses is sent
again. Without receipts (``broker.confirm = "broker"``) it leaves two seconds after the broker's PUBACK.
"""

import contextlib
import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from base.logs import line
from contract.receipt import Stored
from edge.delivery.rate_limit import IN_FLIGHT, RateLimit
from edge.delivery.sent_window import SentWindow, WindowKey, key_of
from edge.delivery.spool import Spool
from edge.errors import SpoolError

log = logging.getLogger(__name__)
Confirm = Literal["collector", "broker"]
KEEP_S = 2.0
"""Without receipts, time from PUBACK to deletion. If the connection is lost before, the window is sent again: Mosquitto
acknowledges before it saves, so a broker killed in between has lost it."""
MAX_UNCONFIRMED = 100
"""Maximum number of sent windows without a receipt. More wait in the spool, not at the broker: if the collector of a
fleet is away for a week, the broker holds a hundred messages per device, not ten thousand."""
EARLY_RESEND_S = 5.0
"""Minimum time from PUBACK to the early repeat of a window that a receipt has passed over. Collectors that share the
topic confirm out of order; the receipt of the other one arrives within this time."""
RESEND_S = 60.0
"""Time after which a window without a receipt is sent again once a collector is heard; doubled with each repetition."""
MAX_DOUBLINGS = 8
"""Up to four hours: a collector may refuse a window for a while, because its clock is wrong, or for ever."""
PATIENT_TRIES = 4
"""A window that was sent this often no longer counts towards `MAX_UNCONFIRMED`."""
MAX_STUCK = 400
"""Maximum number of such windows; with more, nothing new is sent."""
LONGEST_RESEND_S = 1800.0
"""While no collector is heard only the oldest window is sent again, after `RESEND_S`, then after twice as long, up to
this."""
MAX_REFUSED = 100
"""A broker that refuses this many messages gets none until the next connection."""
MAX_WRITERS = 8
"""Number of collectors whose last receipt is remembered."""


@dataclass(slots=True)
class Outbox:
    """The state of each window between spool and collector. ``now`` is always monotonic seconds."""

    confirm: Confirm
    rate_limit: RateLimit
    resend_s: float = RESEND_S
    _in_flight: dict[int, int] = field(default_factory=dict)
    """Message id of the client -> number in the spool."""
    _sent: dict[int, SentWindow] = field(default_factory=dict)
    """By number, in the order of the last send."""
    _resend: set[int] = field(default_factory=set)
    _done: set[int] = field(default_factory=set)
    """May leave the spool."""
    _refused: set[int] = field(default_factory=set)
    _receipts: dict[str, Stored] = field(default_factory=dict)
    """The last receipt of each collector."""
    _backlog: int = 0
    """Windows up to this number waited when the connection was made."""
    _heard: float = 0.0
    """When a collector was last heard, or the oldest window was last sent again."""
    _patience_s: float = field(init=False)
    """Time without a collector after which the oldest window is sent again."""

    def __post_init__(self) -> None:
        """Start with the shortest patience."""
        self._patience_s = self.resend_s

    @property
    def in_flight(self) -> int:
        """Number of windows sent and not yet acknowledged by the broker."""
        return len(self._in_flight)

    @property
    def refused(self) -> int:
        """Number of windows that the broker refused on this connection."""
        return len(self._refused)

    @property
    def unconfirmed(self) -> int:
        """Number of windows that the broker acknowledged and that are still in the spool."""
        return sum(window.acknowledged is not None for window in self._sent.values())

    def connected(self, spool: Spool, now: float) -> None:
        """Note a new connection: what waits is a backlog, and refused windows may be sent again."""
        self._refused.clear()
        self._heard = now
        for window in self._sent.values():
            window.earlier, window.repeated, window.passed = window.acknowledged is not None, False, False
        with contextlib.suppress(SpoolError):  # all that waits is then sent like new windows
            self._backlog = spool.newest()

    def disconnected(self) -> None:
        """Note a lost connection. Without receipts the broker may have lost what it acknowledged last."""
        if self.confirm == "broker":
            self._forget(number for number, window in list(self._sent.items()) if window.acknowledged is not None)

    def client_replaced(self) -> None:
        """Note that a new client took over: what was in flight is sent again."""
        self._forget(list(self._in_flight.values()))
        self._in_flight.clear()

    def next_messages(self, spool: Spool, now: float) -> list[tuple[int, bytes]]:
        """Return number and payload of the windows to send now.

        New windows go first, so that they do not wait for the backlog of an outage, which follows oldest first at its
        own rate.
        """
        room = IN_FLIGHT - len(self._in_flight)
        if room <= 0 or len(self._refused) >= MAX_REFUSED:
            return []
        self._resend_passed(now)
        self._resend_oldest(spool, now)
        busy = self._sent.keys() | self._refused | self._done
        new = spool.waiting(self._backlog, room, busy)
        allowed = self.rate_limit.allowed(room - len(new), now)
        rows = spool.waiting(0, allowed, busy - self._resend) if allowed else []
        old = [row for row in rows if row[0] <= self._backlog or row[0] in self._resend]
        self.rate_limit.spend(len(old))
        return self._within_limits(new + old)

    def _within_limits(self, rows: list[tuple[int, bytes]]) -> list[tuple[int, bytes]]:
        """The rows without those that a receipt names, and without first sends beyond `MAX_UNCONFIRMED`."""
        chosen, free = [], self._free() if self.confirm == "collector" else IN_FLIGHT
        for number, payload in rows:
            if self._is_stored(key_of(payload)):
                self._done.add(number)
            elif number in self._sent or free > 0:
                chosen.append((number, payload))
                free -= number not in self._sent
        return chosen

    def _free(self) -> int:
        """How many more windows may be unconfirmed."""
        stuck = sum(window.tries >= PATIENT_TRIES for window in self._sent.values())
        return MAX_UNCONFIRMED - len(self._sent) + min(stuck, MAX_STUCK)

    def sent(self, mid: int, number: int, payload: bytes, now: float) -> None:
        """Note that a window is on its way as the client's message ``mid``."""
        self._in_flight[mid] = number
        before = self._sent.pop(number, None)
        tries = before.tries if before else 1
        self._sent[number] = SentWindow(key_of(payload), now, tries=tries, repeated=before is not None)
        self._resend.discard(number)

    def acknowledged(self, mid: int, now: float) -> None:
        """Note the PUBACK of a message."""
        number = self._in_flight.pop(mid, None)
        if number in self._sent:
            self._sent[number].acknowledged = now

    def refuse(self, mid: int) -> bool:
        """Note that the broker refused a message; return whether it was a window."""
        number = self._in_flight.pop(mid, None)
        if number is None:
            return False
        self._forget([number])
        self._refused.add(number)
        return True

    def add_receipt(self, writer: str, receipt: Stored, spool: Spool, now: float, *, live: bool) -> None:
        """Note a collector's receipt. ``live``: it was sent now, not retained by the broker from earlier."""
        before = self._receipts.pop(writer, None)
        self._receipts[writer] = receipt
        while len(self._receipts) > MAX_WRITERS:
            del self._receipts[next(iter(self._receipts))]
        held = {
            number
            for number, window in self._sent.items()
            if window.key and receipt.holds(window.key.boot, window.key.seq)
        }
        news = held - self._done
        self._done |= held
        if live:
            greeting = not news and (before is None or not receipt.boots or receipt == before)
            self._mark_passed(news, greeting=greeting)
            self._resend_overdue(spool, now)

    def _mark_passed(self, news: set[int], *, greeting: bool) -> None:
        """Mark the windows that the collector should have by now and has not confirmed.

        A broker keeps the order of a topic. What was sent before a newly confirmed window on this connection has
        reached the collector or is lost, as in TCP's selective acknowledgement (RFC 2018, RFC 6675); what was sent
        after it may still be on its way. A confirmed window that was repeated proves nothing, because the receipt does
        not tell which copy arrived (Karn and Partridge 1987).

        A greeting is a receipt without news: the collector has just subscribed, or has read our ``online``. What the
        broker acknowledged before is lost if the collector had no session. A collector with a backlog soon sends news,
        which clears the marks; one that is silent for longer than `EARLY_RESEND_S` receives each window once more.
        """
        numbers = list(self._sent)
        proofs = [at for at, number in enumerate(numbers) if number in news and not self._sent[number].repeated]
        if not greeting and not proofs:
            return
        end = len(numbers) if greeting else proofs[-1]
        for at, number in enumerate(numbers):
            window = self._sent[number]
            window.passed = at < end and window.acknowledged is not None and not window.repeated

    def _resend_passed(self, now: float) -> None:
        """Send marked windows again, once on each connection, that nobody has confirmed in time."""
        for number in self._overdue():
            window = self._sent[number]
            if window.passed and window.acknowledged is not None and now - window.acknowledged > EARLY_RESEND_S:
                self._resend.add(number)

    def _resend_overdue(self, spool: Spool, now: float) -> None:
        """Send again what a connected collector has not confirmed for long.

        What the broker acknowledged on an earlier connection is sent again at once: the collector sends a receipt when
        it reads our ``online``, and that came after all those windows.
        """
        if self._patience_s > self.resend_s:
            log.info(line("receipts_again"))
        self._heard, self._patience_s = now, self.resend_s
        self._forget_dropped(spool)
        for number in self._overdue():
            window = self._sent[number]
            wait_s = self.resend_s * 2 ** min(window.tries - 1, MAX_DOUBLINGS)
            if window.earlier or now - window.sent > wait_s:
                self._resend.add(number)
                window.tries += 1

    def _resend_oldest(self, spool: Spool, now: float) -> None:
        """While no collector is heard, send the oldest window again, ever more rarely; log the first time."""
        overdue = self._overdue() if self.confirm == "collector" else []
        if not overdue or now - max(self._heard, self._sent[overdue[0]].sent) < self._patience_s:
            return
        self._forget_dropped(spool)
        if overdue[0] not in self._sent:
            return
        if self._patience_s == self.resend_s:
            reason = (
                f"no collector has confirmed them for {self.resend_s:g} s: check that one is running and that this"
                ' device may read its receipts (.../stored/+); without a collector set broker.confirm = "broker"'
            )
            log.warning(line("no_receipts", windows=len(self._sent), reason=reason))
        self._resend.add(overdue[0])
        self._heard, self._patience_s = now, min(LONGEST_RESEND_S, 2 * self._patience_s)

    def _overdue(self) -> list[int]:
        """Numbers of the windows that the broker acknowledged and nobody has confirmed, oldest first."""
        waiting = [number for number, each in self._sent.items() if each.acknowledged is not None and each.key]
        return sorted(set(waiting) - self._done - self._resend - set(self._in_flight.values()))

    def _forget_dropped(self, spool: Spool) -> None:
        """Forget windows that the spool has dropped since they were sent."""
        rows = spool.waiting(0, 1)
        first = rows[0][0] if rows else None
        self._forget(number for number in list(self._sent) if first is None or number < first)

    def delete_confirmed(self, spool: Spool, now: float) -> None:
        """Delete confirmed windows from the spool, now or once the disk allows it."""
        for number, window in self._sent.items():
            kept = window.acknowledged is not None and now - window.acknowledged >= KEEP_S
            if kept and (self.confirm == "broker" or window.key is None):
                self._done.add(number)
        if self._done:
            with contextlib.suppress(SpoolError):
                spool.delete(sorted(self._done))
                self._forget(self._done)
                self._done.clear()

    def _forget(self, numbers: Iterable[int]) -> None:
        for number in numbers:
            self._sent.pop(number, None)
            self._resend.discard(number)

    def _is_stored(self, key: WindowKey | None) -> bool:
        return key is not None and any(each.holds(key.boot, key.seq) for each in self._receipts.values())
