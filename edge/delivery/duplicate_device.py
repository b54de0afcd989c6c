"""Detect a second device with the same site and device id, from the boots seen on the shared status topic."""

from dataclasses import dataclass, field

CONNECTIONS = 3
"""Another boot seen in this many connections of ours belongs to another device."""
MAX_BOOTS = 16
"""Number of boots that are remembered."""


@dataclass(slots=True)
class DuplicateDeviceDetector:
    """Tells an earlier start of this device from another device with its ids, such as a copied card.

    An earlier start is seen once, in a retained status or a late will. Another device takes over the session again and
    again, and is therefore seen in several of our connections.
    """

    _connections: dict[str, set[int]] = field(default_factory=dict)

    def observe(self, boot: str, connection: int) -> bool:
        """Note another boot, seen in our connection of this number. True once, when it proves to be another device."""
        connections = self._connections.setdefault(boot, set())
        new = len(connections) < CONNECTIONS and connection not in connections
        if new:
            connections.add(connection)
        while len(self._connections) > MAX_BOOTS:
            del self._connections[next(iter(self._connections))]
        return new and len(connections) == CONNECTIONS
