"""A real dask.distributed cluster of two worker processes does what one process does."""

import json
import os
import re
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
from collector.devices.registry import DeviceRegistry
from collector.errors import StoreRefused
from collector.rollups.rollup_file import read as read_rollup
from collector.scale.cluster import workers
from collector.scale.load_cells import load_cells
from collector.store.load import load
from collector.store.workers import GROUP, Workers
from contract.message import BundleIdentity, Model
from contract.topics import Address
from demo.mosquitto import free_port
from tests.support.analyst_guide import collector
from tests.support.store import SEVEN, START, put, window

REPOSITORY = Path(__file__).parents[3]
GUIDE = (REPOSITORY / "docs" / "scale.md").read_text(encoding="utf-8")
ADDRESS = "tcp://10.0.0.5:8786"
"""Of the scheduler in the guide."""
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


def test_the_command_prints_the_same_corrected_shares(root: Path, scheduler: str, tmp_path: Path) -> None:
    """`summary --corrected --scheduler` draws the same intervals, also where devices have different matrices."""
    shutil.copytree(root, tmp_path / "store")
    devices = DeviceRegistry(tmp_path / "store")
    for number, site in enumerate(("shop-0", "shop-2")):
        record_matrix(devices, site, right=20 + 30 * number)
    devices.save()
    for by in ("hour,site", "day", "weekday"):
        options = ("--root", tmp_path / "store", "--site", "shop-0,shop-2", "--by", by, "--corrected", "--json")
        here, there = collector("summary", *options), collector("summary", *options, "--scheduler", scheduler)
        rows = json.loads(here.stdout)
        assert any(row["low"] < row["corrected"] < row["high"] for row in rows if row["corrected"] is not None)
        assert json.loads(there.stdout) == rows


def record_matrix(devices: DeviceRegistry, site: str, right: int) -> None:
    """Record that the device of a site reports a matrix of its classifier, with ``right`` correct answers a label."""
    names = SEVEN[:-1]
    confusion = tuple(tuple(right if true == found else 5 for found in names) for true in names)
    model = Model(
        schema=2,
        detector=BundleIdentity(name="faces", sha256="0" * 64, labels=("face",)),
        expression=BundleIdentity(name="seven", sha256="ba9876543210" + "0" * 52, labels=names, confusion=confusion),
    )
    devices.record(Address(site, "door", "model"), model, False, START)


@pytest.mark.parametrize("zone", ["Europe/Berlin", "Asia/Kolkata"])
def test_roll_ups_of_a_cluster_are_the_same(root: Path, scheduler: str, tmp_path: Path, zone: str) -> None:
    """`rollup --scheduler` writes the cells, sources and damage that `rollup` writes, and nothing a second time."""
    files = []
    for name, options in (("here", ()), ("there", ("--scheduler", scheduler))):
        store = tmp_path / name
        shutil.copytree(root, store)  # with the times of the files, which the roll-up keeps
        damaged = min(store.glob("date=2026-*/site=*/*.csv"))
        times = damaged.stat().st_atime_ns, damaged.stat().st_mtime_ns
        damaged.write_text(damaged.read_text() + "junk\n")
        os.utime(damaged, ns=times)
        done = collector("rollup", "--root", store, "--zone", zone, *options)
        assert damaged.name in done.stderr
        files.append(sorted(path.relative_to(store) for path in store.glob("_rollup/*/*.parquet")))
        before = [(store / path).stat() for path in files[-1]]
        assert collector("rollup", "--root", store, "--zone", zone, *options).stdout == done.stdout
        assert [(store / path).stat().st_ino for path in files[-1]] == [stat.st_ino for stat in before]
    assert files[0] == files[1] != []
    for path in files[0]:
        here, there = (read_rollup(tmp_path / name / path) for name in ("here", "there"))
        pd.testing.assert_frame_equal(there.frame, here.frame)
        assert (there.sources, there.damages) == (here.sources, here.damages)


def test_the_first_groups_are_the_largest(root: Path, cluster: Workers) -> None:
    """Items keep their order. The last groups are so small that no worker waits long for another one."""
    sizes = list(cluster.map_groups(len, range(1000)))
    assert sum(sizes) == 1000
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] == GROUP and sizes[-1] == 1
    assert list(cluster.map(str, range(1000))) == [str(number) for number in range(1000)]


def test_the_commands_of_the_guide_run(
    root: Path, scheduler: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each command of docs/scale.md does what it says, with this store and cluster."""
    shutil.copytree(root, tmp_path / "store", ignore=shutil.ignore_patterns("site=shop-1"))  # it has two label sets
    devices = DeviceRegistry(tmp_path / "store")
    record_matrix(devices, "shop-0", right=50)
    devices.save()
    (commands,) = re.findall(r"^```sh\n([^`]*--scheduler[^`]*)^```$", GUIDE, re.MULTILINE)
    given = {"store": str(tmp_path / "store"), "counts.parquet": str(tmp_path / "counts.parquet"), ADDRESS: scheduler}
    before = load(tmp_path / "store")
    for line in commands.splitlines():
        name, *arguments = line.split()
        assert (name, arguments[-1]) == ("facetally-collector", ADDRESS)
        collector(*(given.get(each, each) for each in arguments))
    assert not list(tmp_path.glob("store/date=*/site=*/*.csv"))
    assert list(tmp_path.glob("store/_rollup/3600/*.parquet"))
    assert len(pd.read_parquet(tmp_path / "counts.parquet")) == len(before)


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
