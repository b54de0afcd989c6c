"""A collector's receipts: what a device may take for delivered, in bounded messages, whatever is stored."""

import json
from pathlib import Path

import msgspec
import pytest

from collector.receive.receipts import Receipts
from contract.errors import BadMessage, TopicError
from contract.message import MAX_BYTES
from contract.receipt import (
    MAX_BOOTS,
    MAX_RUNS,
    Stored,
    decode_receipt,
    encode_receipt,
    stored_filter,
    stored_topic,
)
from tests.support.fakes import counts

GOLDEN = Path(__file__).parents[2] / "golden" / "stored-1.json"
ONE, TWO = "1" * 16, "2" * 16


def told(receipts: Receipts, most: int = 100) -> list[tuple[str, dict[str, list[list[int]]]]]:
    """Topic and boots of the receipts that are due."""
    return [(name, json.loads(payload)["boots"]) for name, payload in receipts.take(most)]


def test_bytes_are_those_of_the_golden_file() -> None:
    """A receipt is what it was in the first release, and reads back as itself."""
    receipt = Stored(schema=1, boots={ONE: ((0, 41), (43, 43)), TWO: ()})
    assert encode_receipt(receipt) + b"\n" == GOLDEN.read_bytes()
    assert decode_receipt(GOLDEN.read_bytes()) == receipt
    assert [receipt.holds(ONE, seq) for seq in (0, 41, 42, 43, 44)] == [True, True, False, True, False]
    assert not receipt.holds(TWO, 0)


@pytest.mark.parametrize(
    ("payload", "says"),
    [
        (b"", "truncated"),
        (b'{"schema":2,"boots":{}}', r"\$\.schema"),
        (b'{"schema":1,"boots":{},"all":true}', "all"),
        (b'{"schema":1,"boots":{"x":[]}}', "boots"),
        (b'{"schema":1,"boots":{"1111111111111111":[[3,2]]}}', "first <= last"),
        (b'{"schema":1,"boots":{"1111111111111111":[[-1,2]]}}', ">= 0"),
        (b'{"schema":1,"boots":{"1111111111111111":[[0,1e999]]}}', "stored"),
        (msgspec.json.encode({"schema": 1, "boots": {ONE: [[n, n] for n in range(MAX_RUNS + 1)]}}), "boots"),
        (msgspec.json.encode({"schema": 1, "boots": {f"{n:016x}": [] for n in range(MAX_BOOTS + 1)}}), "boots"),
        (b" " * (MAX_BYTES + 1), "at most"),
    ],
)
def test_what_is_no_receipt_is_a_bad_message(payload: bytes, says: str) -> None:
    """Nothing is deleted for a message that is not exactly a receipt."""
    with pytest.raises(BadMessage, match=says):
        decode_receipt(payload)


def test_topics_of_receipts() -> None:
    """One topic a collector, one filter a device; ids are checked as everywhere."""
    assert stored_topic("shop-1", "door", "collector") == "facetally/v1/shop-1/door/stored/collector"
    assert stored_filter("shop-1", "door") == "facetally/v1/shop-1/door/stored/+"
    with pytest.raises(TopicError, match="writer"):
        stored_topic("shop-1", "door", "+")


def test_each_device_is_told_its_own_windows_once() -> None:
    """Runs of numbers by boot; nothing more is due afterwards, and repeats are told again."""
    receipts = Receipts("collector")
    for seq in (0, 1, 2, 5):
        receipts.note(counts(boot=ONE, seq=seq))
    receipts.note(counts(boot=TWO, seq=7, device="till"))
    assert told(receipts) == [
        ("facetally/v1/shop-1/door/stored/collector", {ONE: [[0, 2], [5, 5]]}),
        ("facetally/v1/shop-1/till/stored/collector", {TWO: [[7, 7]]}),
    ]
    assert told(receipts) == []
    receipts.note(counts(boot=ONE, seq=1))
    assert told(receipts) == [("facetally/v1/shop-1/door/stored/collector", {ONE: [[0, 2], [5, 5]]})]


def test_a_greeting_is_a_receipt_of_what_is_known() -> None:
    """An empty one of a device that is new here."""
    receipts = Receipts("collector")
    receipts.greet("shop-1", "door")
    assert told(receipts) == [("facetally/v1/shop-1/door/stored/collector", {})]


def test_nothing_is_left_out_where_there_is_much_to_tell() -> None:
    """Ten boots and hundreds of runs at once: several receipts, none too long, all numbers named."""
    receipts, wanted = Receipts("collector"), set()
    for boot in range(10):
        for seq in range(0, 2000 if boot == 3 else 20, 2):
            wanted.add((f"{boot:016x}", seq))
            receipts.note(counts(boot=f"{boot:016x}", seq=seq))
    payloads = [payload for _, payload in receipts.take(1)]
    assert all(len(payload) <= MAX_BYTES for payload in payloads)
    found = [decode_receipt(payload) for payload in payloads]
    assert {(boot, seq) for boot, seq in wanted if any(each.holds(boot, seq) for each in found)} == wanted
    assert not any(each.holds("3".zfill(16), 1) for each in found)
    receipts.greet("shop-1", "door")
    assert len(told(receipts)[0][1]) == MAX_BOOTS  # what is remembered is bounded


def test_receipts_of_many_devices_take_turns() -> None:
    """No more than asked for at once; the others come next."""
    receipts = Receipts("collector")
    for number in range(5):
        receipts.note(counts(device=f"d{number}"))
    assert [name.split("/")[3] for name, _ in receipts.take(3)] == ["d0", "d1", "d2"]
    assert [name.split("/")[3] for name, _ in receipts.take(3)] == ["d3", "d4"]
