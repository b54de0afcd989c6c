"""A publisher with its spool, as the daemon's loop drives it, and somebody who listens at the broker."""

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
from tests.support.brokers import wait_until
from tests.support.fakes import MODEL, counts

BOOT, OTHER_BOOT = "1" * 16, "2" * 16
ME = Identity("shop-1", "door", BOOT)
ABOUT = "facetally/v1/shop-1/door"


class AtOnce(random.Random):
    """Chance that never waits."""

    def uniform(self, a: float, b: float) -> float:
        return a


class Device:
    """A publisher and its spool, pumped as the daemon's loop does."""

    def __init__(self, publisher, spool):
        self.publisher, self.spool = publisher, spool

    def until(self, fact: Callable[[], bool], what: str, within_s: float = 30.0) -> None:
        def pumped() -> bool:
            self.publisher.pump(self.spool)
            return fact()

        wait_until(pumped, what, within_s)

    def sends_all(self) -> None:
        self.until(lambda: self.spool.depth() == 0, "all windows are acknowledged")

    def connects(self) -> None:
        self.until(lambda: self.publisher.connected, "connected")


@contextmanager
def device(folder, port, windows=0, again_s=60.0, **settings):
    """A device that has so many windows to send to the broker on a port; no collector confirms them unless asked."""
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
    """What somebody hears who subscribes: topic, payload and whether it was retained."""
    heard, there = [], threading.Event()
    client = Client(CallbackAPIVersion.VERSION2)
    client.on_connect = lambda *_: client.subscribe(f"facetally/v1/{levels}", qos=1)
    client.on_subscribe = lambda *_: there.set()
    client.on_message = lambda _c, _u, message: heard.append((message.topic, message.payload, message.retain))
    if login:
        client.username_pw_set(**login)
    client.connect("127.0.0.1", port)
    client.loop_start()
    assert there.wait(10)
    try:
        yield heard
    finally:
        client.disconnect()
        client.loop_stop()


def states(heard):
    statuses = [decode(payload, Status) for topic, payload, _ in heard if topic == f"{ABOUT}/status"]
    return [(status.state, status.boot) for status in statuses]


def minutes(heard):
    """The minutes of the windows heard, in order."""
    windows = [decode(payload, Counts) for topic, payload, _ in heard if topic == f"{ABOUT}/counts"]
    return [round((window.start - counts(0).start).total_seconds() / 60) for window in windows]


def retained(port, kind):
    """What a newcomer is told, once there is anything to tell."""
    told = []

    def newcomer() -> bool:
        with listening(port, f"shop-1/door/{kind}") as heard:
            wait_until(lambda: bool(heard), f"a {kind}")
        told.extend(payload for _, payload, is_retained in heard if is_retained)
        return bool(told)

    wait_until(newcomer, f"a retained {kind}")
    return told[-1]
