"""Forward TCP connections to a broker, with added delay, or cut in the middle of a message."""

import contextlib
import random
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

CHUNK_BYTES = 4096


class TcpProxy:
    """A port that forwards to the broker's port.

    ``delay_s`` delays each chunk. `cut` breaks all connections and refuses new ones until `restore`.
    """

    def __init__(self, broker_port: int, rng: random.Random) -> None:
        self._broker_port, self._rng = broker_port, rng
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._is_cut = False
        self.delay_s = 0.0
        self.port = int(self._listener.getsockname()[1])

    def cut(self) -> None:
        """Forward a random part of the next chunk of each connection, then close it."""
        self._is_cut = True
        with self._lock:
            connections = list(self._open)
        for connection in connections:
            _shut_down(connection)

    def restore(self) -> None:
        """Accept connections again."""
        self._is_cut = False

    def serve(self) -> None:
        """Accept and forward connections until the listening socket is closed."""
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                try:
                    broker = None if self._is_cut else socket.create_connection(("127.0.0.1", self._broker_port), 1.0)
                except OSError:
                    broker = None
                if broker is None:
                    client.close()
                    continue
                broker.settimeout(None)
                for pair in ((client, broker), (broker, client)):
                    threading.Thread(target=self._forward, args=pair, daemon=True).start()

    def close(self) -> None:
        """Break all connections and stop listening."""
        self.cut()
        _shut_down(self._listener)
        self._listener.close()

    def _forward(self, source: socket.socket, target: socket.socket) -> None:
        with self._lock:
            self._open.add(source)
        with contextlib.suppress(OSError):
            while chunk := source.recv(CHUNK_BYTES):
                time.sleep(self.delay_s)
                if self._is_cut:
                    target.sendall(chunk[: self._rng.randrange(len(chunk))])
                    break
                target.sendall(chunk)
        with self._lock:
            self._open.discard(source)
        for connection in (source, target):
            _shut_down(connection)
        source.close()


def _shut_down(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


@contextmanager
def tcp_proxy(broker_port: int, rng: random.Random) -> Iterator[TcpProxy]:
    """Run a proxy in a thread for the duration of the block."""
    proxy = TcpProxy(broker_port, rng)
    thread = threading.Thread(target=proxy.serve, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        proxy.close()
        thread.join(5)
