"""Wait for other programs, as long as a busy machine may need."""

import time
from collections.abc import Callable

LIMIT_S = 120.0
"""How long a test waits for another program. What takes a second may take long on a busy machine."""


def wait_until(fact: Callable[[], object], what: str, within_s: float = LIMIT_S) -> None:
    """Poll until ``fact`` is true; fail with ``what`` after ``within_s``."""
    due = time.monotonic() + within_s
    while not fact():
        assert time.monotonic() < due, f"not within {within_s} s: {what}"
        time.sleep(0.02)
