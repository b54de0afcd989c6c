"""MQTT messages -> rows on disk, acknowledged and confirmed afterwards.

One thread does all: it reads a group of messages, has it stored, and only then acknowledges it to the broker and
confirms it to the devices. What comes again, the store knows by its key, and it is confirmed again.
"""

import logging
import random
import threading
import time
from collections.abc import Callable
from datetime import datetime, timezone

from base.logs import line
from collector.devices.clock_check import ClockHistory
from collector.devices.registry import DeviceRegistry
from collector.errors import StoreFailed
from collector.receive.connection import V5, V311, Connection
from collector.receive.dead_letters import DeadLetters
from collector.receive.intake import Intake
from collector.receive.receipts import Receipts
from collector.settings import Settings
from collector.store.retention import Retention
from collector.store.writer import StoreWriter

LONGEST_PAUSE_S = 20.0
"""A broker that is back has to be noticed within half a minute, however long it was away."""
STABLE_S = 30.0
"""A connection that lasted so long begins the pauses anew; two clients of one name that evict each other do not."""
DEVICES_EVERY_S = 2.0
REPORT_EVERY_S = 60.0
RECEIPTS_EVERY_S = 0.5
"""A device with a backlog may have 100 windows unconfirmed, so it sends some 150 a second."""
MOST_RECEIPTS = 1000
"""Devices that are told at once; the others wait for the next time."""

_log = logging.getLogger(__name__)


def utc_now() -> datetime:
    """The time, aware of being UTC."""
    return datetime.now(timezone.utc)


class Receiver:
    """Connects again and again until told to stop; says each change of state once."""

    def __init__(self, settings: Settings, stop: threading.Event, now: Callable[[], datetime], jitter: random.Random):
        self._settings = settings
        self._stop = stop
        self._now = now
        self._jitter = jitter
        self._protocol = V5
        self._spoke_v5 = False
        self._failures = 0
        self._said = ""
        store = settings.store
        self._retention = None
        if store.keep_days is not None:
            clock = ClockHistory(store.path / f"clock{store.suffix}.json", now)
            self._retention = Retention(store.path, store.keep_days, now, clock)

    def until_stopped(self) -> None:
        """Receive until the stop; StoreRefused or SettingsError if that cannot begin."""
        while not self._stop.is_set():
            try:
                self._with_store()
            except StoreFailed as error:
                self._say(logging.ERROR, "store_failed", str(error))
                self._pause()

    def _with_store(self) -> None:
        """Open the store, and connect until the stop or until the store fails."""
        store = self._settings.store
        with StoreWriter(store.path, store.writer) as rows:
            letters = DeadLetters(store.path, store.dead_letter_bytes, store.suffix)
            receipts = Receipts(store.writer)
            devices, limits = DeviceRegistry(store.path, store.suffix), self._settings.limits
            intake = Intake(rows, devices, letters, limits, receipts=receipts)
            try:
                while not self._stop.is_set():
                    self._connect(intake, receipts)
            finally:
                _report(intake)

    def _connect(self, intake: Intake, receipts: Receipts) -> None:
        """One connection, from beginning to end, and the pause after it."""
        broker = self._settings.broker
        began = time.monotonic()
        with Connection(broker, f"facetally-collector-{self._settings.store.writer}", self._protocol) as connection:
            self._listen(connection, intake, receipts)
        intake.save_devices()
        if self._stop.is_set():
            return
        if connection.accepted and time.monotonic() - began > STABLE_S:
            self._failures = 0
        self._say(logging.WARNING, "not_connected", connection.ended or "")
        if connection.wrong_protocol and not self._spoke_v5:
            self._protocol = V311 if self._protocol == V5 else V5
            if self._protocol == V311:
                return  # at once: brokers that know no MQTT 5 say so, close the connection, or say nothing
        self._pause()

    def _listen(self, connection: Connection, intake: Intake, receipts: Receipts) -> None:
        """Group after group, stored, then acknowledged and confirmed."""
        saved = reported = confirmed = time.monotonic()
        while connection.ended is None and not self._stop.is_set():
            group = connection.group(self._settings.store.group_s)
            if connection.accepted:
                self._said = ""
                self._spoke_v5 = self._spoke_v5 or self._protocol == V5
            if group:
                intake.take(group, self._now())
                connection.acknowledge(group)
            moment = time.monotonic()
            if moment - confirmed > RECEIPTS_EVERY_S and connection.has_sent_all:
                confirmed = moment
                connection.confirm(receipts.take(MOST_RECEIPTS))
            if moment - saved > DEVICES_EVERY_S:
                saved = moment
                intake.save_devices()
            if moment - reported > REPORT_EVERY_S:
                reported = moment
                _report(intake)
                if self._retention:
                    self._retention.delete_oldest(intake.clock(self._now()))

    def _pause(self) -> None:
        """Full jitter (Brooker 2015, AWS Architecture Blog), so that a thousand clients do not return at once."""
        self._stop.wait(self._jitter.uniform(0, min(LONGEST_PAUSE_S, 2.0**self._failures)))
        self._failures = min(self._failures + 1, 10)

    def _say(self, level: int, event: str, reason: str) -> None:
        if reason != self._said:
            broker = self._settings.broker
            _log.log(level, line(event, reason=reason, host=broker.host, port=broker.port))
        self._said = reason


def _report(intake: Intake) -> None:
    taken = intake.taken
    _log.info(line("taken", rows=taken.rows, repeats=taken.repeats, set_aside=taken.set_aside))


def run(
    settings: Settings,
    stop: threading.Event,
    now: Callable[[], datetime] = utc_now,
    jitter: random.Random | None = None,
) -> None:
    """Receive until ``stop`` is set. Broker and disk may come and go; StoreRefused and SettingsError end it."""
    Receiver(settings, stop, now, jitter or random.Random()).until_stopped()  # noqa: S311 - jitter is no secret
