"""Messages set aside -> a bounded file of JSON lines, with the reason and the time.

Each sender has a share of the file, so that one that floods it leaves room for the letters of others.
"""

import json
import os
from datetime import datetime, timedelta
from pathlib import Path

from collector.errors import StoreFailed
from collector.store.writer import mend

KEEP = 4096
"""Characters of a payload that are kept; its length is always told."""
LETTERS_PER_HOUR = 200
"""Of one sender; more are counted, not kept."""
SENDERS = 10_000
HOUR = timedelta(hours=1)


class DeadLetters:
    """``<root>/dead-letters.jsonl`` of at most ``max_bytes``; when full it takes the place of ``dead-letters.1.jsonl``.

    ``suffix`` goes before the dot, for a writer that is not alone.
    """

    def __init__(self, root: Path, max_bytes: int, suffix: str = "") -> None:
        self._path = root / f"dead-letters{suffix}.jsonl"
        self._older = root / f"dead-letters{suffix}.1.jsonl"
        self._max_bytes = max_bytes
        self._lines: list[bytes] = []
        self._hours: dict[str, tuple[datetime, int]] = {}
        if self._path.exists():
            mend(self._path)

    def add(self, topic: str, payload: bytes, reason: str, now: datetime) -> None:
        """Prepare one line; `flush` brings it to disk. Nothing if the sender has used up its share of this hour."""
        if not self._has_room(topic.rpartition("/")[0][:KEEP], now):
            return
        letter = {
            "time": now.isoformat().replace("+00:00", "Z"),
            "topic": topic[:KEEP],
            "reason": reason,
            "bytes": len(payload),
            "payload": payload[: 4 * KEEP].decode("utf-8", "backslashreplace")[:KEEP],
        }
        self._lines.append(json.dumps(letter).encode() + b"\n")

    def _has_room(self, sender: str, now: datetime) -> bool:
        """Count a letter of a sender, which is its topic without the last level."""
        since, letters = self._hours.pop(sender, (now, 0))
        if abs(now - since) >= HOUR:
            since, letters = now, 0
        self._hours[sender] = (since, letters + 1)
        if len(self._hours) > SENDERS:
            del self._hours[next(iter(self._hours))]
        return letters < LETTERS_PER_HOUR

    def flush(self) -> None:
        """Bring the prepared lines to disk; StoreFailed if that cannot be done."""
        try:
            while self._lines:
                self._append()
        except OSError as error:
            raise StoreFailed(f"{self._path}: {error.strerror}") from error

    def _append(self) -> None:
        """Write as many lines as fit, at least one into an empty file."""
        with self._path.open("ab") as file:
            size = file.tell()
            while self._lines and (size == 0 or size + len(self._lines[0]) <= self._max_bytes):
                size += file.write(self._lines.pop(0))
            file.flush()
            os.fsync(file.fileno())
        if self._lines:
            self._path.replace(self._older)
