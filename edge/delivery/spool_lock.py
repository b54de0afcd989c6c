"""Lock of a spool: one daemon uses it at a time."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edge.errors import SpoolError


def _lock_of(spool: Path) -> Path:
    return spool.with_name(spool.name + ".lock")


@contextmanager
def locked(spool: Path) -> Iterator[None]:
    """Hold the lock ``NAME.lock`` beside the spool; the system releases it however the process ends.

    Raise SpoolError if another daemon holds it: two daemons on a spool would send the same windows under different ids.
    """
    if spool.name == ":memory:":
        yield
        return
    try:
        spool.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(_lock_of(spool), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise SpoolError(f"spool: could not open {_lock_of(spool)}: {error.strerror}") from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise SpoolError(f"spool: another daemon uses {spool}; give this one its own spool.path") from error
        yield
    finally:
        os.close(descriptor)


def is_locked(spool: Path) -> bool:
    """Whether a daemon uses the spool now; also True if another user's lock must not be read."""
    try:
        descriptor = os.open(_lock_of(spool), os.O_RDONLY | os.O_CLOEXEC)
    except PermissionError:
        return True
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
