"""A small HTTPS server with bounds: connections, bytes of a request, and time for each of its steps.

`http.server` reads requests; it has no limits itself. Each connection has a thread and a deadline, which moves only
when a request was answered. A client that sends or reads slowly therefore keeps its connection for `REQUEST_LIMIT_S`,
and not more than `MAX_PER_PEER` of them.
"""

import contextlib
import io
import logging
import socket
import ssl
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler
from socketserver import TCPServer, ThreadingMixIn
from typing import Any

from base.logs import line
from edge.aiming.web.addresses import Peers

log = logging.getLogger("edge.aiming.web")
MAX_CONNECTIONS, MAX_PER_PEER = 32, 8
"""Browsers open up to six connections to a server."""
MAX_REFUSED_LOGGED = 10
"""Addresses that are logged because they may not connect, each once."""
REQUEST_LIMIT_S = 6.0
"""Time for the TLS handshake, and for each request with its answer, seconds."""
MAX_REQUEST_BYTES = 1 << 16
"""Maximum size of a request with its header. A configuration's zones are far smaller."""


class HttpsServer(ThreadingMixIn, TCPServer):
    """Accepts connections of allowed peers, and answers each in a thread."""

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = MAX_CONNECTIONS

    def __init__(
        self, address: tuple[str, int], handler: type["BoundedRequestHandler"], context: ssl.SSLContext, peers: Peers
    ) -> None:
        """Listen on an IPv4 ``address`` and port. Raises OSError if that is impossible."""
        self.context, self._peers = context, peers
        self._open: Counter[str] = Counter()
        self._refused: set[str] = set()
        self._lock = threading.Lock()
        super().__init__(address, handler)

    def verify_request(self, _request: Any, client_address: Any) -> bool:
        """Whether the connection may be answered; one that may not is closed without a byte."""
        peer = client_address[0]
        if not self._peers.allows(peer):
            if peer not in self._refused and len(self._refused) < MAX_REFUSED_LOGGED:
                self._refused.add(peer)
                log.warning(line("peer_refused", peer=peer))
            return False
        with self._lock:
            if self._open[peer] >= MAX_PER_PEER or self._open.total() >= MAX_CONNECTIONS:
                return False
            self._open[peer] += 1
        return True

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answer the requests of a connection, then release its place."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            with self._lock:
                self._open[client_address[0]] -= 1

    def handle_error(self, _request: Any, client_address: Any) -> None:
        """Log an error that is not the client's."""
        log.exception(line("request_failed", peer=client_address[0]))


class BoundedRequestHandler(BaseHTTPRequestHandler):
    """Reads HTTP requests of one connection within the bounds; subclasses answer them."""

    protocol_version = "HTTP/1.1"
    error_content_type, error_message_format = "text/plain", "%(code)d %(message)s\n"
    server: HttpsServer
    _stream: "_TimedStream"

    def setup(self) -> None:
        """Wrap the connection in TLS; the handshake is part of the first request."""
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.connection = self.server.context.wrap_socket(
            self.request, server_side=True, do_handshake_on_connect=False, suppress_ragged_eofs=True
        )
        self._stream = _TimedStream(self.connection)
        self.rfile = io.BufferedReader(self._stream)
        self.wfile = io.BufferedWriter(self._stream)

    def handle(self) -> None:
        """Answer requests until the client leaves or a bound is reached."""
        try:
            self._stream.handshake()
            super().handle()
        except OSError:  # the client left, does not speak TLS, is too slow, or sent too much
            self.close_connection = True

    def handle_one_request(self) -> None:
        """Answer one request; its bounds begin anew."""
        self._stream.begin_request()
        super().handle_one_request()

    def finish(self) -> None:
        """Send the rest of an answer, and close the connection."""
        with contextlib.suppress(OSError):
            self.wfile.flush()
        self.connection.close()

    def version_string(self) -> str:
        """Say nothing about the server's version."""
        return "facetally-aim"

    def log_message(self, format: str, *args: Any) -> None:
        """Log no requests."""


class _TimedStream(io.RawIOBase):
    """Reads and writes a TLS connection until a deadline, and up to a number of bytes per request."""

    def __init__(self, connection: ssl.SSLSocket) -> None:
        self._connection = connection
        self.begin_request()

    def begin_request(self) -> None:
        """Start the time and the bytes of the next request."""
        self._deadline, self._left = time.monotonic() + REQUEST_LIMIT_S, MAX_REQUEST_BYTES

    def handshake(self) -> None:
        """Complete the TLS handshake."""
        self._set_timeout()
        self._connection.do_handshake()

    def readable(self) -> bool:
        """Always."""
        return True

    def writable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read what is there, at least a byte unless the client has left."""
        if self._left <= 0:
            raise ConnectionError("the request is too large")
        self._set_timeout()
        count = self._connection.recv_into(memoryview(buffer)[: self._left])
        self._left -= count
        return count

    def write(self, data: Any) -> int:
        """Write all of it."""
        view, sent = memoryview(data), 0
        while sent < len(view):
            self._set_timeout()
            sent += self._connection.send(view[sent:])
        return len(view)

    def _set_timeout(self) -> None:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("the client is too slow")
        self._connection.settimeout(left)
