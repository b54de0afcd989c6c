"""Publish hours and their description for Home Assistant on the receiver's connection; delete what is switched off."""

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Protocol

from base.logs import line
from collector.devices.device import Device
from collector.publish.discovery import discovery
from collector.publish.hour_process import HourProcess
from collector.publish.retained_topics import Publication, RetainedTopics
from collector.settings import Publish, Store
from contract.hour import encode_hour, hour_topic
from contract.message import Counts
from contract.topics import PREFIX

INTERVAL_S = 10.0
"""Time between two checks of what has changed."""

_log = logging.getLogger(__name__)


class Acknowledged(Protocol):
    """A message on its way to the broker."""

    def is_published(self) -> bool:
        """Whether the broker has acknowledged it."""


class Outlet(Protocol):
    """A connection on which messages can be published."""

    def publish_retained(self, messages: Iterable[Publication]) -> Sequence[Acknowledged]:
        """Publish messages at QoS 1, retained."""


class Publisher:
    """What one collector publishes for other programs. Does nothing if all is off and nothing is left to delete."""

    def __init__(self, settings: Publish, store: Store, now: Callable[[], datetime]) -> None:
        self._settings = settings
        self._hours = HourProcess(store, now) if settings.hours else None
        self._topics = RetainedTopics(store.path / f"retained{store.suffix}.json")
        self._deleting: dict[str, Acknowledged] = {}
        self._latest: dict[str, bytes] = {}
        self._checked_s: float | None = None

    def note(self, counts: Counts) -> None:
        """Take a window that was stored."""
        if self._hours:
            self._hours.note(counts.start, counts.end)

    def connected(self) -> None:
        """Begin with a new connection: everything is sent again."""
        self._checked_s = None
        self._deleting.clear()
        self._topics.forget_sent()

    def update(self, outlet: Outlet, devices: Callable[[], Iterable[Device]]) -> None:
        """Publish what has changed. To be called often; never waits."""
        if not self._settings.hours and not self._topics:
            return
        if self._hours:
            hours = self._hours.update()
            self._latest |= {hour_topic(hour.site, hour.device): encode_hour(hour) for hour in hours}
            if hours:
                self._checked_s = None
        now_s = time.monotonic()
        if self._checked_s is not None and now_s - self._checked_s < INTERVAL_S:
            return
        self._checked_s = now_s
        try:
            self._publish(outlet, devices)
        except OSError as error:
            _log.warning(line("not_published", reason=error.strerror or error))

    def stop(self) -> None:
        """Stop the process that sums up hours."""
        if self._hours:
            self._hours.stop()

    def _publish(self, outlet: Outlet, devices: Callable[[], Iterable[Device]]) -> None:
        """Publish what has changed and delete what is not wanted. Raises OSError if the topics cannot be saved."""
        done = {topic for topic, sent in self._deleting.items() if sent.is_published()}
        if done:
            self._topics.deleted(done)
            self._deleting = {topic: sent for topic, sent in self._deleting.items() if topic not in done}
        described = discovery(devices(), self._settings.prefix) if self._settings.home_assistant else {}
        outlet.publish_retained(self._topics.changed(self._latest | described))

        def is_stale(topic: str) -> bool:
            is_hour = topic.startswith(f"{PREFIX}/")
            return topic not in self._deleting and (not self._settings.hours if is_hour else topic not in described)

        deletions = self._topics.deletions(is_stale)
        for (topic, _), sent in zip(deletions, outlet.publish_retained(deletions), strict=True):
            self._deleting[topic] = sent
