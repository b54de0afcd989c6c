"""A slow connection, or one that is cut in the middle of a message, loses nothing and does not block the daemon."""

import random
import socket
import time
from contextlib import ExitStack, contextmanager

from benchmarks.faults.tcp_proxy import tcp_proxy
from edge.delivery.broker_link import LONGEST_WAIT_S, UNACKNOWLEDGED_LIMIT_MS
from edge.delivery.publish import Identity, Publisher
from edge.delivery.spool import opened
from edge.settings import BrokerSettings
from tests.support.brokers import free_port, mosquitto, needs_mosquitto, wait_until
from tests.support.fakes import MODEL, counts
from tests.support.publishing import listening, minutes

pytestmark = needs_mosquitto
ME = Identity("shop-1", "door", "1" * 16)


@contextmanager
def sending(folder, port, windows):
    """Yield a spool with this many windows, its publisher, and a function that pumps until a condition holds."""
    with opened(folder / "spool.sqlite", 1000) as spool:
        for minute in range(windows):
            spool.add(counts(minute, 6))
        publisher = Publisher(
            BrokerSettings(host="127.0.0.1", port=port, confirm="broker"), ME, MODEL, random.Random(1)
        )

        def until(fact, what):
            wait_until(lambda: (publisher.pump(spool), fact())[1], what, 60.0)

        try:
            yield spool, publisher, until
        finally:
            publisher.close()


def test_cut_in_the_middle_of_messages_every_window_arrives(tmp_path):
    """The connection is cut inside a message six times while a backlog is sent; all hundred windows arrive."""
    port, rng = free_port(), random.Random(5)
    with ExitStack() as stack:
        stack.enter_context(mosquitto(tmp_path, port))
        received = stack.enter_context(listening(port, "+/+/counts"))
        carried = stack.enter_context(tcp_proxy(port, rng))
        spool, publisher, until = stack.enter_context(sending(tmp_path, carried.port, 100))
        for _ in range(6):
            until(lambda: publisher.connected, "connected")
            before = len(received)
            until(lambda before=before: len(received) > before or spool.depth() == 0, "something is sent")
            carried.cut()
            until(lambda: not publisher.connected, "lost")
            carried.restore()
        until(lambda: spool.depth() == 0, "all sent")
        wait_until(lambda: set(minutes(received)) == set(range(100)), "all received")


def test_a_slow_broker_does_not_block_the_daemon(tmp_path):
    """With a delay of 0.3 s each way all windows arrive, and no call in the daemon's loop waits for an answer."""
    port = free_port()
    with ExitStack() as stack:
        stack.enter_context(mosquitto(tmp_path, port))
        received = stack.enter_context(listening(port, "+/+/counts"))
        carried = stack.enter_context(tcp_proxy(port, random.Random(5)))
        carried.delay_s = 0.3
        spool, publisher, _ = stack.enter_context(sending(tmp_path, carried.port, 60))
        calls, begin = 0, time.monotonic()
        while spool.depth():
            publisher.pump(spool)
            calls += 1
            time.sleep(0.01)
            assert calls < 10_000, "nothing arrives"
        assert calls > (time.monotonic() - begin) / 0.3  # a loop that waits for answers is slower
        wait_until(lambda: set(minutes(received)) == set(range(60)), "all received")


def test_a_dead_connection_is_closed(tmp_path):
    """The kernel closes a connection on which nothing is acknowledged; with the longest back-off a broker that is back
    is noticed within half a minute."""
    port = free_port()
    with mosquitto(tmp_path, port), sending(tmp_path, port, 0) as (_, publisher, until):
        until(lambda: publisher.connected, "connected")
        set_to = publisher.link.client.socket().getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
    assert set_to == UNACKNOWLEDGED_LIMIT_MS
    assert LONGEST_WAIT_S <= 20
