"""Bring the tables in PostgreSQL to the version of this program, by numbered SQL files.

``migrations/NNN_name.sql`` makes version NNN of version NNN - 1. Each file is one transaction. A file that was released
never changes.
"""

import logging
from importlib.resources import files
from typing import NamedTuple

from base.logs import line
from collector.errors import SyncRefused
from collector.postgresql.connection import Connection

SCHEMA = "facetally"
"""Schema of the database that holds all tables and views."""

_log = logging.getLogger(__name__)


class Migration(NamedTuple):
    """One step from a version of the tables to the next."""

    version: int
    statements: bytes


def migrations() -> list[Migration]:
    """Return the steps, in order of their versions."""
    found = [each for each in files(__package__).joinpath("migrations").iterdir() if each.name.endswith(".sql")]
    return [Migration(int(each.name[:3]), each.read_bytes()) for each in sorted(found, key=lambda each: each.name)]


def migrate(connection: Connection) -> None:
    """Make or update the tables. Raises SyncRefused if a newer program has made them."""
    if connection.execute("SELECT to_regclass('facetally.schema_version')").fetchone() == (None,):
        with connection.transaction():
            connection.execute("CREATE SCHEMA IF NOT EXISTS facetally")
            connection.execute("COMMENT ON SCHEMA facetally IS 'Counts of facial expressions, kept by facetally.'")
            connection.execute(
                "CREATE TABLE facetally.schema_version (version integer PRIMARY KEY,"
                " applied timestamptz NOT NULL DEFAULT now())"
            )
            connection.execute("COMMENT ON TABLE facetally.schema_version IS 'Versions of the tables that were made.'")
            connection.execute("COMMENT ON COLUMN facetally.schema_version.version IS 'Number of the version.'")
            connection.execute("COMMENT ON COLUMN facetally.schema_version.applied IS 'When it was made.'")
    connection.execute("SET search_path = facetally")
    steps = migrations()
    (present,) = connection.execute("SELECT coalesce(max(version), 0) FROM schema_version").fetchone() or (0,)
    if present > steps[-1].version:
        raise SyncRefused(
            f"PostgreSQL: the tables in schema {SCHEMA} must be of version {steps[-1].version} or older, are of"
            f" version {present}; update facetally"
        )
    for step in steps:
        if step.version > present:
            with connection.transaction():
                connection.execute(step.statements)
                connection.execute("INSERT INTO schema_version (version) VALUES (%s)", [step.version])
            _log.info(line("migrated", version=step.version))
