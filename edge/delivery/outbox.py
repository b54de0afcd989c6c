"""Windows of the spool -> what to send now, and what may leave the spool.

With receipts a window leaves the spool when a collector says that it is stored; a broker may then drop, forget or lose
whatever it has acknowledged. Without (``publish.confirm = "broker"``) it leaves two seconds after the broker's PUBACK.
"""

import contextlib
import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

import msgspec

from base.logs import line
from contract.receipt import Stored
from edge.delivery.rate_limit import IN_FLIGHT, Pace
from edge.delivery.spool import Spool
from edge.errors import SpoolError

log = logging.getLogger("edge.delivery.outbox")
Confirm = Literal["collector", "broker"]
KEPT_S = 2.0
"""Without receipts a window stays in the spool so long after its PUBACK, and is sent again if the connection is lost
before: Mosquitto acknowledges first and saves then, so a broker killed in between has forgotten it."""
UNCONFIRMED = 100
"""Windows that were sent and that no collector has confirmed. More wait in the spool, not at the broker: a fleet whose
collector is away for a week then leaves a hundred messages a device in the broker's memory, not ten thousand."""
PASSED_S = 5.0
"""Minimum time from PUBACK to the early repeat of a window that a receipt has passed over. Collectors that share the
topic confirm out of order; the receipt of the other one arrives within this time."""
AGAIN_S = 60.0
"""A window that was sent so long ago is sent again once the collector is heard of; then after twice as long."""
MOST_DOUBLINGS = 8
"""Up to four hours: a collector may refuse a window for a while, because its clock is wrong, or for ever."""
PATIENT_TRIES = 4
"""A window that was sent so often no longer keeps others from being sent."""
MOST_STUCK = 400
"""At most so many of them; more are not forgotten, but nothing new is sent while there are."""
LONGEST_AGAIN_S = 1800.0
"""While no collector is heard of, only the oldest window is sent again, after 60 s at first, then twice as long."""
MOST_REFUSED = 100
"""A broker that refuses so many messages is offered no more until the next connection."""
MOST_WRITERS = 8
"""Collectors whose last receipt is remembered."""


class Key(msgspec.Struct, frozen=True):
    """Of a message of any version: the start of the daemon that made it, and its number within that."""

    boot: str
    seq: int


_decoder = msgspec.json.Decoder(Key)


@dataclass(slots=True)
class Sent:
    """A window that was sent and is still in the spool."""

    key: Key | None
    """None if the payload has none."""
    at: float
    """Monotonic time of the last send, seconds."""
    taken: float | None = None
    """Monotonic time of the PUBACK, seconds; None before it."""
    earlier: bool = False
    """The PUBACK came on an earlier connection."""
    tries: int = 1
    """Number of sends while a collector was there, without early repeats."""
    repeated: bool = False
    """It was sent again on this connection."""
    passed: bool = False
    """A collector that should have it by now has not confirmed it."""


