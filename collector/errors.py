"""Errors of the collector, named for what is done about them.

::

    base.errors.FacetallyError
    ├── contract.errors.BadMessage
    │   └── OverLimit    count the message and set it aside: valid, but beyond a limit of its device
    ├── StoreFailed      acknowledge nothing, reopen the store after a pause
    ├── StoreRefused     stop (exit code 1): the store cannot be used as it is
    ├── StoreUnreadable  stop (exit code 1): a part of the store cannot be read, and the rest was used
    └── SyncFailed       try again after a pause, or stop (exit code 1): PostgreSQL refuses, or is away
        └── SyncRefused  stop (exit code 1): the tables are of a newer version
"""

from typing import Literal

from base.errors import FacetallyError
from contract.errors import BadMessage

Limit = Literal["messages", "bytes", "devices", "models", "dates"]
"""The limit that a message exceeds; see `collector.settings.Limits`."""


class OverLimit(BadMessage):
    """A valid message that exceeds a limit of its device."""

    def __init__(self, limit: Limit, reason: str) -> None:
        super().__init__(reason)
        self.limit: Limit = limit


class StoreFailed(FacetallyError):
    """Rows cannot be written: the disk is full, missing or broken."""


class StoreRefused(FacetallyError):
    """The folder of the store cannot be written, or another process uses the writer's name."""


class StoreUnreadable(FacetallyError):
    """Files or folders of the store that the system does not let us read are missing in the result."""


class SyncFailed(FacetallyError):
    """PostgreSQL is away or refuses what the synchronisation needs. What was not committed is sent again."""


class SyncRefused(SyncFailed):
    """The tables in PostgreSQL were made by a newer version."""
