"""Keep messages that were refused in a bounded file of JSON lines, with the reason and the time.

The number of dead letters of one sender is limited, so that a flood of one leaves room for those of others.
"""

import json
import logging
import os
from datetime import datetime, timedelta
from pathlib import Path

from base.durable_file import cut_torn_line
from base.logs import line
from collector.errors import StoreFailed

MAX_CHARACTERS = 4096
"""Characters of a topic or payload that are kept. The payload's length in bytes is always kept."""
MAX_BYTES_PER_CHARACTER = 4
LETTERS_PER_HOUR = 200
"""Letters of one sender that are kept; more are only counted."""
MAX_SENDERS = 10_000
HOUR = timedelta(hours=1)

_log = logging.getLogger(__name__)


class DeadLetters:
    """``<root>/dead-letters.jsonl`` of at most ``max_bytes``. A full file replaces ``dead-letters.1.jsonl``.

    ``suffix`` is the part of the names before the dot that belongs to the writer.
    """

    def __init__(self, root: Path, max_bytes: int, suffix: str = "") -> None:
        self._path = root / f"dead-letters{suffix}.jsonl"
        self._previous = root / f"dead-letters{suffix}.1.jsonl"
        self._max_bytes = max_bytes
        self._pending: list[bytes] = []
        self._hours: dict[str, tuple[datetime, int]] = {}
        if self._path.exists() and (removed := cut_torn_line(self._path)):
            _log.warning(line("torn_line_removed", file=self._path, bytes=removed))

    def add(self, topic: str, payload: bytes, reason: str, now: datetime) -> None:
        """Prepare a line for `flush`, unless the sender has used up its letters of this hour."""
        sender = topic.rpartition("/")[0][:MAX_CHARACTERS]
        if not self._count_letter(sender, now):
            return
        text = payload[: MAX_BYTES_PER_CHARACTER * MAX_CHARACTERS].decode("utf-8", "backslashreplace")
        letter = {
            "time": now.isoformat().replace("+00:00", "Z"),
            "topic": topic[:MAX_CHARACTERS],
            "reason": reason,
            "bytes": len(payload),
            "payload": text[:MAX_CHARACTERS],
        }
        self._pending.append(json.dumps(letter).encode() + b"\n")

    def _count_letter(self, sender: str, now: datetime) -> bool:
        """Count a letter of a sender; False if it has too many in this hour."""
        since, letters = self._hours.pop(sender, (now, 0))
        if abs(now - since) >= HOUR:
            since, letters = now, 0
        self._hours[sender] = (since, letters + 1)
        if len(self._hours) > MAX_SENDERS:
            del self._hours[next(iter(self._hours))]
        return letters < LETTERS_PER_HOUR

    def flush(self) -> None:
        """Bring the prepared lines to disk; StoreFailed if that is not possible."""
        try:
            while self._pending:
                self._append()
        except OSError as error:
            raise StoreFailed(f"{self._path}: {error.strerror}") from error

    def _append(self) -> None:
        """Append as many lines as fit into the file, at least one to an empty file."""
        with self._path.open("ab") as file:
            size = file.tell()
            while self._pending and (size == 0 or size + len(self._pending[0]) <= self._max_bytes):
                size += file.write(self._pending.pop(0))
            file.flush()
            os.fsync(file.fileno())
        if self._pending:
            self._path.replace(self._previous)
