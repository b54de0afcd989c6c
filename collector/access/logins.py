"""Tell who sends a request: by token, by the header of a trusted proxy, or by the cookie of a session."""

import hmac
import logging
import secrets
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from itsdangerous import BadSignature, URLSafeTimedSerializer
from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter
from werkzeug.wrappers import Request

from base.errors import SettingsError
from base.logs import line
from collector.access.entries import Entry, hash_token, read_entries
from collector.settings import Access

COOKIE = "facetally_session"
FAILURES_PER_MINUTE = 10
"""Failed logins allowed from one address. Further ones are refused, whatever the token."""
MAX_LOGGED = 100
"""Characters of a user's name in the log."""

_log = logging.getLogger(__name__)


class NotLoggedIn(Exception):
    """The request has no valid token, session or name. The text says why, for the log."""


class TooManyFailures(Exception):
    """The address has failed to log in too often within a minute."""


@dataclass(slots=True)
class Entries:
    """The entries of the file, read again when it has changed. Safe for any number of threads."""

    path: Path
    _stamp: tuple[int, int, int] = (0, 0, 0)
    _known: tuple[Entry, ...] = ()
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def all(self) -> tuple[Entry, ...]:
        """Return the entries. While the file is damaged or away, those that were valid last."""
        with self._lock:
            try:
                stat = self.path.stat()
                stamp = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
            except OSError:
                stamp = (-1, -1, -1)
            if stamp != self._stamp:
                try:
                    self._known = read_entries(self.path)
                except SettingsError as error:
                    _log.error(line("access_not_read", reason=error))
                self._stamp = stamp
            return self._known


class Logins:
    """Identifies requests, limits failures, and writes a line for each."""

    def __init__(self, settings: Access, entries: Entries) -> None:
        self._settings, self._entries = settings, entries
        self._sessions = URLSafeTimedSerializer(secrets.token_bytes(32), salt=COOKIE)
        self._limiter = FixedWindowRateLimiter(MemoryStorage())
        self._rate = RateLimitItemPerMinute(FAILURES_PER_MINUTE)

    def identify(self, request: Request) -> Entry:
        """Return who sends a request. Raise NotLoggedIn, or TooManyFailures."""
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "bearer":  # a proxy with a login of its own may pass its Basic header on
            return self.by_token(request, token.strip())
        if name := self._proxy_name(request):
            return self._by_name(request, name)
        if cookie := request.cookies.get(COOKIE):
            return self._by_session(cookie)
        raise NotLoggedIn("no token")

    def by_token(self, request: Request, token: str) -> Entry:
        """Return whose token it is. Raise NotLoggedIn or TooManyFailures."""
        address = self._address(request)
        if not self._limiter.test(self._rate, address):
            raise TooManyFailures
        given, found = hash_token(token), None
        for entry in self._entries.all():  # all of them, so that the time does not tell which one it is
            if hmac.compare_digest(entry.sha256 or "", given):
                found = entry
        if found is None:
            raise self._failed(address, "wrong token")
        return found

    def session_cookie(self, entry: Entry) -> str:
        """Return the value of the cookie of a session. It ends with the process, with its age, or with the entry."""
        return str(self._sessions.dumps([entry.name, entry.sha256]))

    def _by_session(self, cookie: str) -> Entry:
        try:
            name, sha256 = self._sessions.loads(cookie, max_age=round(self._settings.session_h * 3600))
        except BadSignature:
            raise NotLoggedIn("the session has ended") from None
        found = self._named().get(name)
        if found is None or found.sha256 != sha256:
            raise NotLoggedIn("the token was removed")
        return found

    def _by_name(self, request: Request, name: str) -> Entry:
        """Return the entry of a person whom the proxy has logged in."""
        found = self._named().get(name)
        if found is None:
            raise self._failed(self._address(request), f"{name[:MAX_LOGGED]!r} is not in the access file")
        return found

    def _named(self) -> Mapping[str, Entry]:
        return {entry.name: entry for entry in self._entries.all()}

    def is_from_proxy(self, request: Request) -> bool:
        """Whether a trusted proxy sends the request, so that its headers can be believed."""
        return request.remote_addr in self._settings.proxies

    def _proxy_name(self, request: Request) -> str | None:
        header = self._settings.proxy_header
        return request.headers.get(header) if header and self.is_from_proxy(request) else None

    def _address(self, request: Request) -> str:
        """Return the address of the person, which a trusted proxy appends to ``X-Forwarded-For``."""
        forwarded = request.headers.get("X-Forwarded-For", "")
        if forwarded and self.is_from_proxy(request):
            return forwarded.rpartition(",")[2].strip()[:MAX_LOGGED]
        return request.remote_addr or "?"

    def _failed(self, address: str, reason: str) -> NotLoggedIn:
        self._limiter.hit(self._rate, address)
        _log.warning(line("login_failed", address=address, reason=reason))
        return NotLoggedIn(reason)
