"""Which report was sent to whom, in a small file, so that none is sent twice and none is forgotten."""

import fcntl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import date
from pathlib import Path

import msgspec

from base.durable_file import make_folder, replace_file
from base.errors import FacetallyError
from collector.mail.settings import Recipient
from collector.report.week import WEEK

MAX_MISSED = 4
"""Maximum number of missed weeks that are sent later."""
KEPT = 2 * MAX_MISSED
"""Weeks that are noted for each recipient."""


class SentFileFailed(FacetallyError):
    """The file cannot be read or written; nothing is sent, as it might be sent twice."""


class _Content(msgspec.Struct, frozen=True, kw_only=True):
    """The whole file."""

    version: int = 1
    sent: dict[str, tuple[date, ...]] = {}
    """Name of `key_of`: Mondays of the weeks that were sent."""
    first: dict[str, date] = {}
    """Name of `key_of`: Monday of the first week that was sent because it was due; earlier ones never become due."""


class SentFile:
    """The notes of `MAX_MISSED` weeks and some more for each recipient."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._content = self._read()

    def due(self, recipient: Recipient, last: date) -> list[date]:
        """Return the weeks to send, the oldest first.

        They are those of the last `MAX_MISSED` that were not sent, from the first one that was due; only ``last`` for
        a new recipient.
        """
        first = self._content.first.get(key_of(recipient), last)
        weeks = (last - number * WEEK for number in range(MAX_MISSED))
        return sorted(week for week in weeks if week >= first and not self.was_sent(recipient, week))

    def was_sent(self, recipient: Recipient, week: date) -> bool:
        """Return whether a week was sent."""
        return week in self._content.sent.get(key_of(recipient), ())

    def note(self, recipient: Recipient, week: date, *, was_due: bool) -> None:
        """Note that a week was sent, on disk when this returns. A week that somebody asked for was not due."""
        key, old = key_of(recipient), self._content
        weeks = tuple(sorted({*old.sent.get(key, ()), week})[-KEPT:])
        first = old.first if not was_due or key in old.first else old.first | {key: week}
        self._content = _Content(sent=old.sent | {key: weeks}, first=first)
        try:
            replace_file(self._path, msgspec.json.format(msgspec.json.encode(self._content)))
        except OSError as error:
            raise SentFileFailed(f"{self._path}: {error.strerror}") from error

    def _read(self) -> _Content:
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=_Content)
        except FileNotFoundError:
            return _Content()
        except OSError as error:
            raise SentFileFailed(f"{self._path}: {error.strerror}") from error
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise SentFileFailed(
                f"{self._path}: must be the notes of sent reports, is damaged ({error}); delete it to send"
                " the last week"
            ) from error


@contextmanager
def opened(path: Path) -> Iterator[SentFile]:
    """Open the file, for one process at a time; another waits. Raises SentFileFailed."""
    with ExitStack() as stack:
        try:
            make_folder(path.parent)
            lock = stack.enter_context(path.with_name(path.name + ".lock").open("w"))
            fcntl.flock(lock, fcntl.LOCK_EX)
        except OSError as error:
            raise SentFileFailed(f"{path}: {error.strerror or error}") from error
        yield SentFile(path)


def key_of(recipient: Recipient) -> str:
    """Return the name under which the weeks of a recipient are noted: address, sites and language."""
    language = [f"({recipient.language})"] if recipient.language else []
    return " ".join([recipient.address, *sorted(recipient.sites), *language])
