"""What a spool holds that may be sent."""

from contract.message import Counts, decode

MANY = 100_000


def ready(spool):
    """All messages that may be sent, oldest first."""
    return [decode(payload, Counts) for _, payload in spool.waiting(0, MANY)]


def happy_in(messages):
    return [message.visits["happiness"] for message in messages]


def happy(spool):
    return happy_in(ready(spool))
