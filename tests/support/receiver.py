"""A collector's receiver in this process, the messages that it is sent, and what it has stored."""

import logging
import random
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path

from collector.receive.receiver import run
from collector.settings import Broker, Limits, Settings, Store
from collector.store.load import load
from contract.message import Counts, Models, Privacy, encode
from contract.topics import topic
from tests.support.brokers import wait_until
from tests.support.fakes import lines_of

START = datetime(2026, 3, 28, 9, 0, tzinfo=timezone.utc)
BOOT, NEXT_BOOT = "0" * 15 + "1", "0" * 15 + "2"


def window(seq: int, site: str = "shop-1", device: str = "door", boot: str = BOOT) -> Counts:
    """The one-minute window of this number, with as many happy visits as its number's last digit."""
    start = START + timedelta(minutes=seq)
    return Counts(
        schema=1, site=site, device=device, boot=boot, seq=seq, start=start, end=start + timedelta(minutes=1),
        clock="synced", coverage=0.99, degraded=(), merged=1,
        visits={"happiness": seq % 10, "neutral": 1, "unknown": 0},
        privacy=Privacy(k=1), model=Models(detector="faces@0123456789ab", expression="seven@ba9876543210"),
    )  # fmt: skip


def counts_messages(numbers: range, **of: str) -> list[tuple[str, bytes]]:
    windows = [window(number, **of) for number in numbers]
    return [(topic(each.site, each.device, "counts"), encode(each)) for each in windows]


def settings_for(root: Path, port: int, **broker: object) -> Settings:
    any_time = Limits(past_days=36_500, future_days=36_500)  # the windows of tests have fixed dates
    return Settings(broker=Broker(host="127.0.0.1", port=port, **broker), store=Store(root=str(root)), limits=any_time)


class Heard(logging.Handler):
    """Knows when the receiver's log has said a word."""

    def __init__(self, word: str) -> None:
        super().__init__()
        self.word, self.said = word, threading.Event()

    def emit(self, record: logging.LogRecord) -> None:
        if self.word in record.getMessage():
            self.said.set()


@contextmanager
def receiving(settings: Settings, until: str | None = "topic=facetally/v1/+/+/health") -> Iterator[None]:
    """A receiver in a thread of this process, from when its log has said so, which is when it has subscribed to all."""
    stop, log, listener = threading.Event(), logging.getLogger("collector"), Heard(until or "")
    thread = threading.Thread(target=run, args=(settings, stop), kwargs={"jitter": random.Random(1)})
    log.addHandler(listener)
    log.setLevel(logging.INFO)
    thread.start()
    try:
        assert until is None or listener.said.wait(60)
        yield
    finally:
        stop.set()
        thread.join(15)
        log.removeHandler(listener)
    assert not thread.is_alive()


@contextmanager
def collecting(root, port, writer="collector", **broker):
    """A collector, from when it has subscribed to all."""
    stop = threading.Event()
    chosen = Broker(host="127.0.0.1", port=port, **broker)
    settings = Settings(broker=chosen, store=Store(root=str(root), writer=writer))
    thread = threading.Thread(target=run, args=(settings, stop))
    with lines_of("collector.receive.connection") as said:
        thread.start()
        try:
            wait_until(lambda: any("+/health" in line for line in said), "subscribed")
            yield
        finally:
            stop.set()
            thread.join(20)


def rows(root: Path) -> int:
    return len(load(root)) if root.is_dir() else 0


def numbers(root: Path) -> list[int]:
    """The sequence numbers in the files as they are, repeats and all."""
    lines = [line for path in root.glob("date=*/site=*/*.csv") for line in path.read_text().splitlines()[1:]]
    return sorted(int(line.split(",")[4]) for line in lines)


def stored(root):
    """How often each window is in the files."""
    lines = [line for path in root.glob("date=*/site=*/*.csv") for line in path.read_text().splitlines()[1:]]
    return Counter(int(line.split(",")[4]) for line in lines)
