"""The one-time code, and the one session that it opens."""

import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

CODE_DIGITS = 8
MAX_ATTEMPTS = 5
"""Wrong codes after which the program stops. A guess is then right once in twenty million."""
Result = Literal["opened", "wrong", "used", "stopped"]


def new_code() -> str:
    """A random code of `CODE_DIGITS` digits."""
    return f"{secrets.randbelow(10**CODE_DIGITS):0{CODE_DIGITS}}"


@dataclass(slots=True)
class Session:
    """Opens once, for whoever knows the code, and ends at a time. All methods may be called from any thread."""

    end: float
    """Monotonic time at which the program stops, seconds."""
    stop: Callable[[], None]
    """Ends the program."""
    code: str = field(default_factory=new_code)
    _token: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    _attempts: int = 0
    _is_open: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def token(self) -> str:
        """The secret of the session's cookie."""
        return self._token

    @property
    def left_s(self) -> float:
        """Time left, seconds."""
        return max(0.0, self.end - time.monotonic())

    def enter(self, code: str) -> Result:
        """Try a code; digits count, and anything between them is ignored. Too many wrong ones stop the program.

        Once the session is open no code is compared any more, so that nobody can end it by guessing.
        """
        digits = "".join(each for each in code if each in "0123456789")
        with self._lock:
            if self._is_open:
                return "used"
            if self._attempts >= MAX_ATTEMPTS:
                return "stopped"
            if not secrets.compare_digest(digits, self.code):
                self._attempts += 1
                if self._attempts < MAX_ATTEMPTS:
                    return "wrong"
                self.stop()
                return "stopped"
            self._is_open = True
            return "opened"

    def holds(self, token: str | None) -> bool:
        """Whether a cookie's value is that of the open session."""
        return token is not None and self._is_open and secrets.compare_digest(token.encode(), self._token.encode())
