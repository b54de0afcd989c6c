"""Compacted days in S3-compatible storage: a real server process of moto, reached as any other by its address."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

pytest.importorskip("s3fs", reason="s3fs is not installed (extra scale)")
pytest.importorskip("moto", reason="moto is not installed")

import facetally
from collector.__main__ import main
from collector.scale.object_store import upload_store
from collector.store.compaction import compact
from demo.mosquitto import free_port, wait_for
from tests.support.analyst_guide import REPOSITORY, collector
from tests.support.store import put, window
from tests.support.waiting import LIMIT_S

GUIDE = (REPOSITORY / "docs" / "scale.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)
BEFORE = date(2026, 4, 1)
URL = "s3://counts/store"
ODD = {"calm": 4, "happiness": 2, "unknown": 1}


@pytest.fixture(scope="module", autouse=True)
def storage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Run the server, and set the variables by which clients find it and log in."""
    from s3fs import S3FileSystem

    port, log = free_port(), tmp_path_factory.mktemp("moto") / "log"
    with log.open("wb") as file, pytest.MonkeyPatch.context() as patch:
        server = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-p", str(port)], stdout=file, stderr=file, cwd=log.parent
        )
        try:
            wait_for(port, 60)
            patch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
            for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
                patch.setenv(name, "testing")
            patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
            S3FileSystem(skip_instance_cache=True).mkdir("counts")
            yield
        finally:
            server.terminate()
            server.wait(LIMIT_S)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a compacted store of two days, two sites and two label sets that is uploaded."""
    folder = tmp_path_factory.mktemp("local") / "store"
    put(folder, *(window(number) for number in range(4)), window(4, ODD, site="shop-2"))
    list(compact(folder, BEFORE))
    for path in folder.glob("date=*/site=*/*.parquet"):
        os.utime(path, (time.time() - 60,) * 2)  # the times of objects are whole seconds
    assert "3 files" in collector("upload", "--root", folder, URL).stdout
    return folder


def test_only_what_is_new_is_copied(root: Path) -> None:
    """A second upload copies nothing; after a late window was compacted, its file is copied again."""
    assert (upload_store(root, URL).files, upload_store(root, URL).present) == (0, 3)
    put(root, window(9))
    list(compact(root, BEFORE))
    assert upload_store(root, URL).files == 1


def test_a_store_in_object_storage_is_read_like_a_folder(root: Path) -> None:
    """`facetally.load` and `summary` give the same windows and totals, with a range and a site, too."""
    for options in ({}, {"site": "shop-2"}, {"until": pd.Timestamp("2026-03-29T00:00Z").to_pydatetime()}):
        pd.testing.assert_frame_equal(facetally.load(URL, **options), facetally.load(root, **options))
    printed = [collector("summary", "--root", each, "--by", "site", "--csv").stdout for each in (root, URL)]
    assert printed[0] == printed[1] and "shop-2" in printed[0]


def test_an_export_is_written_to_object_storage(root: Path) -> None:
    """The object is the file that `export` writes."""
    assert main(["export", "--root", str(root), "--out", "s3://counts/all.parquet"]) == 0
    pd.testing.assert_frame_equal(
        pd.read_parquet("s3://counts/all.parquet")["seq"].to_frame(), facetally.load(root)["seq"].to_frame()
    )


def test_what_cannot_be_used_is_named(root: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A missing bucket, another kind of address, a live store and a cluster end with 2 and the address."""
    for arguments, words in (
        (("summary", "--root", "s3://none/store"), "s3://none/store: must exist"),
        (("summary", "--root", "s3://counts"), "s3://counts: must be a store that `upload` has copied"),
        (("upload", "--root", str(root), "s3://"), "URL: must be s3://BUCKET or s3://BUCKET/PREFIX, is 's3://'"),
        (("upload", "--root", str(root), "http://counts"), "must begin with s3://"),
        (("run", "--root", URL), f"store.root: must be a folder, is {URL}"),
        (("summary", "--root", URL, "--scheduler", "tcp://127.0.0.1:1"), "--scheduler: store.root must be a folder"),
    ):
        assert main(arguments) == 2
        assert words in capfd.readouterr().err


def test_an_object_is_never_copied_out_of_the_folder(root: Path, tmp_path: Path) -> None:
    """Whoever may write to the bucket cannot write files of a reader."""
    from s3fs import S3FileSystem

    outside = tmp_path / "outside"
    S3FileSystem(skip_instance_cache=True).pipe(f"counts/store/date=2026-03-28/{'../' * 9}{str(outside)[1:]}", b"x")
    facetally.load(URL)
    assert not outside.exists()


def test_the_commands_of_the_guide_run(root: Path) -> None:
    """Each command of docs/scale.md does what it says, with this store."""
    (commands,) = [text for language, text in BLOCKS if language == "sh" and "s3://" in text]
    for line in commands.splitlines():
        name, *arguments = line.split("  #")[0].split()
        assert name == "facetally-collector"
        collector(*(str(root) if each == "store" else each for each in arguments))
    assert len(pd.read_csv("s3://counts/march.csv")) == len(facetally.load(root))


@pytest.mark.parametrize("tool", ["import duckdb", "from pyarrow import dataset"])
def test_the_programs_of_the_guide_give_the_same_totals(root: Path, tool: str) -> None:
    """DuckDB and pyarrow read the bucket through s3fs, as docs/scale.md says."""
    (program,) = [text for language, text in BLOCKS if language == "python" and tool in text]
    names: dict[str, Any] = {}
    exec(compile(program, tool, "exec"), names)
    found = names["totals"].set_index("site")["happiness"]
    assert found.astype(float).to_dict() == facetally.load(root).groupby("site")["happiness"].sum().to_dict()
