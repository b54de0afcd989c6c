"""Windows of fixed dates, and a store that holds them."""

from datetime import datetime, timedelta, timezone
from pathlib import Path

from collector.store.writer import Store
from contract.message import Counts, Models, Privacy

START = datetime(2026, 3, 28, 23, 59, tzinfo=timezone.utc)
SEVEN = ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral", "unknown")


def window(seq: int = 0, visits: dict[str, int] | None = None, start: datetime | None = None, **of: object) -> Counts:
    """A one-minute window; by itself the one that starts ``seq`` minutes after START."""
    start = start or START + timedelta(minutes=seq)
    fields: dict[str, object] = {
        "schema": 1, "site": "shop-1", "device": "door", "boot": "0123456789abcdef", "seq": seq, "start": start,
        "end": start + timedelta(minutes=1), "clock": "synced", "coverage": 0.983, "degraded": (), "merged": 1,
        "visits": visits or dict.fromkeys(SEVEN, 0) | {"happiness": 3}, "privacy": Privacy(k=5),
        "model": Models(detector="faces@0123456789ab", expression="seven@ba9876543210"),
    }  # fmt: skip
    return Counts(**(fields | of))  # type: ignore[arg-type]


def put(root: Path, *windows: Counts, writer: str = "w1") -> list[bool]:
    with Store(root, writer) as store:
        added = [store.add(each) for each in windows]
        store.flush()
    return added
