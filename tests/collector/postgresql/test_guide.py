"""The commands and queries of docs/postgresql.md run against a real PostgreSQL, and give the figures of `summary`."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import pytest

from collector.analysis.breakdown import break_down
from collector.analysis.summarise import by_site
from collector.devices.device import Device
from collector.devices.registry_file import RegistryContent, write
from collector.settings import read_settings
from collector.store.load import load
from tests.support.device_models import model
from tests.support.postgresql import Cluster, needs_postgresql, postgresql
from tests.support.store import put, window

pytestmark = needs_postgresql
GUIDE = (Path(__file__).parents[3] / "docs" / "postgresql.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)
SQL = [text for language, text in BLOCKS if language == "sql"]
SETUP, READER, *QUERIES = SQL
MIX = {"anger": 2, "disgust": 0, "fear": 0, "happiness": 5, "sadness": 1, "surprise": 0, "neutral": 4, "unknown": 2}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a store of two sites, and a device that reports a confusion matrix."""
    folder = tmp_path_factory.mktemp("guide")
    root = folder / "store"
    put(root, *(window(each, MIX) for each in range(120)), window(0, MIX, site="shop-2"))
    write(root / "devices.json", RegistryContent(devices=(Device(site="shop-1", device="door", model=model()),)))
    return folder


@pytest.fixture(scope="module")
def cluster(folder: Path) -> Iterator[Cluster]:
    """Run PostgreSQL, set up and filled as the guide says."""
    with postgresql() as running:
        run(running.url(), SETUP)
        (line,) = [text for language, text in BLOCKS if language == "sh"]
        words = line.replace("postgresql://facetally@localhost/counts", running.url("counts", "facetally")).split()
        assert words[0] == "facetally-collector"
        command = [sys.executable, "-W", "error", "-m", "collector", *words[1:]]
        environment = {"PYTHONPATH": str(Path(__file__).parents[3]), "PATH": "/usr/bin"}
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        run(running.url("counts"), READER)
        yield running


def run(url: str, statements: str) -> list[tuple[Any, ...]]:
    """Run statements, each for itself; return the rows of the last."""
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in filter(str.strip, statements.split(";\n")):
            done = connection.execute(statement.encode())
        return done.fetchall() if done.description else []


def test_queries_give_the_figures_of_the_summary(cluster: Cluster, folder: Path) -> None:
    """A user who may only read gets the visits that `summary` prints, and a corrected share with its interval."""
    reader, frame = cluster.url("counts", "facetally_reader"), load(folder / "store")
    days, labels, shares, devices = (run(reader, query) for query in QUERIES)
    expected = break_down(frame, ["site", "day"], ZoneInfo("Europe/Berlin"))
    found = {(site, day): visits for site, day, visits, _ in days}
    assert found == {(site, day.date()): visits for (site, day), visits in expected["visits"].dropna().items()}
    assert sum(row[3] for row in days) == pytest.approx(121 * 0.983 / 60)
    sums = by_site(frame)
    assert {(site, label): visits for site, _, label, visits in labels} == {
        (site, label): sums.loc[site, label] for site in sums.index for label in MIX
    }
    assert [row[1] for row in shares] == ["shop-1", "shop-2"]
    _, _, corrected, low, high = shares[0]
    assert 0 < low < corrected < high < 1
    assert shares[1][2:] == (None, None, None), "its device reports no matrix"
    assert [row[:2] for row in devices] == [("shop-1", "door"), ("shop-2", "door")]


def test_the_reader_cannot_write(cluster: Cluster) -> None:
    """The user for BI tools may read every table, and change none."""
    reader = cluster.url("counts", "facetally_reader")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        run(reader, "DELETE FROM facetally.windows")
    for (name,) in run(
        reader, "SELECT table_name::text FROM information_schema.tables WHERE table_schema = 'facetally'"
    ):
        run(reader, f"SELECT * FROM facetally.{name} LIMIT 1")


def test_the_configuration_of_the_guide_is_valid(tmp_path: Path) -> None:
    (text,) = [text for language, text in BLOCKS if language == "toml"]
    (tmp_path / "collector.toml").write_text(text)
    assert read_settings(tmp_path / "collector.toml").sync.url == "postgresql://facetally@localhost/counts"
