"""The corrected shares in PostgreSQL are those of the summary."""

from datetime import date
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from collector.analysis.command_summary import summary_table
from collector.analysis.label_sets import label_sets, with_label_set
from collector.store.load import load
from contract.message import Model
from tests.support.device_models import model
from tests.support.postgresql import ZONE, needs_postgresql, number, rows, set_model, sync
from tests.support.store import put, window

pytestmark = needs_postgresql


def expected_shares(root: Path, kind: str, zone: str) -> dict[tuple[Any, ...], list[float]]:
    """Return the shares that ``summary --corrected`` prints for each label set, by day, site, label set and label."""
    frame, found = load(root), {}
    for each in label_sets(frame):
        part, _ = with_label_set(frame, each.name)
        table = summary_table(part, [kind, "site"], ZoneInfo(zone), None, corrected_by=root)
        for (start, site, label), row in table.iterrows():
            if row["visits"] > 0 or not np.isnan(row["share"]):
                values = row[["visits", "share", "corrected", "low", "high"]].tolist()
                found[start.date(), site, each.name, label] = values
    return {key: values for key, values in found.items() if key[3] != "unknown"}


@pytest.mark.parametrize(("kind", "zone"), [("day", ZONE), ("week", ZONE), ("month", ZONE), ("day", "Asia/Kolkata")])
def test_shares_equal_the_summary(varied: Path, url: str, kind: str, zone: str) -> None:
    """Shares and intervals are the values of ``summary --corrected``, also where days begin within an hour."""
    assert sync(varied, url, "--zone", zone) == 0
    columns = "start_date, site, left(label_set, 8), label, visits, share, corrected, low, high"
    query = f"SELECT {columns} FROM shares WHERE period = '{kind}'"
    found = {row[:4]: [np.nan if value is None else value for value in row[4:]] for row in rows(url, query)}
    expected = expected_shares(varied, kind, zone)
    assert set(found) == set(expected)
    assert sum(not np.isnan(values[2]) for values in expected.values()) >= 7
    for key, values in expected.items():
        assert found[key] == pytest.approx(values, rel=1e-9, abs=1e-9, nan_ok=True), key


def test_shares_follow_a_new_matrix_and_zone(varied: Path, url: str) -> None:
    """A device that reports another confusion matrix changes the shares of earlier days, as on the page."""
    assert sync(varied, url) == 0
    query = "SELECT corrected FROM shares WHERE (start_date, period, label) = ('2026-03-01', 'month', 'happiness')"
    query += " AND site = 'shop-1'"
    before = number(url, query)
    confusion = tuple(tuple(300 if row == column else 90 for column in range(7)) for row in range(7))
    changed = model().expression.__class__(
        name="seven", sha256=model().expression.sha256, labels=model().expression.labels, confusion=confusion
    )
    set_model(varied, Model(schema=1, detector=model().detector, expression=changed))
    assert sync(varied, url) == 0
    assert number(url, query) != before
    expected = expected_shares(varied, "month", ZONE)
    ((_, values),) = [
        each for each in expected.items() if each[0][::3] == (date(2026, 3, 1), "happiness") and each[0][1] == "shop-1"
    ]
    assert number(url, query) == pytest.approx(values[2])
    assert sync(varied, url, "--zone", "UTC") == 0
    assert number(url, "SELECT min(start_date) FROM shares WHERE period = 'day'") == date(2026, 3, 28)
    (varied / "devices.json").write_bytes(b"{")
    put(varied, window(600))
    assert sync(varied, url, "--zone", "UTC") == 0
    assert number(url, query) is not None
