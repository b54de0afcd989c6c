"""Windows are loaded with fixed types, from the days asked for."""

from datetime import timedelta
from pathlib import Path

import pandas as pd

from collector.store.load import labels, load, sites
from tests.support.store import SEVEN, START, put, window


def test_a_label_that_a_bundle_lacks_is_nan(tmp_path: Path) -> None:
    """Another bundle has another file; a label that it does not have is NaN, not 0."""
    put(tmp_path, window(1), window(2, {"calm": 0, "busy": 7, "unknown": 1}))
    assert len(list(tmp_path.glob("date=*/site=*/*.csv"))) == 2
    frame = load(tmp_path)
    assert labels(frame) == [*SEVEN[:-1], "calm", "busy", "unknown"] or labels(frame) == [
        "calm", "busy", *SEVEN[:-1], "unknown",
    ]  # fmt: skip
    old, new = frame.iloc[0], frame.iloc[1]
    assert (old["anger"], new["busy"], new["calm"]) == (0, 7, 0)
    assert pd.isna(old["busy"])
    assert pd.isna(new["anger"])


def test_names_that_look_like_numbers_stay_text(tmp_path: Path) -> None:
    """A site NA, a device 007 and a boot like 1e3 are loaded as text; times are UTC, counts are float64."""
    put(tmp_path, window(1, site="NA", device="007", boot="1e30000000000000"))
    frame = load(tmp_path)
    assert list(frame.loc[0, ["site", "device", "boot", "degraded"]]) == ["NA", "007", "1e30000000000000", ""]
    assert str(frame["start"].dt.tz) == "UTC"
    assert frame["start"][0] == START + timedelta(minutes=1)
    assert {str(frame[name].dtype) for name in SEVEN} == {"float64"}
    assert str(frame["seq"].dtype) == "int64"


def test_only_the_days_asked_for_are_opened(tmp_path: Path) -> None:
    """Files of other days are neither read nor reported; the range is since <= start < until."""
    put(tmp_path, window(0), window(1), window(2), window(1500))
    (other,) = tmp_path.glob("date=2026-03-30/site=*/*.csv")
    other.write_text("not,ours\n1,2\n")
    since, until = START + timedelta(minutes=1), START + timedelta(minutes=2)
    damages: dict[Path, object] = {}
    assert list(load(tmp_path, since, until, on_damage=damages.__setitem__)["seq"]) == [1]
    assert set(damages.values()) == {None}
    assert list(load(tmp_path, on_damage=damages.__setitem__)["seq"]) == [0, 1, 2]
    assert "first columns" in str(damages[other])


def test_an_empty_store_is_an_empty_table(tmp_path: Path) -> None:
    """It has the columns and types of a table of windows."""
    frame = load(tmp_path)
    assert frame.empty
    assert str(frame["start"].dtype).endswith("UTC]")
    assert sites(tmp_path) == []
