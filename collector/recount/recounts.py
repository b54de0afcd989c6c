"""Keep the counts by hand of a store, and compare each with its device's windows once these have arrived."""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Literal

from base.logs import line
from collector.devices.registry import read_devices
from collector.recount import files
from collector.recount.comparison import LONGEST_WINDOW, compare, is_ready
from collector.recount.recount import Recount
from collector.recount.session import InvalidSession, Session
from collector.store.load import labels, load

MAX_OPEN = 200
"""Sessions that wait for their comparison at the same time."""

_log = logging.getLogger(__name__)
State = Literal["running", "waiting", "compared", "not_comparable"]


class UnknownDevice(Exception):
    """A session names a device that the store does not know."""


class SessionConflict(Exception):
    """Another session of the device runs at that time, or the id is that of another session."""


@dataclass(frozen=True, slots=True)
class SessionState:
    """What is known of a session."""

    session: Session
    state: State
    result: Recount | None = None


@dataclass(frozen=True, slots=True)
class Recounts:
    """The sessions and results of one store. Safe for the threads of one process."""

    root: Path
    now: Callable[[], datetime]
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def put(self, session_id: str, session: Session) -> SessionState:
        """Take a session as a phone knows it now, and return its state.

        Raises InvalidSession, UnknownDevice, SessionConflict, or OSError if it cannot be stored.
        """
        with self._lock:
            before = files.read_sessions(self.root).get(session_id)
            if before is None and (done := self._result_of(session)) is not None:
                return SessionState(session, "compared", done)
            if before is not None and session.revision <= before.revision:
                session = before
            else:
                self._check(session_id, session, before)
                files.write_session(self.root, session_id, session)
            return self._compare_one(session_id, session)

    def compare_due(self) -> None:
        """Compare each session whose windows have arrived, and forget its taps. Raises OSError."""
        with self._lock:
            for session_id, session in files.read_sessions(self.root).items():
                self._compare_one(session_id, session)

    def _check(self, session_id: str, session: Session, before: Session | None) -> None:
        session.check(self.now())
        if (session.site, session.device) not in {(each.site, each.device) for each in read_devices(self.root)}:
            raise UnknownDevice(f"device: {session.site}/{session.device} is not a device of this store")
        if before is not None:
            if (before.site, before.device, before.start) != (session.site, session.device, session.start):
                raise SessionConflict(
                    f"this id is that of a session of {before.site}/{before.device} that began at"
                    f" {before.start.isoformat()}; start a new session with a new id"
                )
            return
        others = files.read_sessions(self.root)
        if len(others) >= MAX_OPEN:
            raise InvalidSession(f"at most {MAX_OPEN} sessions may wait for their comparison, {len(others)} do")
        for other_id, other in others.items():
            if other_id != session_id and session.overlaps(other):
                raise SessionConflict(
                    f"another phone counts at {other.site}/{other.device} from {other.start.isoformat()} to"
                    f" {other.end.isoformat()}; stop it there, or begin later"
                )

    def _compare_one(self, session_id: str, session: Session) -> SessionState:
        """Compare a session if its windows have arrived. Its taps are deleted after the result is on disk."""
        now = self.now()
        if now < session.end:
            return SessionState(session, "running")
        windows = load(self.root, session.start - LONGEST_WINDOW, session.end, session.site)
        own = windows[(windows["device"] == session.device) & (windows["clock"] != "unsynced")]
        if not is_ready(session, own, now):
            return SessionState(session, "waiting")
        result = compare(session, own, labels(own), now)
        if result is not None and self._result_of(session) is None:
            files.write_recounts(self.root, [*files.read_recounts(self.root), result])
        files.session_path(self.root, session_id).unlink(missing_ok=True)
        _log.info(line("recount", site=session.site, device=session.device, compared=result is not None))
        return SessionState(session, "not_comparable" if result is None else "compared", result)

    def _result_of(self, session: Session) -> Recount | None:
        key = (session.site, session.device, session.start)
        return next((each for each in files.read_recounts(self.root) if each.key == key), None)
