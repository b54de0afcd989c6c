"""A real dask.distributed cluster of two worker processes does what one process does."""

import json
import shutil
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pandas as pd
import pytest

pytest.importorskip("distributed", reason="dask.distributed is not installed (extra scale)")

from base.errors import SettingsError
from benchmarks.simulation.dask_cluster import dask_cluster
from collector.analysis.breakdown import break_down
from collector.errors import StoreRefused
from collector.scale.cluster import workers
from collector.scale.load_cells import load_cells
from collector.store.load import load
from collector.store.workers import Workers
from demo.mosquitto import free_port
from tests.support.analyst_guide import collector
from tests.support.store import START, put, window

ODD = {"calm": 4, "happiness": 2, "unknown": 1}


@pytest.fixture(scope="module")
def scheduler(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run a scheduler and two workers, and return the scheduler's address."""
    with dask_cluster(tmp_path_factory.mktemp("dask"), 2) as running:
        yield running.address


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a store of six days, three sites and two label sets, with repeats and a clock that was never set."""
    folder = tmp_path_factory.mktemp("store")
    shared = [
        window(number, start=START + timedelta(hours=13 * number, seconds=40), site=f"shop-{number % 3}")
        for number in range(12)
    ]
    put(folder, *shared, window(13, ODD), window(14, clock="unsynced"))
    put(folder, *shared[:4], window(15, ODD, device="till"), writer="w2")
    return folder


@pytest.fixture(scope="module")
def cluster(scheduler: str) -> Iterator[Workers]:
    """Return the workers of the cluster."""
    with workers(scheduler, at_least=2) as working:
        yield working


@pytest.mark.parametrize(("zone", "since"), [("Europe/Berlin", START), ("Asia/Kolkata", START + timedelta(hours=34))])
def test_sums_of_a_cluster_are_those_of_the_windows(root: Path, cluster: Workers, zone: str, since: datetime) -> None:
    """Tables by time are the same from all windows and from a part, also where days begin at half past an hour."""
    frame, name = load(root, since), ZoneInfo(zone)
    cells = load_cells(root, since, None, None, name, cluster)
    for by in (["day", "site"], ["hour"], ["weekday"], ["month", "device"]):
        expected, found = (break_down(each, by, name) for each in (frame, cells))
        assert len(expected)
        pd.testing.assert_frame_equal(found, expected)
    totals = [break_down(each, ["site"], name).drop(columns=["coverage", "seconds"]) for each in (frame, cells)]
    pd.testing.assert_frame_equal(*totals)


def test_the_command_prints_the_same_summary(root: Path, scheduler: str) -> None:
    """`summary --scheduler` prints what `summary` prints, and warns of the same windows without a time."""
    options = ("--root", root, "--by", "day,site", "--zone", "Europe/Berlin", "--json")
    here, there = collector("summary", *options), collector("summary", *options, "--scheduler", scheduler)
    assert json.loads(here.stdout) == json.loads(there.stdout) != []
    assert "windows=1 " in here.stderr and "windows=1 " in there.stderr


def test_windows_read_by_a_cluster_are_the_same(root: Path, cluster: Workers) -> None:
    """The table that `export` writes has the same rows in the same order."""
    pd.testing.assert_frame_equal(load(root, START, site="shop-1", workers=cluster), load(root, START, site="shop-1"))


def test_a_cluster_compacts_a_store(root: Path, scheduler: str, tmp_path: Path) -> None:
    """The windows stay the same, a damaged file stays and is named, and no CSV file but that is left."""
    shutil.copytree(root, tmp_path / "store")
    damaged = sorted(tmp_path.glob("store/date=*/site=*/*.csv"))[0]
    damaged.write_text(damaged.read_text() + "junk\n")
    before = load(tmp_path / "store")
    done = collector("compact", "--root", tmp_path / "store", "--scheduler", scheduler)
    assert "1 stay" in done.stdout and damaged.name in done.stderr
    assert list(tmp_path.glob("store/date=*/site=*/counts-*.csv")) == [damaged]
    pd.testing.assert_frame_equal(load(tmp_path / "store"), before)


def test_what_a_cluster_lacks_is_named(root: Path, cluster: Workers, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says which address is none, where nobody answers, and which folder a worker does not have."""
    monkeypatch.setattr("collector.scale.cluster.CONNECT_S", 0.5)
    port = free_port()
    with (
        pytest.raises(SettingsError, match=f"--scheduler: tcp://127.0.0.1:{port} cannot be reached"),
        workers(f"tcp://127.0.0.1:{port}"),
    ):
        pass
    with (
        pytest.raises(SettingsError, match="must be tcp://HOST:PORT or tls://HOST:PORT, is 'localhost'"),
        workers("localhost"),
    ):
        pass
    with pytest.raises(StoreRefused, match=r"elsewhere: must be a folder on every worker, is missing on"):
        list(cluster.map(str, [root / "elsewhere"]))
