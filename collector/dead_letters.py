"""Messages that are none -> a bounded file of JSON lines, with the reason and the time."""

import json
import os
from datetime import datetime
from pathlib import Path

NAME = "dead-letters.jsonl"
KEEP = 4096
"""Characters of a payload that are kept; its length is always told."""


class DeadLetters:
    """``<root>/dead-letters.jsonl``, and the one before it: when full, it takes the place of the older one."""

    def __init__(self, root: Path, max_bytes: int) -> None:
        self.count = 0
        self._path = root / NAME
        self._max_bytes = max_bytes

    def add(self, topic: str, payload: bytes, reason: str, now: datetime) -> None:
        """Append one line, and see it on disk before the message is acknowledged."""
        letter = {
            "time": now.isoformat().replace("+00:00", "Z"),
            "topic": topic,
            "reason": reason,
            "bytes": len(payload),
            "payload": payload[: 4 * KEEP].decode("utf-8", "backslashreplace")[:KEEP],
        }
        line = json.dumps(letter).encode() + b"\n"
        with self._path.open("ab") as file:
            if file.tell() and file.tell() + len(line) > self._max_bytes:
                older = self._path.with_suffix(".1.jsonl")
                self._path.replace(older)
        with self._path.open("ab") as file:
            file.write(line)
            file.flush()
            os.fsync(file.fileno())
        self.count += 1
