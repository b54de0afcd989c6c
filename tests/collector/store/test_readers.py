"""The programs of docs/analyst.md for DuckDB, pyarrow, Dask and pandas give the totals of `facetally-collector`."""

import json
import re
import shutil
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from base.errors import SettingsError
from collector.exports.tables import export
from collector.store.compaction import compact
from collector.store.load import labels, load
from tests.support.analyst_guide import BLOCKS, GUIDE, collector
from tests.support.store import START, put, window

ODD = {"calm": 4, "happiness": 2, "unknown": 1}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a varied store.

    It has sites whose names look like numbers, two label sets, files with and without doubtful visits, windows that two
    writers have stored, and times with and without fractions of a second.
    """
    folder = tmp_path_factory.mktemp("readers")
    shared = [window(number) for number in range(4)]
    shared.append(window(4, start=START + timedelta(minutes=4, milliseconds=250)))
    shared.append(window(5, schema=2, doubtful_low=2, doubtful_high=1))
    put(folder / "store", *shared, window(9, site="007", device="NA", boot="1e30000000000000"))
    odd = [window(6, ODD, start=START), window(7, ODD), window(8, ODD, site="007")]
    put(folder / "store", *shared[:3], *odd, writer="w2")
    return folder


@pytest.fixture(scope="module")
def compacted(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the same store: one day is compacted and has late windows beside it, the other is not.

    One late window is new. Another is one of those in a Parquet file: a device has sent it to a third writer, too.
    """
    folder = tmp_path_factory.mktemp("compacted")
    shutil.copytree(root / "store", folder / "store")
    assert len(list(compact(folder / "store", date(2026, 3, 29)))) == 1
    put(folder / "store", window(0, boot="f" * 16))
    put(folder / "store", window(0), writer="w3")
    kinds = [path.suffix for path in folder.glob("store/date=*/site=*/counts-*")]
    assert (kinds.count(".parquet"), kinds.count(".csv")) == (3, 8)
    return folder


def totals_of(tool: str, root: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run the guide's program that has a part, and return its variable ``totals``."""
    program = next(text for language, text in BLOCKS if language == "python" and tool in text)
    monkeypatch.chdir(root)
    names: dict[str, Any] = {}
    exec(compile(program, tool, "exec"), names)
    return names["totals"]


FRAMES = {
    "import duckdb": lambda totals: totals.df().set_index("site"),
    "FROM read_parquet(": lambda totals: totals.df().set_index("site"),
    "parquet.read_schema": lambda totals: totals,
    "once = table.group_by": lambda totals: totals.to_pandas().set_index("site"),
    "import dask.dataframe as dd": lambda totals: totals,
}
"""How the totals of each program of the guide become a DataFrame, by a part of its text."""
ONLY = {"import duckdb": "root", "FROM read_parquet(": "compacted"}
"""DuckDB needs one program for a store of CSV files and another for both kinds of files."""


@pytest.mark.parametrize("store", ["root", "compacted"])
def test_other_tools_give_the_same_totals(
    store: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """pandas, pyarrow, DuckDB and Dask give the totals of `summary`: each window once, with the labels of all bundles.

    That holds whichever writer has stored a window, and in whichever kind of file.
    """
    folder = request.getfixturevalue(store)
    summary = json.loads(collector("summary", "--root", folder / "store", "--by", "site", "--json").stdout)
    expected = {row["site"]: [row["happiness"], row["unknown"]] for row in summary}
    assert expected == {"007": [5, 1], "shop-1": [22 + 3 * (store == "compacted"), 2]}
    for tool in (tool for tool in FRAMES if ONLY.get(tool, store) == store):
        found = FRAMES[tool](totals_of(tool, folder, monkeypatch))
        totals = {site: list(map(float, row)) for site, row in zip(found.index, found.to_numpy(), strict=True)}
        assert totals == expected, tool


def test_pandas_reads_one_file_and_all_files(root: Path) -> None:
    """`read_csv` reads one file, and all files without repeats have the sums of `load`."""
    paths = sorted((root / "store").glob("date=*/site=*/counts-*.csv"))
    parts = [pd.read_csv(each, dtype={"site": str, "boot": str}, keep_default_na=False) for each in paths]
    whole = pd.concat(parts).drop_duplicates(["site", "device", "boot", "seq"])
    frame = load(root / "store")
    sums = [*labels(frame), "doubtful_low", "doubtful_high"]
    assert whole[sums].sum().to_dict() == frame[sums].sum().to_dict()
    assert frame["doubtful_low"].sum() == 2
    put(root / "more", window(1), window(2, start=START + timedelta(minutes=2, milliseconds=470)))
    (path,) = (root / "more").glob("date=*/site=*/counts-*.csv")
    (reader,) = re.findall(r"pd\.read_csv\(\n    \"store/.*?\n\)", GUIDE, re.DOTALL)
    names = {"pd": pd, "names": {"site": str, "device": str, "boot": str, "degraded": str}}
    guided = eval(re.sub(r'"store/.*?"', repr(str(path)), reader), names)
    assert guided["end"].dt.microsecond.tolist() == [0, 470_000]


def test_excel_has_the_content_of_csv(tmp_path: Path) -> None:
    """Numbers are numbers, times are UTC without a zone, and text that looks like a number or a formula is text."""
    models = {"model": window().model.__class__(detector="=1+1", expression="e@1")}
    put(tmp_path / "store", window(0), window(1, ODD, site="007", **models))
    frame, out = load(tmp_path / "store"), tmp_path / "counts.xlsx"
    export(frame, "excel", out)
    read = pd.read_excel(out, dtype={"site": str})
    assert list(read["site"]) == ["shop-1", "007"]
    assert read["happiness"].tolist() == [3, 2]
    assert pd.isna(read["calm"][0])
    assert read["calm"][1] == 4
    assert read["start"][1] == pd.Timestamp(START + timedelta(minutes=1)).tz_localize(None)
    assert read["model_detector"][1] == "=1+1"
    assert list(read.columns) == list(frame.columns)
    assert list(tmp_path.glob(".*")) == []


def test_a_table_too_large_for_excel_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the number of windows, the limit of a sheet, and the formats without a limit."""
    monkeypatch.setattr("collector.exports.tables.EXCEL_ROWS", 1)
    put(tmp_path / "store", window(0), window(1))
    with pytest.raises(SettingsError, match=r"range has 2.* csv"):
        export(load(tmp_path / "store"), "excel", tmp_path / "x.xlsx")
    with pytest.raises(SettingsError, match="--out"):
        export(load(tmp_path / "store"), "excel", None)
