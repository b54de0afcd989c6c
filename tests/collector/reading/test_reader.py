"""A reader of some sites sees nothing of the others."""

from datetime import timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from collector.reading.reader import Reader
from collector.store.load import labels
from tests.support.store import SEVEN, START, put, window

UTC = ZoneInfo("UTC")


def test_labels_that_only_other_sites_have_are_left_out(tmp_path: Path) -> None:
    """Also after a reader of all sites has taken all of them into memory, and for a site without rows."""
    put(tmp_path, window(1), window(2, {"child": 4, "unknown": 1}, site="shop-2"), window(3, site="shop-3"))
    span, everything = (START, START + timedelta(hours=1)), Reader(tmp_path, lambda: START + timedelta(minutes=30))
    assert "child" in labels(everything.cells(span, UTC))
    for sites in ({"shop-1"}, {"shop-1", "shop-3"}):
        own = everything.only(frozenset(sites))
        for frame in (own.cells(span, UTC), own.windows(span)):
            assert labels(frame) == list(SEVEN)
            assert set(frame["site"]) == sites
        assert [each.labels for each in own.last_hour(UTC).sets] == [SEVEN[:-1]]
        assert labels(own.cells(span, UTC, ["shop-2"])) == []
