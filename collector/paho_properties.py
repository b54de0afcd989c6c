"""paho's ``Properties``, quicker: every PUBLISH of MQTT 5 brings one, nearly always empty.

paho 2.1 and 2.2 fill five tables in each and ask it for 27 attributes before they read it, which takes as long as all
else that they do with a message. Here the tables are filled once, and an empty list is told by its first byte.
"""

from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

KIND = "packetType"
"""All that a new one has of its own; the rest is the same in each."""


def quicken() -> None:
    """Have paho's class hold its tables, in this process. What it reads, says and refuses stays as it was.

    A paho that fills no equal tables in each is left alone, and so is one that has been quickened.
    """
    one, other = (vars(Properties(kind)) for kind in (PacketTypes.PUBLISH, PacketTypes.CONNECT))  # type: ignore[no-untyped-call]
    tables = {name: table for name, table in one.items() if name != KIND}
    if KIND not in one or not tables or tables != {name: table for name, table in other.items() if name != KIND}:
        return
    read = Properties.unpack

    def begin(self: Properties, kind: int) -> None:
        object.__setattr__(self, KIND, kind)

    def unpack(self: Properties, data: bytes) -> tuple[Properties, int]:
        if data[:1] == b"\0" and len(vars(self)) == 1:
            return self, 1
        whole: tuple[Properties, int] = read(self, data)  # type: ignore[no-untyped-call]
        return whole

    for name, value in {**tables, "__init__": begin, "unpack": unpack}.items():
        setattr(Properties, name, value)
