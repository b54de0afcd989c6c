"""Remember which retained messages this collector has at the broker, so that they can be deleted later.

A broker keeps a retained message until somebody replaces it by an empty one. The topics are in a file, which is on disk
before a message is sent.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct

from base.durable_file import replace_file

Publication = tuple[str, bytes]
"""Topic and payload. An empty payload deletes what the broker has retained."""


class _File(Struct, frozen=True, kw_only=True):
    schema: Literal[1]
    topics: tuple[str, ...] = ()


class RetainedTopics:
    """The topics in a file, and what was sent on them since the last connection."""

    def __init__(self, path: Path) -> None:
        """Read the file. A missing or damaged one has no topics."""
        self._path = path
        self._sent: dict[str, bytes] = {}
        try:
            self._topics = set(msgspec.json.decode(path.read_bytes(), type=_File).topics)
        except (OSError, msgspec.DecodeError, UnicodeDecodeError):
            self._topics = set()

    def __len__(self) -> int:
        return len(self._topics)

    def forget_sent(self) -> None:
        """Send everything again: the broker may have lost it."""
        self._sent.clear()

    def changed(self, wanted: Mapping[str, bytes]) -> list[Publication]:
        """Return what differs from what was sent; its topics are on disk when this returns. Raises OSError."""
        new = [(topic, payload) for topic, payload in wanted.items() if self._sent.get(topic) != payload]
        if not self._topics.issuperset(wanted):
            self._save(self._topics.union(wanted))
        self._sent |= dict(new)
        return new

    def deletions(self, is_stale: Callable[[str], bool]) -> list[Publication]:
        """Return empty messages for topics that are no longer wanted, until they are `deleted`."""
        return [(topic, b"") for topic in sorted(self._topics) if is_stale(topic)]

    def deleted(self, topics: set[str]) -> None:
        """Forget topics whose deletion the broker has acknowledged. Raises OSError."""
        for topic in topics:
            self._sent.pop(topic, None)
        self._save(self._topics - topics)

    def _save(self, topics: set[str]) -> None:
        replace_file(self._path, msgspec.json.encode(_File(schema=1, topics=tuple(sorted(topics)))))
        self._topics = topics
