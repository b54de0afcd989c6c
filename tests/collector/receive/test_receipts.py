"""Receipts name every processed window of a device, in messages of bounded size."""

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


def due(receipts: Receipts, most: int = 100) -> list[tuple[str, dict[str, list[list[int]]]]]:
    """Return topic and boots of the receipts that are due."""
    return [(name, json.loads(payload)["boots"]) for name, payload in receipts.take_due(most)]


def test_bytes_are_those_of_the_golden_file() -> None:
    """A receipt has the bytes of the first release, and decodes to itself."""
    receipt = Stored(schema=1, boots={ONE: ((0, 41), (43, 43)), TWO: ()})
    assert encode_receipt(receipt) + b"\n" == GOLDEN.read_bytes()
    assert decode_receipt(GOLDEN.read_bytes()) == receipt
    assert [receipt.holds(ONE, seq) for seq in (0, 41, 42, 43, 44)] == [True, True, False, True, False]
    assert not receipt.holds(TWO, 0)


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", "truncated"),
        (b'{"schema":2,"boots":{}}', r"'schema"),
        (b'{"schema":1,"boots":{},"all":true}', "all"),
        (b'{"schema":1,"boots":{"x":[]}}', "boots"),
        (b'{"schema":1,"boots":{"1111111111111111":[[3,2]]}}', "first"),
        (b'{"schema":1,"boots":{"1111111111111111":[[-1,2]]}}', ">= 0"),
        (b'{"schema":1,"boots":{"1111111111111111":[[0,1e999]]}}', "stored"),
        (msgspec.json.encode({"schema": 1, "boots": {ONE: [[n, n] for n in range(MAX_RUNS + 1)]}}), "boots"),
        (msgspec.json.encode({"schema": 1, "boots": {f"{n:016x}": [] for n in range(MAX_BOOTS + 1)}}), "boots"),
        (b" " * (MAX_BYTES + 1), "at most"),
    ],
)
def test_a_malformed_receipt_is_a_bad_message(payload: bytes, reason: str) -> None:
    """A device deletes nothing for a message that is not exactly a receipt."""
    with pytest.raises(BadMessage, match=reason):
        decode_receipt(payload)


def test_topics_of_receipts() -> None:
    """Each collector has its own topic and each device one filter; ids are checked."""
    assert stored_topic("shop-1", "door", "collector") == "facetally/v1/shop-1/door/stored/collector"
    assert stored_filter("shop-1", "door") == "facetally/v1/shop-1/door/stored/+"
    with pytest.raises(TopicError, match="writer"):
        stored_topic("shop-1", "door", "+")


def test_each_device_gets_receipts_of_its_own_windows_once() -> None:
    """A receipt holds runs of numbers by boot. Nothing is due afterwards, until a repeat is confirmed again."""
    receipts = Receipts("collector")
    for seq in (0, 1, 2, 5):
        receipts.add(counts(boot=ONE, seq=seq))
    receipts.add(counts(boot=TWO, seq=7, device="till"))
    assert due(receipts) == [
        ("facetally/v1/shop-1/door/stored/collector", {ONE: [[0, 2], [5, 5]]}),
        ("facetally/v1/shop-1/till/stored/collector", {TWO: [[7, 7]]}),
    ]
    assert due(receipts) == []
    receipts.add(counts(boot=ONE, seq=1))
    assert due(receipts) == [("facetally/v1/shop-1/door/stored/collector", {ONE: [[0, 2], [5, 5]]})]


def test_a_device_that_comes_online_gets_a_receipt() -> None:
    """The receipt of an unknown device is empty."""
    receipts = Receipts("collector")
    receipts.schedule("shop-1", "door")
    assert due(receipts) == [("facetally/v1/shop-1/door/stored/collector", {})]


def test_many_runs_are_divided_among_several_receipts() -> None:
    """Ten boots with hundreds of runs give several receipts of bounded size that name all numbers and no other."""
    receipts, wanted = Receipts("collector"), set()
    for boot in range(10):
        for seq in range(0, 2000 if boot == 3 else 20, 2):
            wanted.add((f"{boot:016x}", seq))
            receipts.add(counts(boot=f"{boot:016x}", seq=seq))
    payloads = [payload for _, payload in receipts.take_due(1)]
    assert all(len(payload) <= MAX_BYTES for payload in payloads)
    found = [decode_receipt(payload) for payload in payloads]
    assert {(boot, seq) for boot, seq in wanted if any(each.holds(boot, seq) for each in found)} == wanted
    assert not any(each.holds("3".zfill(16), 1) for each in found)
    receipts.schedule("shop-1", "door")
    assert len(due(receipts)[0][1]) == MAX_BOOTS  # memory is bounded


def test_receipts_of_many_devices_take_turns() -> None:
    """At most the number of devices asked for get receipts at one time; the others come next."""
    receipts = Receipts("collector")
    for number in range(5):
        receipts.add(counts(device=f"d{number}"))
    assert [name.split("/")[3] for name, _ in receipts.take_due(3)] == ["d0", "d1", "d2"]
    assert [name.split("/")[3] for name, _ in receipts.take_due(3)] == ["d3", "d4"]
