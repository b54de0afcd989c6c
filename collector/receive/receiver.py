"""Run the collector: receive counts over MQTT, store them, and confirm them to the broker and the devices.

One thread reads a group of messages, stores it, then acknowledges it to the broker and publishes receipts for the
devices. The store detects repeats by their key; they are confirmed again.
"""

import logging
import random
import threading
import time
from collections.abc import Callable
from datetime import datetime, timezone

from base.backoff import full_jitter
from base.logs import line
from collector.devices.clock_check import ClockHistory
from collector.devices.registry import DeviceRegistry
from collector.errors import StoreFailed
from collector.publish.publisher import Publisher
from collector.receive.connection import V5, V311, Connection
from collector.receive.daily_compaction import DailyCompaction
from collector.receive.dead_letters import DeadLetters
from collector.receive.intake import Intake
from collector.receive.receipts import Receipts
from collector.rollups.retention import Retention
from collector.settings import Settings
from collector.store.writer import StoreWriter

MAX_PAUSE_S = 20.0
"""Longest pause between attempts: a broker that is back must be noticed within half a minute."""
STABLE_S = 30.0
"""A connection that lasted so long resets the pauses. Two clients of one name, which evict each other, do not."""
SAVE_DEVICES_INTERVAL_S = 2.0
REPORT_INTERVAL_S = 60.0
RECEIPTS_INTERVAL_S = 0.5
"""A device with a backlog may have 100 unconfirmed windows, so it sends up to 150 a second."""
MAX_RECEIPTS = 1000
"""Devices that get a receipt at one time. The others wait for the next time."""
MAX_BACKOFF_EXPONENT = 10

_log = logging.getLogger(__name__)


def utc_now() -> datetime:
    """Return the present time as an aware datetime in UTC."""
    return datetime.now(timezone.utc)


class Receiver:
    """Connects to the broker again and again until it is stopped, and logs each change of state once."""

    def __init__(self, settings: Settings, stop: threading.Event, now: Callable[[], datetime], rng: random.Random):
        self._settings = settings
        self._stop = stop
        self._now = now
        self._rng = rng
        self._protocol = V5
        self._broker_speaks_v5 = False
        self._failures = 0
        self._logged_reason: str | None = None
        store = settings.store
        self._retention = None
        if store.keep_days is not None:
            clock = ClockHistory(store.path / f"clock{store.suffix}.json", now)
            self._retention = Retention(store.path, store.keep_days, now, clock)
        self._publisher = Publisher(settings.publish, store, now)
        self._compaction = DailyCompaction(store, now) if store.compact_after_days is not None else None

    def run(self) -> None:
        """Receive until stopped. Raises StoreRefused or SettingsError if that cannot begin."""
        try:
            while not self._stop.is_set():
                try:
                    self._run_with_store()
                except StoreFailed as error:
                    self._log_once(logging.ERROR, "store_failed", str(error))
                    self._pause()
        finally:
            if self._compaction:
                self._compaction.stop()
            self._publisher.stop()

    def _run_with_store(self) -> None:
        """Open the store, and connect until stopped or until the store fails."""
        store = self._settings.store
        with StoreWriter(store.path, store.writer) as writer:
            receipts = Receipts(store.writer)
            devices = DeviceRegistry(store.path, store.suffix)
            intake = Intake(
                writer,
                devices,
                DeadLetters(store.path, store.dead_letter_bytes, store.suffix),
                self._settings.limits,
                receipts=receipts,
            )
            intake.on_stored = self._publisher.note
            try:
                while not self._stop.is_set():
                    self._connect(intake, receipts, devices)
            finally:
                _report(intake)

    def _connect(self, intake: Intake, receipts: Receipts, devices: DeviceRegistry) -> None:
        """Run one connection until it ends, then pause."""
        broker = self._settings.broker
        began_s = time.monotonic()
        with Connection(broker, f"facetally-collector-{self._settings.store.writer}", self._protocol) as connection:
            self._publisher.connected()
            self._receive(connection, intake, receipts, devices)
        intake.save_devices()
        if self._stop.is_set():
            return
        if connection.accepted and time.monotonic() - began_s > STABLE_S:
            self._failures = 0
        self._log_once(logging.WARNING, "not_connected", connection.ended or "")
        if connection.wrong_protocol and not self._broker_speaks_v5:
            self._protocol = V311 if self._protocol == V5 else V5
            if self._protocol == V311:
                return  # at once: a broker without MQTT 5 refuses, closes the connection, or does not answer
        self._pause()

    def _receive(self, connection: Connection, intake: Intake, receipts: Receipts, devices: DeviceRegistry) -> None:
        """Process groups of messages until the connection ends or the receiver is stopped."""
        saved_s = reported_s = confirmed_s = time.monotonic()
        while connection.ended is None and not self._stop.is_set():
            group = connection.receive(self._settings.store.group_s)
            if connection.accepted:
                self._logged_reason = None
                self._broker_speaks_v5 = self._broker_speaks_v5 or self._protocol == V5
            if group:
                intake.process(group, self._now())
                connection.acknowledge(group)
            now_s = time.monotonic()
            if now_s - confirmed_s > RECEIPTS_INTERVAL_S and connection.has_sent_all:
                confirmed_s = now_s
                connection.publish_receipts(receipts.take_due(MAX_RECEIPTS))
                self._publisher.update(connection, devices.all)
            if now_s - saved_s > SAVE_DEVICES_INTERVAL_S:
                saved_s = now_s
                intake.save_devices()
            if now_s - reported_s > REPORT_INTERVAL_S:
                reported_s = now_s
                _report(intake)
                if self._retention:
                    self._retention.delete_oldest(intake.clock_agreement(self._now()))
                if self._compaction:
                    self._compaction.update()

    def _pause(self) -> None:
        """Wait before the next attempt to connect, with full jitter."""
        self._stop.wait(full_jitter(self._rng, self._failures, 1.0, MAX_PAUSE_S))
        self._failures = min(self._failures + 1, MAX_BACKOFF_EXPONENT)

    def _log_once(self, level: int, event: str, reason: str) -> None:
        """Log an event unless the last one had the same reason."""
        if reason != self._logged_reason:
            broker = self._settings.broker
            _log.log(level, line(event, reason=reason, host=broker.host, port=broker.port))
        self._logged_reason = reason


def _report(intake: Intake) -> None:
    totals = intake.totals
    _log.info(line("received", rows=totals.rows, repeats=totals.repeats, set_aside=totals.set_aside))


def run(
    settings: Settings,
    stop: threading.Event,
    now: Callable[[], datetime] = utc_now,
    rng: random.Random | None = None,
) -> None:
    """Receive until ``stop`` is set. Outages of broker and disk are waited for.

    Raises StoreRefused if the store cannot be used, and SettingsError for settings that cannot work.
    """
    Receiver(settings, stop, now, rng or random.Random()).run()  # noqa: S311 - not used for cryptography
