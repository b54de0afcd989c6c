"""The HTTP API section of docs/analyst.md works as printed, over a real connection."""

import re
import subprocess
import sys
import threading
from datetime import datetime, timedelta, timezone
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from collector.settings import read_settings
from collector.web.serve import serve
from tests.support.brokers import LIMIT_S, free_port, wait_until
from tests.support.store import put, window

GUIDE = (Path(__file__).parents[3] / "docs" / "analyst.md").read_text(encoding="utf-8").partition("## The HTTP API")[2]
TOKEN = "0123456789abcdef"
NOW = datetime(2026, 3, 29, 1, 0, tzinfo=timezone.utc)


def test_the_example_reads_a_week(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The configuration in the guide is valid, its program prints visits by day, and a wrong token is refused."""
    monkeypatch.chdir(tmp_path)
    put(tmp_path / "store", *(window(n) for n in range(1, 61)))
    (tmp_path / "token").write_text(TOKEN + "\n")
    (config,) = re.findall(r"^```toml\n(\[api\]\n.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)
    (tmp_path / "api.toml").write_text(config)
    (program,) = re.findall(r"^```py\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)
    port, stop = free_port(), threading.Event()
    settings = read_settings(tmp_path / "api.toml", (f"page.port={port}",))
    thread = threading.Thread(target=serve, args=(settings, ZoneInfo("UTC"), stop, lambda: NOW + timedelta(hours=1)))
    thread.start()
    command = [sys.executable, "-c", program.replace("8050", str(port))]

    def run_program() -> subprocess.CompletedProcess[str]:
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    try:
        wait_until(lambda: "180" in run_program().stdout, "the visits are printed")
        (tmp_path / "token").write_text(TOKEN + "x\n")
        assert "401" in run_program().stderr
    finally:
        stop.set()
        thread.join(LIMIT_S)
    assert not thread.is_alive()


def test_only_loopback_addresses_count_as_this_machine(tmp_path: Path) -> None:
    """Loopback addresses are recognised; on any other address the API needs a token."""
    from base.loopback import is_loopback

    assert all(is_loopback(host) for host in ("127.0.0.1", "127.0.0.2", "::1", "localhost"))
    assert not any(is_loopback(host) for host in ("0.0.0.0", "::", "192.168.1.2", "shop.lan"))
