"""The errors of the collector, named for what is done about them.

FacetallyError
├── BadMessage
│   └── OverLimit  set aside and count: a good message, but beyond the bounds of its device
├── StoreFailed    acknowledge nothing, open the store again after a pause
└── StoreRefused   stop: the store cannot be used as it is, and says why (exit 1)
"""

from typing import Literal

from base.errors import FacetallyError
from contract.errors import BadMessage

Limit = Literal["messages", "bytes", "devices", "models", "dates"]
"""The bound that a message went beyond; see `collector.settings.Limits`."""


class OverLimit(BadMessage):
    """A message beyond a bound of its device."""

    def __init__(self, limit: Limit, reason: str) -> None:
        super().__init__(reason)
        self.limit: Limit = limit


class StoreFailed(FacetallyError):
    """Rows could not be brought to disk: it is full, gone or broken."""


class StoreRefused(FacetallyError):
    """A folder that cannot be written, or a writer's name in use."""
