"""Read the messages of a spool that are ready to be sent."""

from contract.message import Counts, decode

MANY = 100_000
"""More messages than any test puts into a spool."""


def ready(spool):
    """Return all messages that may be sent, oldest first."""
    return [decode(payload, Counts) for _, payload in spool.waiting(0, MANY)]


def happy_in(messages):
    """Return the happy visits of each message."""
    return [message.visits["happiness"] for message in messages]


def happy(spool):
    """Return the happy visits of each message that may be sent, oldest first."""
    return happy_in(ready(spool))
