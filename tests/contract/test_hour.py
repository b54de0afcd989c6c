"""The hour message: exact bytes, and payloads that are refused."""

from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from contract.errors import BadMessage, TopicError
from contract.hour import Hour, decode_hour, encode_hour, hour_topic
from contract.message import MAX_BYTES

GOLDEN = Path(__file__).parents[1] / "golden" / "hour-1.json"
START = datetime(2026, 3, 28, 9, tzinfo=timezone.utc)
HOUR = Hour(
    schema=1, site="shop-1", device="door", start=START, end=START + timedelta(hours=1), windows=60, coverage=0.98,
    visits={"happiness": 12.0, "neutral": 20.5, "unknown": 3.0}, doubtful_low=1.0, doubtful_high=2.0,
)  # fmt: skip


def test_bytes_are_those_of_the_golden_file() -> None:
    """An hour has the bytes of its first release, and decodes to itself."""
    assert encode_hour(HOUR) + b"\n" == GOLDEN.read_bytes()
    assert decode_hour(GOLDEN.read_bytes()) == HOUR


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (b'"schema":1', b'"schema":2', "schema"),
        (b'"coverage":0.98', b'"coverage":1.5', "coverage"),
        (b'"happiness":12.0', b'"happiness":-1', "happiness|visits"),
        (b'"windows":60', b'"faces":1,"windows":60', "faces"),
        (b"shop-1", b"shop 1", "site"),
    ],
)
def test_other_payloads_are_bad_messages(old: bytes, new: bytes, reason: str) -> None:
    payload = GOLDEN.read_bytes()
    assert old in payload
    with pytest.raises(BadMessage, match=reason):
        decode_hour(payload.replace(old, new))


def test_long_payloads_and_wrong_names_are_refused() -> None:
    with pytest.raises(BadMessage, match="at most"):
        decode_hour(b" " * (MAX_BYTES + 1))
    assert hour_topic("shop-1", "door") == "facetally/v1/shop-1/door/hour"
    with pytest.raises(TopicError, match="device"):
        hour_topic("shop-1", "+")
