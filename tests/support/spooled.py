"""Read what a spool holds, as messages."""

from contract.message import Counts, decode
from edge.delivery.spool import Spool

MANY = 100_000


def ready(spool: Spool) -> list[Counts]:
    """All messages that may be sent, oldest first."""
    return [decode(payload, Counts) for _, payload in spool.waiting(0, MANY)]


def happy_in(messages: list[Counts]) -> list[int]:
    """Number of ``happiness`` visits of each message."""
    return [message.visits["happiness"] for message in messages]


def happy(spool: Spool) -> list[int]:
    """Number of ``happiness`` visits of each message that may be sent."""
    return happy_in(ready(spool))
