"""Stand-in for the broker: print spooled messages to a stream, one JSON object a line."""

from dataclasses import dataclass
from typing import TextIO

from contract.health import Health
from contract.message import Shadow
from edge.delivery.rate_limit import IN_FLIGHT
from edge.delivery.spool import Spool


@dataclass(slots=True)
class Printer:
    """Takes the place of `edge.delivery.publish.Publisher`."""

    stream: TextIO
    acknowledged: int = 0
    connected: bool = True

    def pump(self, spool: Spool) -> None:
        """Print all waiting messages and delete them from the spool."""
        while rows := spool.waiting(0, IN_FLIGHT):
            self.stream.writelines(payload.decode() + "\n" for _, payload in rows)
            self.stream.flush()
            spool.delete([number for number, _ in rows])

    def health(self, health: Health) -> None:
        """Do nothing: only counts are printed."""

    def shadow(self, shadow: Shadow | None) -> None:
        """Do nothing, as `health`."""

    def close(self) -> None:
        """Do nothing: there is no connection."""
