"""What webhooks and mail addresses have in common: they take messages, or refuse them for now."""

from datetime import datetime, timedelta
from typing import Protocol

from collector.alerts.changes import Change
from collector.alerts.memory import Destination, Waiting


class NotDelivered(Exception):
    """The receiver did not take a message; try again."""

    def __init__(self, reason: str, *, is_away: bool) -> None:
        """``is_away`` says whether the server could not be reached, so that no other receiver behind it can be."""
        super().__init__(reason)
        self.is_away = is_away


class Channel(Protocol):
    """The way to one receiver."""

    @property
    def destination(self) -> Destination:
        """Names the receiver in the queue."""

    @property
    def name(self) -> str:
        """The receiver, for the log."""

    @property
    def server(self) -> str:
        """Host and port; receivers behind one server may share it."""

    @property
    def gather(self) -> timedelta:
        """How long a message waits for further changes."""

    def wants(self, change: Change) -> bool:
        """Whether a change concerns the receiver."""

    def send(self, waiting: Waiting, now: datetime) -> None:
        """Send a message. Raises NotDelivered."""
