"""The connection of `facetally-collector sync`: wrong input, passwords, outages, and two passes at once."""

import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from collector.__main__ import main
from tests.support.brokers import LIMIT_S, wait_until
from tests.support.postgresql import WITH_PASSWORD, Cluster, needs_postgresql, number, rows, sync
from tests.support.store import put, window

pytestmark = needs_postgresql


def command(root: Path, url: str, *arguments: str, **of: Any) -> subprocess.Popen[str]:
    """Start the command in a process of its own."""
    line = [sys.executable, "-W", "error", "-m", "collector", "sync", "--root", str(root), url, *arguments]
    return subprocess.Popen(line, stderr=subprocess.PIPE, text=True, **of)


def test_an_outage_is_waited_out_and_sigterm_ends(cluster: Cluster, url: str, tmp_path: Path) -> None:
    """With --every the command logs an outage once and its end, stores what came meanwhile, and ends with 0."""
    root = tmp_path / "store"
    put(root, window(1))
    process = command(root, url, "--every", "1")
    wait_until(lambda: has_windows(url, 1), "the first window is stored")
    cluster.stop("fast")
    put(root, window(2))
    assert process.stderr is not None
    until_line(process, "postgresql_away")
    cluster.start()
    wait_until(lambda: has_windows(url, 2), "the second window is stored")
    until_line(process, "postgresql_back")
    process.send_signal(signal.SIGTERM)
    assert process.wait(LIMIT_S) == 0
    with process.stderr:
        assert "Traceback" not in process.stderr.read()


def has_windows(url: str, windows: int) -> bool:
    try:
        return bool(number(url, "SELECT count(*) FROM windows") == windows)
    except psycopg.Error:
        return False


def until_line(process: "subprocess.Popen[str]", event: str) -> None:
    """Read the log up to an event."""
    assert process.stderr is not None
    assert any(f"event={event}" in line for line in iter(process.stderr.readline, "")), event


def no_database(url: str) -> str:
    return re.sub("test_[0-9]+", "missing", url)


def no_rights(url: str) -> str:
    rows(url, "SELECT 1")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DROP ROLE IF EXISTS stranger")
        connection.execute("CREATE ROLE stranger LOGIN")
    return url.replace("postgres@", "stranger@")


def newer(url: str) -> str:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE SCHEMA facetally")
        connection.execute("CREATE TABLE facetally.schema_version (version int)")
        connection.execute("INSERT INTO facetally.schema_version VALUES (99)")
    return url


@pytest.mark.parametrize(
    ("change", "status", "message"),
    [
        (lambda _: "mysql://host/name", 2, "URL: must begin with postgresql://"),
        (lambda _: "postgresql://host/%zz", 2, "URL: must be a URL such as postgresql://host/database"),
        (lambda _: "postgresql://me:topsecret@host/name", 2, "URL: must not have a password"),
        (lambda _: "postgresql://host/name?password=topsecret", 2, "URL: must not have a password"),
        (lambda url: url.replace("host=/tmp/", "host=/tmp/away-"), 1, "No such file or directory"),
        (no_database, 1, "does not exist"),
        (no_rights, 1, "permission denied for database"),
        (newer, 1, "must be of version 2 or older, are of version 99; update facetally"),
    ],
)
def test_bad_input_is_one_line(
    change: Callable[[str], str],
    status: int,
    message: str,
    url: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The error says what is wrong, has no traceback and no password, and the exit status is 2 for wrong arguments."""
    put(tmp_path, window(1))
    assert sync(tmp_path, change(url)) == status
    log = capsys.readouterr().err
    assert message in log
    assert "Traceback" not in log and "topsecret" not in log
    assert len(log.splitlines()) == 1


def test_the_password_comes_from_a_file(url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A user with a password is refused without it, and accepted with --password-file or ``sync.password_file``."""
    put(tmp_path / "store", window(1))
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {WITH_PASSWORD} LOGIN PASSWORD 'topsecret'".encode())
        connection.execute(
            f"GRANT CREATE ON DATABASE {url.partition('?')[0].rpartition('/')[2]} TO {WITH_PASSWORD}".encode()
        )
    locked, file = url.replace("postgres@", f"{WITH_PASSWORD}@"), tmp_path / "password"
    file.write_text("wrong\n")
    assert sync(tmp_path / "store", locked, "--password-file", str(file)) == 1
    assert "password authentication failed" in capsys.readouterr().err
    assert sync(tmp_path / "store", locked, "--password-file", str(tmp_path / "none")) == 2
    file.write_text("topsecret\n")
    settings = [f"sync.url={locked}", f"sync.password_file={file}"]
    options = [word for setting in settings for word in ("--set", setting)]
    assert main(["sync", "--root", str(tmp_path / "store"), *options]) == 0
    assert number(url, "SELECT count(*) FROM windows") == 1


def test_a_second_sync_waits_for_the_first(url: str, tmp_path: Path) -> None:
    """Two passes at once never write at the same time: the second begins when the lock is free."""
    put(tmp_path, window(1))
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SELECT pg_advisory_lock(%s)", [0x666163_74616C6C79])
        process = command(tmp_path, url)
        query = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        wait_until(lambda: connection.execute(query).fetchone() == (1,), "the sync waits")
        time.sleep(0.2)
        assert process.poll() is None
    assert process.wait(LIMIT_S) == 0
    assert number(url, "SELECT count(*) FROM windows") == 1
    assert process.stderr is not None
    process.stderr.close()
