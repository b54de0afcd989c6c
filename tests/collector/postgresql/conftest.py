"""A PostgreSQL for all tests, a database for each, and a store with all that a store may hold."""

from collections.abc import Iterator
from datetime import date, timedelta
from itertools import count
from pathlib import Path

import psycopg
import pytest

from collector.store.compaction import compact
from tests.support.device_models import model
from tests.support.postgresql import Cluster, postgresql, set_model
from tests.support.store import START, put, window

ODD = {"calm": 4, "busy": 1, "unknown": 1}
NUMBERS = count()


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A running server, which a test may stop and start."""
    with postgresql() as running:
        yield running


@pytest.fixture
def url(cluster: Cluster) -> str:
    """Return the URL of a new, empty database."""
    name = f"test_{next(NUMBERS)}"
    with psycopg.connect(cluster.url(), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    return cluster.url(name)


@pytest.fixture
def varied(tmp_path: Path) -> Path:
    """Return a store with all that a store may hold.

    Two sites, two label sets, doubtful windows, windows of two writers, a clock that was never set, a window of three
    hours, a compacted day with a late window beside it, and devices with confusion matrices.
    """
    root = tmp_path / "store"
    mix = {"anger": 2, "disgust": 0, "fear": 0, "happiness": 5, "sadness": 1, "surprise": 0, "neutral": 4, "unknown": 2}
    put(root, *(window(each, mix) for each in range(90)), window(0, site="007", device="NA"))
    put(root, window(200, device="till", end=START + timedelta(hours=6)), window(300, schema=2, doubtful_low=2))
    put(root, *(window(each, mix) for each in range(3)), window(400, ODD, device="till"), writer="w2")
    put(root, window(500, clock="unsynced"), window(501, mix, start=START + timedelta(days=3)))
    assert len(list(compact(root, date(2026, 3, 29)))) == 1
    put(root, window(0, boot="f" * 16))
    set_model(root, model())
    return root
