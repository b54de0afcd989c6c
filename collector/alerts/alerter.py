"""Watch the store's devices and hours, and tell webhooks of changes. Runs in a thread of its own.

A message is in a file before it is sent, and leaves the file when its receiver has answered. So a restart tells nothing
twice, except a message whose answer was lost; its ``id`` is the same then.
"""

import logging
import random
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime, timedelta

import msgspec

from base.backoff import full_jitter
from base.logs import line
from collector.alert_settings import Webhook
from collector.alerts.changes import Change, step
from collector.alerts.conditions import of_devices, of_hours
from collector.alerts.memory import Memory, Waiting, read_memory
from collector.alerts.webhook import NotDelivered, send
from collector.devices.registry import read_devices
from collector.publish.hour_process import HourProcess
from collector.settings import Settings
from contract.hour import Hour

CHECK_S = 15.0
"""Time between two checks of the devices."""
STEP_S = 1.0
FIRST_PAUSE_S, LONGEST_PAUSE_S = 5.0, 600.0
"""Bounds of the pause before a message is sent again."""
MAX_CHANGES = 100
"""Changes in one message."""
NO_HOLD = timedelta(0)
THRESHOLD = "threshold:"

_log = logging.getLogger(__name__)


class _Receiver:
    """A webhook, and when to try it again."""

    def __init__(self, webhook: Webhook) -> None:
        self.webhook = webhook
        self.failures = 0
        self.not_before_s = 0.0
        self.logged: str | None = None


class Alerter:
    """Evaluates conditions and delivers messages, each time that `update` is called."""

    def __init__(self, settings: Settings, now: Callable[[], datetime], rng: random.Random) -> None:
        """Raises SettingsError if a secret cannot be used."""
        store = settings.store
        self._settings, self._root, self._now, self._rng = settings.alerts, store.path, now, rng
        self._path = store.path / f"alerts{store.suffix}.json"
        self._memory: Memory = read_memory(self._path)
        self._hours = HourProcess(store, now) if settings.alerts.thresholds else None
        self._receivers = [_Receiver(webhook) for webhook in settings.alerts.webhooks]
        for webhook in settings.alerts.webhooks:
            webhook.secret()
        self._check_due_s = 0.0
        self._unseen: list[Hour] = []
        """Hours whose changes are not saved yet."""

    def run(self, stop: threading.Event) -> None:
        """Update until stopped."""
        try:
            while not stop.wait(STEP_S):
                self.update()
        finally:
            if self._hours:
                self._hours.stop()

    def update(self) -> None:
        """Check the conditions if that is due, and send what waits."""
        self._unseen += self._hours.update() if self._hours else []
        if self._unseen or time.monotonic() >= self._check_due_s:
            self._check_due_s = time.monotonic() + CHECK_S
            self._check(self._unseen)
        for receiver in self._receivers:
            self._deliver(receiver)

    def _check(self, hours: Sequence[Hour]) -> None:
        """Find changes, and save them with their messages; nothing changes if they cannot be saved."""
        memory = msgspec.convert(msgspec.to_builtins(self._memory), Memory)
        changes = [*self._of_devices(memory), *self._of_hours(memory, hours)]
        for begin in range(0, len(changes), MAX_CHANGES):
            delivery = str(uuid.UUID(int=self._rng.getrandbits(128), version=4))
            body = _body(delivery, changes[begin : begin + MAX_CHANGES])
            for receiver in self._receivers:
                memory.add(Waiting(url=receiver.webhook.url, delivery=delivery, body=body))
        if memory == self._memory or self._save(memory):
            self._unseen = []

    def _of_devices(self, memory: Memory) -> list[Change]:
        now = self._now()
        held = {key: each for key, each in memory.held.items() if not each.kind.startswith(THRESHOLD)}
        present = of_devices(read_devices(self._root), self._settings, now)
        after, changes = step(held, present, now, timedelta(seconds=self._settings.hold_s))
        memory.held = {key: each for key, each in memory.held.items() if key not in held} | after
        return changes

    def _of_hours(self, memory: Memory, hours: Sequence[Hour]) -> list[Change]:
        """Return the changes that an hour brings which was not seen before."""
        needed = {f"{THRESHOLD}{each.name}": each.hours for each in self._settings.thresholds}
        memory.held = {key: each for key, each in memory.held.items() if _is_known(each.kind, needed)}
        new = [hour for hour in hours if memory.last_hour is None or hour.start > memory.last_hour]
        if not new:
            return []
        memory.last_hour = max(hour.start for hour in new)
        found = of_hours(new, self._settings, memory.hours)
        memory.hours |= {key: number for key, (number, _) in found.items()}
        memory.hours = {key: number for key, number in memory.hours.items() if number}
        held = {key: memory.held[key] for key in found if key in memory.held}
        present = {key: condition for key, (number, condition) in found.items() if number >= needed[condition.kind]}
        after, changes = step(held, present, self._now(), NO_HOLD)
        memory.held = {key: each for key, each in memory.held.items() if key not in held} | after
        return changes

    def _deliver(self, receiver: _Receiver) -> None:
        """Send the oldest message of a webhook, if one waits and no pause is to be kept."""
        url = receiver.webhook.url
        waiting = next((each for each in self._memory.waiting if each.url == url), None)
        if waiting is None or time.monotonic() < receiver.not_before_s:
            return
        try:
            send(receiver.webhook, waiting.delivery, waiting.body.encode(), int(self._now().timestamp()))
        except NotDelivered as error:
            pause_s = full_jitter(self._rng, receiver.failures, FIRST_PAUSE_S, LONGEST_PAUSE_S)
            receiver.failures += 1
            receiver.not_before_s = time.monotonic() + pause_s
            if str(error) != receiver.logged:
                receiver.logged = str(error)
                _log.warning(line("alert_not_delivered", host=receiver.webhook.host, reason=error))
            return
        receiver.failures, receiver.logged = 0, None
        _log.info(line("alert_delivered", host=receiver.webhook.host, id=waiting.delivery))
        self._memory.waiting.remove(waiting)
        self._save(self._memory)

    def _save(self, memory: Memory) -> bool:
        """Save what is remembered, and remember it; False, and nothing changes, if it cannot be saved."""
        try:
            memory.save(self._path)
        except OSError as error:
            _log.warning(line("alerts_not_saved", file=self._path, reason=error.strerror or error))
            return False
        self._memory = memory
        return True


def _is_known(kind: str, needed: dict[str, int]) -> bool:
    return not kind.startswith(THRESHOLD) or kind in needed


def _body(delivery: str, changes: Sequence[Change]) -> str:
    return msgspec.json.encode({"schema": 1, "id": delivery, "changes": changes}).decode()


@contextmanager
def alerting(settings: Settings, stop: threading.Event, now: Callable[[], datetime]) -> Iterator[None]:
    """Tell webhooks of changes while the context lasts, if there are webhooks. ``stop`` is set if that fails."""
    if not settings.alerts.webhooks:
        yield
        return
    alerter = Alerter(settings, now, random.SystemRandom())
    with ThreadPoolExecutor(1) as thread:
        done = thread.submit(alerter.run, stop)
        done.add_done_callback(lambda _done: stop.set())
        try:
            yield
        finally:
            stop.set()
        done.result()
