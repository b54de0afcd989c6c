"""Run the collector's receiver in this process, make messages for it, and read what it has stored."""

import logging
import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path

from collector.receive.receiver import run, utc_now
from collector.settings import Broker, Limits, Settings, Store
from collector.store.load import load
from contract.message import Counts, Models, Privacy, encode
from contract.topics import topic
from tests.support.waiting import LIMIT_S

START = datetime(2026, 3, 28, 9, 0, tzinfo=timezone.utc)
BOOT, NEXT_BOOT = "0" * 15 + "1", "0" * 15 + "2"


def window(seq: int, site: str = "shop-1", device: str = "door", boot: str = BOOT) -> Counts:
    """Return the one-minute window number ``seq`` after START, with ``seq % 10`` happy visits."""
    start = START + timedelta(minutes=seq)
    return Counts(
        schema=1, site=site, device=device, boot=boot, seq=seq, start=start, end=start + timedelta(minutes=1),
        clock="synced", coverage=0.99, degraded=(), merged=1,
        visits={"happiness": seq % 10, "neutral": 1, "unknown": 0},
        privacy=Privacy(k=1), model=Models(detector="faces@0123456789ab", expression="seven@ba9876543210"),
    )  # fmt: skip


def counts_messages(numbers: range, **of: str) -> list[tuple[str, bytes]]:
    """Return topic and payload of the windows of these numbers."""
    windows = [window(number, **of) for number in numbers]
    return [(topic(each.site, each.device, "counts"), encode(each)) for each in windows]


def settings_for(root: Path, port: int, **broker: object) -> Settings:
    """Return settings for a store and a broker that accept windows of any date."""
    any_date = Limits(past_days=36_500, future_days=36_500)
    return Settings(broker=Broker(host="127.0.0.1", port=port, **broker), store=Store(root=str(root)), limits=any_date)


class LogEvent(logging.Handler):
    """Sets the event ``seen`` when a log message contains a text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text, self.seen = text, threading.Event()

    def emit(self, record: logging.LogRecord) -> None:
        if self.text in record.getMessage():
            self.seen.set()


@contextmanager
def receiving(
    settings: Settings, until: str | None = "topic=facetally/v1/+/+/health", now: Callable[[], datetime] = utc_now
) -> Iterator[None]:
    """Run a receiver in a thread, from the time at which its log contains ``until``.

    The default is logged when it has subscribed to all topics; None does not wait.
    """
    stop, log, listener = threading.Event(), logging.getLogger("collector"), LogEvent(until or "")
    thread = threading.Thread(target=run, args=(settings, stop), kwargs={"now": now, "rng": random.Random(1)})
    log.addHandler(listener)
    log.setLevel(logging.INFO)
    thread.start()
    try:
        assert until is None or listener.seen.wait(LIMIT_S)
        yield
    finally:
        stop.set()
        thread.join(LIMIT_S)
        log.removeHandler(listener)
    assert not thread.is_alive()


@contextmanager
def collecting(root: Path, port: int, writer: str = "collector", **broker: object) -> Iterator[None]:
    """Run a receiver with the default limits in a thread, from the time at which it has subscribed."""
    settings = Settings(
        broker=Broker(host="127.0.0.1", port=port, **broker), store=Store(root=str(root), writer=writer)
    )
    with receiving(settings):
        yield


def rows(root: Path) -> int:
    """Return the number of windows that `load` reads from a store."""
    return len(load(root)) if root.is_dir() else 0


def numbers(root: Path) -> list[int]:
    """Return the sequence numbers in the files of a store, sorted, repeats included."""
    lines = [line for path in root.glob("date=*/site=*/*.csv") for line in path.read_text().splitlines()[1:]]
    return sorted(int(line.split(",")[4]) for line in lines)


def stored(root: Path) -> Counter[int]:
    """Return how often each sequence number is in the files of a store."""
    return Counter(numbers(root))
