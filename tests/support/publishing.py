"""A publisher with its spool, driven as the daemon drives it, and a client that listens at the broker."""

import random
import threading
from collections.abc import Callable
from contextlib import contextmanager

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from contract.message import Counts, Status, decode
from edge.delivery.publish import Identity, Publisher
from edge.delivery.spool import opened
from edge.settings import BrokerSettings
from tests.support.brokers import LIMIT_S, wait_until
from tests.support.fakes import MODEL, counts

BOOT, OTHER_BOOT = "1" * 16, "2" * 16
ME = Identity("shop-1", "door", BOOT)
ABOUT = "facetally/v1/shop-1/door"


class AtOnce(random.Random):
    """Random numbers at the lower bound, so that no back-off waits."""

    def uniform(self, a: float, b: float) -> float:
        return a


class Device:
    """A publisher and its spool, pumped as by the daemon's loop."""

    def __init__(self, publisher, spool):
        self.publisher, self.spool = publisher, spool

    def until(self, fact: Callable[[], bool], what: str, within_s: float = LIMIT_S) -> None:
        """Pump until ``fact`` is true; fail with ``what`` after ``within_s``."""

        def pumped() -> bool:
            self.publisher.pump(self.spool)
            return fact()

        wait_until(pumped, what, within_s)

    def sends_all(self) -> None:
        """Pump until the spool is empty."""
        self.until(lambda: self.spool.depth() == 0, "all windows are acknowledged")

    def connects(self) -> None:
        """Pump until the publisher is connected."""
        self.until(lambda: self.publisher.connected, "connected")


@contextmanager
def device(folder, port, windows=0, again_s=60.0, **settings):
    """Yield a device with ``windows`` windows to send to a broker; by default the broker's PUBACK confirms them."""
    with opened(folder / "spool.sqlite", 10_000) as spool:
        for minute in range(windows):
            spool.add(counts(minute, 6))
        settings = {"host": "127.0.0.1", "port": port, "confirm": "broker"} | settings
        publisher = Publisher(BrokerSettings(**settings), ME, MODEL, AtOnce(), again_s)
        try:
            yield Device(publisher, spool)
        finally:
            publisher.close()


@contextmanager
def listening(port, levels="#", **login):
    """Subscribe, and yield the list of messages received so far: topic, payload, and whether it was retained."""
    received, subscribed = [], threading.Event()
    client = Client(CallbackAPIVersion.VERSION2)
    client.on_connect = lambda *_: client.subscribe(f"facetally/v1/{levels}", qos=1)
    client.on_subscribe = lambda *_: subscribed.set()
    client.on_message = lambda _c, _u, message: received.append((message.topic, message.payload, message.retain))
    if login:
        client.username_pw_set(**login)
    client.connect("127.0.0.1", port)
    client.loop_start()
    assert subscribed.wait(LIMIT_S)
    try:
        yield received
    finally:
        client.disconnect()
        client.loop_stop()


def states(received):
    """Return state and boot id of the statuses received, in order."""
    statuses = [decode(payload, Status) for topic, payload, _ in received if topic == f"{ABOUT}/status"]
    return [(status.state, status.boot) for status in statuses]


def minutes(received):
    """Return the minutes of the windows received, in order."""
    windows = [decode(payload, Counts) for topic, payload, _ in received if topic == f"{ABOUT}/counts"]
    return [round((window.start - counts(0).start).total_seconds() / 60) for window in windows]


def retained(port, kind):
    """Return the retained message of a kind, once there is one."""
    payloads = []

    def arrived() -> bool:
        with listening(port, f"shop-1/door/{kind}") as received:
            wait_until(lambda: bool(received), f"a {kind}")
        payloads.extend(payload for _, payload, is_retained in received if is_retained)
        return bool(payloads)

    wait_until(arrived, f"a retained {kind}")
    return payloads[-1]
