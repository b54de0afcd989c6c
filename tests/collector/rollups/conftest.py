"""A store whose sums of all sites are on disk."""

import random
from pathlib import Path

import pytest

from collector.reading.reader import Reader
from tests.support.fleet_stores import DAYS, FIRST, NOW, YEAR, age_files, register, windows
from tests.support.page_contents import page_contents
from tests.support.store import put


@pytest.fixture
def summed(tmp_path: Path) -> Path:
    """A store whose sums are on disk."""
    rng = random.Random(8)
    put(tmp_path, *windows(rng, 300, FIRST, DAYS))
    age_files(tmp_path, FIRST)
    register(tmp_path, rng)
    page_contents(Reader(tmp_path, lambda: NOW), NOW, YEAR)
    return tmp_path
