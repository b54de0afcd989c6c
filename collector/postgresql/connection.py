"""Connect to PostgreSQL, and translate its errors. The password never is part of the URL."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import conninfo

from base.errors import SettingsError
from base.secret_file import read_secret
from collector.errors import SyncFailed

SCHEMES = ("postgresql://", "postgres://")
LOCK_KEY = 0x666163_74616C6C79
"""Key of the advisory lock that a pass holds: two passes never write to one database at the same time."""
LOCK_WAIT_S = 60
CONNECT_TIMEOUT_S = 10
DEAD_AFTER_S = 60
"""Time without an answer of the network after which the connection counts as lost, seconds."""

Connection = psycopg.Connection[tuple[Any, ...]]


def check_url(url: str, source: str) -> str:
    """Return a PostgreSQL URL unchanged. Raise SettingsError if it is none, or has a password.

    ``source`` is the option or key that the URL comes from.
    """
    if not url.startswith(SCHEMES):
        raise SettingsError(f"{source}: must begin with postgresql://")  # not repeated: it may hold a password
    try:
        parts = conninfo.conninfo_to_dict(url)
    except psycopg.ProgrammingError:  # its text is not repeated: it may hold a password
        raise SettingsError(
            f"{source}: must be a URL such as postgresql://host/database, with special characters as %XX"
        ) from None
    if "password" in parts:
        raise SettingsError(
            f"{source}: must not have a password, which the list of processes shows; use --password-file,"
            " sync.password_file, the variable PGPASSWORD or the file ~/.pgpass"
        )
    return url


@contextmanager
def connected(url: str, password_file: str | None) -> Iterator[Connection]:
    """Connect for one pass. Raises SyncFailed; errors of PostgreSQL within the block become SyncFailed too.

    Times of the session are UTC. Each statement commits by itself unless it is in a transaction.
    """
    try:
        with psycopg.connect(
            url,
            password=None if password_file is None else read_secret(password_file, "sync.password_file"),
            autocommit=True,
            application_name="facetally-collector sync",
            connect_timeout=CONNECT_TIMEOUT_S,
            keepalives_idle=DEAD_AFTER_S // 2,
            tcp_user_timeout=DEAD_AFTER_S * 1000,
        ) as connection:
            # a commit that a crash of the server loses takes its progress with it, so nothing waits for the disk
            connection.execute("SET timezone = 'UTC'")
            connection.execute("SET synchronous_commit = off")
            connection.execute("SET client_min_messages = warning")
            yield connection
    except psycopg.Error as error:
        raise SyncFailed(f"PostgreSQL: {_one_line(error)}") from error


@contextmanager
def only_one(connection: Connection) -> Iterator[None]:
    """Hold the lock of a pass. Raises SyncFailed if another pass holds it for `LOCK_WAIT_S`.

    The server releases the lock when the connection ends, however it ends.
    """
    connection.execute(f"SET lock_timeout = '{LOCK_WAIT_S}s'".encode())
    try:
        connection.execute("SELECT pg_advisory_lock(%s)", [LOCK_KEY])
    except psycopg.errors.LockNotAvailable:
        raise SyncFailed(f"PostgreSQL: another sync has held the lock of the database for {LOCK_WAIT_S} s") from None
    yield
    connection.execute("SELECT pg_advisory_unlock(%s)", [LOCK_KEY])


def _one_line(error: psycopg.Error) -> str:
    """Return the text of an error without its line breaks and the position in a statement."""
    text = error.diag.message_primary or str(error)
    return " ".join(text.split()) or type(error).__name__
