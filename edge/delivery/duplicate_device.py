"""Boots heard of on our own status -> whether another unit lives that has our name."""

from dataclasses import dataclass, field

DOUBLE, MOST = 3, 16
"""Another boot heard of in so many of our connections is another unit; so many boots are remembered."""


@dataclass(slots=True)
class DuplicateDeviceDetector:
    """An old start of ours is heard of once; who is heard of in several of our connections lives, and has our name: a
    card that was copied.
    """

    _heard: dict[str, set[int]] = field(default_factory=dict)

    def heard(self, boot: str, connection: int) -> bool:
        """Another boot was heard of in this connection of ours, by number; True once, when it is known to live."""
        connections = self._heard.setdefault(boot, set())
        new = len(connections) < DOUBLE and connection not in connections
        if new:
            connections.add(connection)
        while len(self._heard) > MOST:
            del self._heard[next(iter(self._heard))]
        return new and len(connections) == DOUBLE
