"""Watch the store's devices and hours, and tell webhooks and mail addresses of changes. Runs in a thread of its own.

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
from zoneinfo import ZoneInfo

from msgspec.structs import replace

from base.backoff import full_jitter
from base.logs import line
from collector.alerts.changes import Change, step
from collector.alerts.channel import Channel, NotDelivered
from collector.alerts.conditions import Wording, of_devices, of_hours
from collector.alerts.mail import MailChannel
from collector.alerts.memory import Memory, Run, read_memory
from collector.alerts.webhook import WebhookChannel
from collector.devices.registry import read_devices
from collector.language.catalogue import SOURCE
from collector.language.language import language
from collector.publish.hour_process import HourProcess
from collector.settings import Settings
from contract.hour import Hour

CHECK_S = 15.0
"""Time between two checks of the devices."""
STEP_S = 1.0
FIRST_PAUSE_S, LONGEST_PAUSE_S = 5.0, 600.0
"""Bounds of the pause before a message is sent again."""
NO_HOLD = timedelta(0)

_log = logging.getLogger(__name__)


class _Receiver:
    """A receiver, and when to try it again."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.failures = 0
        self.not_before_s = 0.0
        self.logged: str | None = None


class Alerter:
    """Evaluates conditions and delivers messages, each time that `update` is called."""

    def __init__(self, settings: Settings, now: Callable[[], datetime], rng: random.Random) -> None:
        """Raises SettingsError if a secret, a file of [mail], a zone or a language cannot be used."""
        store, zone = settings.store, settings.page.time_zone()
        self._settings, self._root, self._now, self._rng = settings.alerts, store.path, now, rng
        self._path = store.path / f"alerts{store.suffix}.json"
        channels = _channels(settings, zone)
        self._receivers = [_Receiver(each) for each in channels]
        self._memory: Memory = read_memory(self._path).only_for({each.destination for each in channels})
        codes = {each.words.code for each in channels if isinstance(each, MailChannel)} | {SOURCE}
        self._wording = Wording([language(code) for code in sorted(codes)], zone)
        self._hours = HourProcess(store, now) if settings.alerts.thresholds else None
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
        """Check the conditions if that is due, and send a message if one waits."""
        self._unseen += self._hours.update() if self._hours else []
        if self._unseen or time.monotonic() >= self._check_due_s:
            self._check_due_s = time.monotonic() + CHECK_S
            self._check(self._unseen)
        for receiver in self._receivers:
            if self._deliver(receiver):  # one, so that a stop never waits for several servers
                self._receivers.remove(receiver)
                self._receivers.append(receiver)
                break

    def _check(self, hours: Sequence[Hour]) -> None:
        """Find changes, and save them with their messages; nothing changes if they cannot be saved."""
        memory, of_the_devices = self._of_devices(self._memory)
        memory, of_the_hours = self._of_hours(memory, hours)
        for receiver in self._receivers:
            wanted = [each for each in (*of_the_devices, *of_the_hours) if receiver.channel.wants(each)]
            memory = memory.add(receiver.channel.destination, wanted, self._now(), self._new_id)
        if memory == self._memory or self._save(memory):
            self._memory, self._unseen = memory, []

    def _new_id(self) -> str:
        return str(uuid.UUID(int=self._rng.getrandbits(128), version=4))

    def _of_devices(self, memory: Memory) -> tuple[Memory, list[Change]]:
        now = self._now()
        held = {each.subject: each for each in memory.held if each.subject.kind != "threshold"}
        others = (each for each in memory.held if each.subject not in held)
        present = of_devices(read_devices(self._root), self._settings, now, self._wording)
        after, changes = step(held, present, now, timedelta(seconds=self._settings.hold_s))
        return replace(memory, held=(*others, *after.values())), changes

    def _of_hours(self, memory: Memory, hours: Sequence[Hour]) -> tuple[Memory, list[Change]]:
        """Return the changes that an hour brings which was not seen before."""
        needed = {each.name: each.hours for each in self._settings.thresholds}
        known = {
            each.subject: each
            for each in memory.held
            if each.subject.threshold is None or each.subject.threshold in needed
        }
        memory = replace(memory, held=tuple(known.values()))
        new = [hour for hour in hours if memory.last_hour is None or hour.start > memory.last_hour]
        if not new:
            return memory, []
        runs = {each.subject: each.hours for each in memory.runs}
        found = of_hours(new, self._settings, runs, self._wording)
        runs |= {subject: number for subject, (number, _) in found.items()}
        held = {subject: known.pop(subject) for subject in found if subject in known}
        present = {
            subject: texts for subject, (number, texts) in found.items() if number >= needed[str(subject.threshold)]
        }
        after, changes = step(held, present, self._now(), NO_HOLD)
        return replace(
            memory,
            held=(*known.values(), *after.values()),
            runs=tuple(
                Run(subject=subject, hours=number)
                for subject, number in runs.items()
                if number and subject.threshold in needed
            ),
            last_hour=max(hour.start for hour in new),
        ), changes

    def _deliver(self, receiver: _Receiver) -> bool:
        """Send the oldest message of a receiver, if it is due; return whether that was tried."""
        channel = receiver.channel
        waiting = self._memory.next_for(channel.destination)
        if waiting is None or time.monotonic() < receiver.not_before_s:
            return False
        now = self._now()
        if not waiting.is_tried:
            if timedelta(0) <= now - waiting.made < channel.gather:
                return False
            self._memory = self._memory.tried(waiting)
            self._save(self._memory)
        try:
            channel.send(waiting, now)
        except NotDelivered as error:
            self._postpone(receiver, error)
            return True
        receiver.failures, receiver.logged = 0, None
        _log.info(line("alert_delivered", to=channel.name, id=waiting.id))
        self._memory = self._memory.without(waiting.id)
        self._save(self._memory)
        return True

    def _postpone(self, receiver: _Receiver, error: NotDelivered) -> None:
        """Let a receiver pause, and all behind the same server if that is away."""
        pause_s = full_jitter(self._rng, receiver.failures, FIRST_PAUSE_S, LONGEST_PAUSE_S)
        receiver.failures += 1
        for each in self._receivers:
            if each is receiver or (error.is_away and each.channel.server == receiver.channel.server):
                each.not_before_s = time.monotonic() + pause_s
        if str(error) != receiver.logged:
            receiver.logged = str(error)
            _log.warning(line("alert_not_delivered", to=receiver.channel.name, reason=error))

    def _save(self, memory: Memory) -> bool:
        """Save what is remembered; False if it cannot be saved."""
        try:
            memory.save(self._path)
        except OSError as error:
            _log.warning(line("alerts_not_saved", file=self._path, reason=error.strerror or error))
            return False
        return True


def _channels(settings: Settings, zone: ZoneInfo) -> list[WebhookChannel | MailChannel]:
    """Return the ways to all receivers. Raises SettingsError if a secret, a file of [mail] or a language fails."""
    for webhook in settings.alerts.webhooks:
        webhook.secret()
    if settings.alerts.recipients:
        settings.mail.check_files()
    default = settings.page.language or SOURCE
    return [
        *(WebhookChannel(each) for each in settings.alerts.webhooks),
        *(
            MailChannel(settings.mail, each, language(each.language or default), zone)
            for each in settings.alerts.recipients
        ),
    ]


@contextmanager
def alerting(settings: Settings, stop: threading.Event, now: Callable[[], datetime]) -> Iterator[None]:
    """Tell receivers of changes while the context lasts. ``stop`` is set if that fails."""
    alerter = Alerter(settings, now, random.SystemRandom())
    with ThreadPoolExecutor(1) as thread:
        done = thread.submit(alerter.run, stop)
        done.add_done_callback(lambda _done: stop.set())
        try:
            yield
        finally:
            stop.set()
        done.result()
