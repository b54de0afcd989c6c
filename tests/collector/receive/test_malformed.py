"""Of ten thousand malformed messages none is stored, no valid message among them is lost, and memory stays flat."""

import json
import random
import resource
import tracemalloc
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import Phase, given, seed, settings

from collector.devices.registry import DeviceRegistry
from collector.receive.dead_letters import LETTERS_PER_HOUR, DeadLetters
from collector.receive.intake import Intake, ReceivedMessage
from collector.store.writer import StoreWriter
from contract.errors import BadMessage
from contract.message import Counts, decode, encode
from contract.topics import topic
from tests.support.brokers import free_port, mosquitto, needs_mosquitto, publish, wait_until
from tests.support.receiver import counts_messages, numbers, receiving, rows, settings_for
from tests.support.store import START, window

AT = topic("shop-1", "door", "counts")
GOOD = json.loads(encode(window(0)))
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@st.composite
def altered(draw: st.DrawFn) -> bytes:
    """Draw a valid message with a wrong value, a missing key, an extra key, a missing end, or a changed byte."""
    tree, kind = dict(GOOD), draw(st.sampled_from(["value", "without", "more", "cut", "byte"]))
    key = draw(st.sampled_from(sorted(tree)))
    if kind == "value":
        tree[key] = draw(anything)
    elif kind == "without":
        del tree[key]
    elif kind == "more":
        tree[draw(st.text(max_size=12))] = draw(anything)
    text = bytearray(json.dumps(tree).encode())
    if kind == "cut":
        del text[draw(st.integers(1, len(text) - 1)) :]
    elif kind == "byte":
        text[draw(st.integers(0, len(text) - 1))] = draw(st.integers(0, 255))
    return bytes(text)


def malformed(number: int) -> list[bytes]:
    """Return so many different payloads that are no window of shop-1/door, the same at every run.

    A tenth comes from hypothesis. The others are copies of these with up to four bytes changed.
    """
    found: dict[bytes, None] = {}
    rng = random.Random(1)

    @seed(1)
    @settings(max_examples=number // 10, database=None, deadline=None, phases=[Phase.generate])
    @given(st.binary(min_size=1, max_size=300) | anything.map(lambda value: json.dumps(value).encode()) | altered())
    def gather(payload: bytes) -> None:
        found[payload] = None

    gather()
    seeds = list(found)
    while len(found) < 2 * number:
        text = bytearray(rng.choice(seeds))
        for _ in range(rng.randint(1, 4)):
            text[rng.randrange(len(text))] = rng.randrange(256)
        found[bytes(text)] = None
    assert len(seeds) > number // 20
    return [payload for payload in found if not is_valid(payload)][:number]


def is_valid(payload: bytes) -> bool:
    """Whether a payload is a valid window of shop-1/door, as after the change of a digit."""
    try:
        return (counts := decode(payload, Counts)).site == "shop-1" and counts.device == "door"
    except BadMessage:
        return False


@pytest.fixture(scope="module")
def bad() -> list[bytes]:
    return malformed(10_000)


@needs_mosquitto
def test_valid_messages_among_malformed_ones_are_stored(tmp_path: Path, bad: list[bytes]) -> None:
    """With ten malformed messages after every valid one, through a real broker, the store holds exactly the valid ones.

    The dead letters are bounded.
    """
    port, root = free_port(), tmp_path / "store"
    good = counts_messages(range(1000))
    mixed = [
        each for at in range(1000) for each in [good[at], *((AT, payload) for payload in bad[10 * at : 10 * at + 10])]
    ]
    with mosquitto(tmp_path, port), receiving(settings_for(root, port)):
        publish(port, mixed)
        wait_until(lambda: rows(root) == 1000, "all valid messages are stored")
    assert numbers(root) == list(range(1000))
    text = "".join(path.read_text() for path in root.glob("dead-letters*.jsonl"))
    assert text.count("\n") == LETTERS_PER_HOUR, "the others of the device are only counted"
    assert all(json.loads(line)["reason"] for line in text.splitlines())
    assert sum(path.stat().st_size for path in root.glob("dead-letters*")) <= 2 * 8 * 2**20


def test_memory_stays_flat(tmp_path: Path, bad: list[bytes], caplog: pytest.LogCaptureFixture) -> None:
    """The second five thousand messages need no more memory than the first, whatever their topics are."""
    caplog.set_level("ERROR", "collector.receive.intake")  # pytest keeps every log line

    def groups(part: list[bytes]) -> Iterator[list[ReceivedMessage]]:
        for at in range(0, len(part), 100):
            yield [
                ReceivedMessage(
                    AT if number % 2 else f"facetally/v1/site-{at + number}/d/{'x' * (number % 9)}", payload
                )
                for number, payload in enumerate(part[at : at + 100])
            ]

    with StoreWriter(tmp_path, "w") as store:
        intake = Intake(store, DeviceRegistry(tmp_path), DeadLetters(tmp_path, 64 * 1024))
        now = START + timedelta(days=1)
        tracemalloc.start()
        for group in groups(bad[:5000]):
            intake.process(group, now)
        before = tracemalloc.get_traced_memory()[0]
        resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for group in groups(bad[5000:]):
            intake.process(group, now)
        grown = tracemalloc.get_traced_memory()[0] - before
        tracemalloc.stop()
    assert intake.totals.set_aside == 10_000
    assert intake.totals.rows == 0
    assert grown < 200_000
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - resident < 30_000, "KiB"
    assert sum(path.stat().st_size for path in tmp_path.glob("dead-letters*")) <= 2 * 64 * 1024
