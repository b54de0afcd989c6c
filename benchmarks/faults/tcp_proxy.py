"""Bytes between a client and the broker, carried, slowed down, or cut in the middle of a message."""

import contextlib
import random
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

PIECE = 4096


class Wire:
    """A port of its own before the broker's. ``slow_s``: how long each piece waits; ``cut`` ends what is under way and
    refuses what comes, until ``mend``.
    """

    def __init__(self, broker_port: int, chance: random.Random) -> None:
        self._broker_port, self._chance = broker_port, chance
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._is_cut = False
        self.slow_s = 0.0
        self.port = int(self._listening.getsockname()[1])

    def cut(self) -> None:
        """Let a part of the next piece through, and close."""
        self._is_cut = True
        with self._lock:
            under_way = list(self._open)
        for end in under_way:
            _shut(end)

    def mend(self) -> None:
        """Carry again."""
        self._is_cut = False

    def serve(self) -> None:
        """Until the listening port is closed."""
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                try:
                    broker = None if self._is_cut else socket.create_connection(("127.0.0.1", self._broker_port), 1.0)
                except OSError:
                    broker = None
                if broker is None:
                    client.close()
                    continue
                broker.settimeout(None)
                for pair in ((client, broker), (broker, client)):
                    threading.Thread(target=self._carry, args=pair, daemon=True).start()

    def close(self) -> None:
        """End everything."""
        self.cut()
        _shut(self._listening)
        self._listening.close()

    def _carry(self, source: socket.socket, sink: socket.socket) -> None:
        with self._lock:
            self._open.add(source)
        with contextlib.suppress(OSError):
            while piece := source.recv(PIECE):
                time.sleep(self.slow_s)
                if self._is_cut:
                    sink.sendall(piece[: self._chance.randrange(len(piece))])
                    break
                sink.sendall(piece)
        with self._lock:
            self._open.discard(source)
        for end in (source, sink):
            _shut(end)
        source.close()


def _shut(end: socket.socket) -> None:
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)


@contextmanager
def wire(broker_port: int, chance: random.Random) -> Iterator[Wire]:
    """A wire to the broker, as long as the block lasts."""
    carried = Wire(broker_port, chance)
    thread = threading.Thread(target=carried.serve, daemon=True)
    thread.start()
    try:
        yield carried
    finally:
        carried.close()
        thread.join(5)