@dataclass(slots=True)
class Outbox:
    """The state of each window between spool and collector; ``now`` is always monotonic seconds."""

    confirm: Confirm
    pace: Pace
    again_s: float = AGAIN_S
    _in_flight: dict[int, int] = field(default_factory=dict)
    _sent: dict[int, Sent] = field(default_factory=dict)  # in the order of the last send
    _again: set[int] = field(default_factory=set)
    _done: set[int] = field(default_factory=set)
    _refused: set[int] = field(default_factory=set)
    _receipts: dict[str, Stored] = field(default_factory=dict)
    _backlog: int = 0
    _heard: float = 0.0
    _patience: float = field(init=False)

    def __post_init__(self) -> None:
        """Patience begins short."""
        self._patience = self.again_s

    @property
    def in_flight(self) -> int:
        """Windows sent and not yet acknowledged by the broker."""
        return len(self._in_flight)

    @property
    def refused(self) -> int:
        """Windows that the broker refused on this connection."""
        return len(self._refused)

    @property
    def unconfirmed(self) -> int:
        """Windows that the broker took and that are still kept."""
        return sum(sent.taken is not None for sent in self._sent.values())

    def connected(self, spool: Spool, now: float) -> None:
        """A new connection: what waits is a backlog, and what the last one refused is offered once more."""
        self._refused.clear()
        self._heard = now
        for sent in self._sent.values():
            sent.earlier, sent.repeated, sent.passed = sent.taken is not None, False, False
        with contextlib.suppress(SpoolError):  # what waits then goes out as if it were new
            self._backlog = spool.newest()

    def disconnected(self) -> None:
        """Without receipts a broker that is gone may have forgotten what it took last; with them, time tells."""
        if self.confirm == "broker":
            self._forget(number for number, sent in list(self._sent.items()) if sent.taken is not None)

    def restarted(self) -> None:
        """The client was replaced by another one: what was in flight is sent again."""
        self._forget(list(self._in_flight.values()))
        self._in_flight.clear()

    def next(self, spool: Spool, now: float) -> list[tuple[int, bytes]]:
        """What to send now: new windows first, so that they do not wait for the backlog of an outage, which follows
        oldest first and at its own pace."""
        room = IN_FLIGHT - len(self._in_flight)
        if room <= 0 or len(self._refused) >= MOST_REFUSED:
            return []
        self._repeat_passed(now)
        self._ask_again(spool, now)
        busy = self._sent.keys() | self._refused | self._done
        new = spool.waiting(self._backlog, room, busy)
        paced = self.pace.most(room - len(new), now)
        rows = spool.waiting(0, paced, busy - self._again) if paced else []
        old = [row for row in rows if row[0] <= self._backlog or row[0] in self._again]
        self.pace.spend(len(old))
        return self._allowed(new + old)

    def _allowed(self, rows: list[tuple[int, bytes]]) -> list[tuple[int, bytes]]:
        """Of the rows those that no receipt names, and of those never sent no more than may be unconfirmed."""
        chosen, free = [], self._free() if self.confirm == "collector" else IN_FLIGHT
        for number, payload in rows:
            if self._is_stored(_key(payload)):
                self._done.add(number)
            elif number in self._sent or free > 0:
                chosen.append((number, payload))
                free -= number not in self._sent
        return chosen

    def _free(self) -> int:
        """How many more may be unconfirmed."""
        stuck = sum(sent.tries >= PATIENT_TRIES for sent in self._sent.values())
        return UNCONFIRMED - len(self._sent) + min(stuck, MOST_STUCK)

    def sent(self, mid: int, number: int, payload: bytes, now: float) -> None:
        """A window is on its way as the client's message ``mid``."""
        self._in_flight[mid] = number
        before = self._sent.pop(number, None)
        tries = before.tries if before else 1
        self._sent[number] = Sent(_key(payload), now, tries=tries, repeated=before is not None)
        self._again.discard(number)

    def acknowledged(self, mid: int, now: float) -> None:
        """The broker has a message."""
        number = self._in_flight.pop(mid, None)
        if number in self._sent:
            self._sent[number].taken = now

    def refuse(self, mid: int) -> bool:
        """The broker does not take a message; whether it was a window."""
        number = self._in_flight.pop(mid, None)
        if number is None:
            return False
        self._forget([number])
        self._refused.add(number)
        return True

    def stored(self, writer: str, receipt: Stored, spool: Spool, now: float, *, live: bool) -> None:
        """Take a collector's receipt. ``live``: it was sent now, not kept by the broker from earlier."""
        before = self._receipts.pop(writer, None)
        self._receipts[writer] = receipt
        while len(self._receipts) > MOST_WRITERS:
            del self._receipts[next(iter(self._receipts))]
        held = {
            number for number, sent in self._sent.items() if sent.key and receipt.holds(sent.key.boot, sent.key.seq)
        }
        news = held - self._done
        self._done |= held
        if live:
            greeting = not news and (before is None or not receipt.boots or receipt == before)
            self._mark_passed(news, greeting=greeting)
            self._answered(spool, now)

    def _mark_passed(self, news: set[int], *, greeting: bool) -> None:
        """Mark the windows that the collector should have by now and has not confirmed.

        A broker keeps the order of a topic. What was sent before a newly confirmed window on this connection has
        reached the collector or is lost, as in TCP's selective acknowledgement (RFC 2018, RFC 6675); what was sent
        after it may still be on its way. A confirmed window that was repeated proves nothing, because the receipt does
        not tell which copy arrived (Karn and Partridge 1987).

        A greeting is a receipt without news: the collector has just subscribed, or has read our ``online``. What the
        broker took before is lost if the collector had no session. A collector with a backlog soon sends news, which
        clears the marks; one that is silent for longer than `PASSED_S` receives each window once more.
        """
        numbers = list(self._sent)
        proofs = [at for at, number in enumerate(numbers) if number in news and not self._sent[number].repeated]
        if not greeting and not proofs:
            return
        end = len(numbers) if greeting else proofs[-1]
        for at, number in enumerate(numbers):
            sent = self._sent[number]
            sent.passed = at < end and sent.taken is not None and not sent.repeated

    def _repeat_passed(self, now: float) -> None:
        """Choose for sending, once on each connection, the marked windows that nobody has confirmed in time."""
        for number in self._overdue():
            sent = self._sent[number]
            if sent.passed and sent.taken is not None and now - sent.taken > PASSED_S:
                self._again.add(number)

    def _answered(self, spool: Spool, now: float) -> None:
        """The collector is there. Choose for sending what it has not confirmed for long, and at once what the broker
        took on an earlier connection: the collector answers to our ``online``, which it read after all that."""
        if self._patience > self.again_s:
            log.info(line("receipts_again"))
        self._heard, self._patience = now, self.again_s
        self._drop_gone(spool)
        for number in self._overdue():
            sent = self._sent[number]
            wait_s = self.again_s * 2 ** min(sent.tries - 1, MOST_DOUBLINGS)
            if sent.earlier or now - sent.at > wait_s:
                self._again.add(number)
                sent.tries += 1

    def _ask_again(self, spool: Spool, now: float) -> None:
        """No collector is heard of: the oldest window is sent again, ever more rarely. The first time it is said."""
        overdue = self._overdue() if self.confirm == "collector" else []
        if not overdue or now - max(self._heard, self._sent[overdue[0]].at) < self._patience:
            return
        self._drop_gone(spool)
        if overdue[0] not in self._sent:
            return
        if self._patience == self.again_s:
            reason = f"no collector has confirmed them for {self.again_s:g} s: is one there, may this device read its"
            reason += ' receipts (.../stored/+)? Without a collector set publish.confirm = "broker"'
            log.warning(line("no_receipts", windows=len(self._sent), reason=reason))
        self._again.add(overdue[0])
        self._heard, self._patience = now, min(LONGEST_AGAIN_S, 2 * self._patience)

    def _overdue(self) -> list[int]:
        """What the broker took and nobody has confirmed, oldest first."""
        taken = [number for number, sent in self._sent.items() if sent.taken is not None and sent.key]
        return sorted(set(taken) - self._done - self._again - set(self._in_flight.values()))

    def _drop_gone(self, spool: Spool) -> None:
        """Windows that the spool has dropped since, full or damaged, are waited for no more."""
        rows = spool.waiting(0, 1)
        first = rows[0][0] if rows else None
        self._forget(number for number in list(self._sent) if first is None or number < first)

    def let_go(self, spool: Spool, now: float) -> None:
        """Delete what is confirmed from the spool; later, where the disk does not let it."""
        for number, sent in self._sent.items():
            ripe = sent.taken is not None and now - sent.taken >= KEPT_S
            if ripe and (self.confirm == "broker" or sent.key is None):
                self._done.add(number)
        if self._done:
            with contextlib.suppress(SpoolError):
                spool.delete(sorted(self._done))
                self._forget(self._done)
                self._done.clear()

    def _forget(self, numbers: Iterable[int]) -> None:
        for number in numbers:
            self._sent.pop(number, None)
            self._again.discard(number)

    def _is_stored(self, key: Key | None) -> bool:
        return key is not None and any(each.holds(key.boot, key.seq) for each in self._receipts.values())


def _key(payload: bytes) -> Key | None:
    """The key of a spooled message; None if it has none, which no receipt can then confirm."""
    try:
        return _decoder.decode(payload)
    except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError):
        return None
