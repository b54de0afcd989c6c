"""The label columns of a table are found by its layout, whatever was added to it or is its index."""

from datetime import timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pandas as pd
import pytest

from collector.analysis.summarise import by_device, by_time
from collector.rollups.cells import HOUR_S, cells
from collector.store.columns import RESERVED_NAMES, label_columns
from collector.store.load import load
from tests.support.store import SEVEN, START, put, window

UTC = ZoneInfo("UTC")


@pytest.fixture
def windows(tmp_path: Path) -> pd.DataFrame:
    """Two windows, one of them with doubtful visits."""
    put(tmp_path, window(1), window(2, schema=2, doubtful_low=1))
    return load(tmp_path)


def test_windows_cells_and_summaries_have_the_same_labels(windows: pd.DataFrame) -> None:
    """Fixed and doubtful columns, and the figures of a summary, are no labels."""
    tables = (windows, cells(windows, HOUR_S), by_time(windows, HOUR_S, UTC), by_device(windows).reset_index())
    for table in tables:
        assert label_columns(table) == list(SEVEN)


def test_a_column_that_is_the_index_or_was_added_does_not_matter(windows: pd.DataFrame) -> None:
    """Labels follow the fixed columns that are there, and a reserved name is no label."""
    assert label_columns(windows.set_index(["site", "seq"])) == list(SEVEN)
    assert label_columns(windows.assign(visits=1.0, hour=9)) == list(SEVEN)
    assert label_columns(windows[["unknown", "anger"]]) == ["anger", "unknown"]


def test_every_fixed_column_is_a_reserved_name(windows: pd.DataFrame) -> None:
    """A table has reserved names and labels only."""
    for table in (windows, cells(windows, HOUR_S), by_time(windows, HOUR_S, UTC, (START, START + timedelta(hours=2)))):
        assert set(table.columns) - set(label_columns(table)) <= RESERVED_NAMES
