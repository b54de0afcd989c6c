"""Visits of two label sets are never added up, unless a map says which labels are the same."""

from pathlib import Path

import numpy as np
import pytest

from collector.analysis.confusion import Confusion, with_labels
from collector.analysis.label_sets import label_sets, with_label_map, with_label_set
from collector.store.load import load
from tests.support.store import SEVEN, put, window

MOOD = {"positive": 2, "negative": 1, "neutral": 4, "unknown": 1}
MAP = dict.fromkeys(("anger", "disgust", "fear", "sadness"), "negative") | {
    "happiness": "positive",
    "surprise": "positive",
}


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Three windows of seven expressions, one of three moods."""
    put(tmp_path, *(window(n, dict.fromkeys(SEVEN, 1)) for n in range(3)), window(9, MOOD, device="new"))
    return tmp_path


def test_each_set_has_its_own_rows_and_columns(store: Path) -> None:
    frame = load(store)
    seven, mood = label_sets(frame)
    assert (seven.visits, mood.visits) == (24, 8)
    rows, sets = with_label_set(frame)
    assert (len(rows), sets[0]) == (3, seven)
    assert "positive" not in rows and "happiness" in rows
    rows, sets = with_label_set(frame, mood.name)
    assert (len(rows), [each.name for each in sets]) == (1, [mood.name, seven.name])
    assert "happiness" not in rows and rows["neutral"].tolist() == [4]
    rows, sets = with_label_set(frame, "00000000")
    assert (len(rows), sets[0].labels) == (0, ())


def test_a_map_joins_sets(store: Path) -> None:
    """Seven expressions become the three moods: one set, whose counts are sums."""
    frame = with_label_map(load(store), MAP)
    (only,) = label_sets(frame)
    assert set(only.labels) == {"positive", "negative", "neutral"}
    assert frame["negative"].tolist() == [4, 4, 4, 1]
    assert frame["positive"].tolist() == [2, 2, 2, 2]
    assert frame.columns[-1] == "unknown"


def test_a_map_joins_the_rows_and_columns_of_a_matrix() -> None:
    matrix = Confusion(("a", "b", "c"), np.array([[5, 1, 2, 3], [1, 6, 1, 0], [2, 2, 7, 1]], float), "visits")
    joined = with_labels(matrix, {"a": "x", "b": "x"})
    assert joined.labels == ("x", "c")
    assert joined.counts.tolist() == [[13, 3, 3], [4, 7, 1]]
    assert with_labels(matrix, {"z": "y"}) is matrix
