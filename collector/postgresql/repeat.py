"""Make passes until the program is stopped, and wait with back-off while PostgreSQL is away."""

import logging
import random
import threading

from base.backoff import full_jitter
from base.logs import line
from collector.errors import SyncFailed, SyncRefused
from collector.postgresql.synchronise import Synchronised, Synchroniser

FIRST_PAUSE_S = 2.0
LONGEST_PAUSE_S = 120.0
"""Longest pause before the next attempt, seconds: a pass begins at most two minutes after PostgreSQL is back."""

_log = logging.getLogger(__name__)


def log_done(done: Synchronised) -> None:
    """Log what a pass has done."""
    _log.info(line("synchronised", files=done.files, windows=done.windows, shares=done.shares, deleted=done.deleted))


def repeat(synchroniser: Synchroniser, every_s: float, stop: threading.Event, rng: random.Random) -> None:
    """Make a pass every ``every_s`` seconds. Logs when PostgreSQL goes away or refuses, and when it is back.

    Raises SyncRefused if the tables are of a newer version.
    """
    failures, reason = 0, ""
    while not stop.is_set():
        try:
            done = synchroniser.run()
        except SyncRefused:
            raise
        except SyncFailed as error:
            if str(error) != reason:
                _log.warning(line("postgresql_away", reason=error))
            failures, reason = failures + 1, str(error)
            stop.wait(full_jitter(rng, failures, FIRST_PAUSE_S, LONGEST_PAUSE_S))
            continue
        if failures:
            _log.info(line("postgresql_back", attempts=failures))
        failures, reason = 0, ""
        if done.windows or done.deleted:
            log_done(done)
        stop.wait(every_s)
