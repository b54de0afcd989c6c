"""Spooled messages -> a stream, where there is no broker."""

from dataclasses import dataclass
from typing import TextIO

from contract.message import Health
from edge.delivery.rate_limit import IN_FLIGHT
from edge.delivery.spool import Spool


@dataclass(slots=True)
class Printer:
    """In place of a broker: messages go to a stream, one JSON a line."""

    stream: TextIO

    def pump(self, spool: Spool) -> None:
        """Write what waits."""
        while rows := spool.waiting(0, IN_FLIGHT):
            self.stream.writelines(payload.decode() + "\n" for _, payload in rows)
            self.stream.flush()
            spool.delete([number for number, _ in rows])

    def health(self, health: Health) -> None:
        """Not printed: the stream is for counts."""

    def close(self) -> None:
        """Nothing to hang up."""
