"""A real PostgreSQL for tests, and the command that keeps it up to date."""

from pathlib import Path
from typing import Any

import psycopg
import pytest

from benchmarks.machines.postgresql import WITH_PASSWORD, Cluster, postgresql, program
from collector.__main__ import main
from collector.devices.device import Device
from collector.devices.registry_file import RegistryContent, write
from contract.message import Model

__all__ = ["WITH_PASSWORD", "Cluster", "needs_postgresql", "number", "postgresql", "rows", "set_model", "sync"]
ZONE = "Europe/Berlin"

needs_postgresql = pytest.mark.skipif(
    program("initdb") is None, reason="PostgreSQL's server is not installed (apt-get install postgresql)"
)


def sync(root: Path, url: str, *arguments: str) -> int:
    """Run the command in this process; return its exit status."""
    return main(["sync", "--root", str(root), "--zone", ZONE, url, *arguments])


def rows(url: str, query: str) -> list[tuple[Any, ...]]:
    """Return the rows of a query."""
    with psycopg.connect(url, options="-c search_path=facetally") as connection:
        return connection.execute(query.encode()).fetchall()


def number(url: str, query: str) -> Any:
    """Return the only value of a query."""
    return rows(url, query)[0][0]


def set_model(root: Path, reported: Model) -> None:
    """Make both devices of shop-1 report a model, in ``devices.json``."""
    devices = tuple(Device(site="shop-1", device=name, model=reported, state="online") for name in ("door", "till"))
    write(root / "devices.json", RegistryContent(devices=devices))
