"""Fixtures of the tests of delivery."""

from pathlib import Path

import pytest

from edge.delivery.spool import opened


@pytest.fixture
def spool(tmp_path: Path):
    """An empty spool on disk."""
    with opened(tmp_path / "spool.sqlite", 10_000) as spool:
        yield spool
