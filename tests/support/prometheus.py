"""A real Prometheus for tests, with the shipped configuration and alert rules."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.support.brokers import free_port, listens, wait_until
from tests.support.http import send

OK = 200
MONITORING = Path(__file__).parents[2] / "systemd" / "monitoring"
needs_prometheus = pytest.mark.skipif(
    not shutil.which("prometheus"), reason="prometheus is not on PATH (apt-get install prometheus)"
)


@contextmanager
def prometheus(folder: Path, target: int) -> Iterator[int]:
    """Scrape the collector on port ``target`` each second, with the shipped files; yield the port of Prometheus."""
    port = free_port()
    text = (MONITORING / "prometheus.yml").read_text()
    for theirs, ours in (("127.0.0.1:8050", f"127.0.0.1:{target}"), ("_interval: 30s", "_interval: 1s")):
        assert theirs in text, theirs
        text = text.replace(theirs, ours)
    (folder / "prometheus.yml").write_text(text)
    shutil.copy(MONITORING / "facetally-rules.yml", folder)
    command = ["prometheus", f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data"]
    command.append(f"--web.listen-address=127.0.0.1:{port}")
    with (folder / "prometheus.log").open("wb") as log, subprocess.Popen(command, stderr=log) as process:
        try:
            wait_until(lambda: listens(port) and send(port, "/-/ready").status == OK, "prometheus is ready")
            yield port
        finally:
            process.terminate()


def ask(port: int, path: str, **parameters: str) -> Any:
    """Return the data of an answer of the API of Prometheus, which must succeed."""
    answer = send(port, f"/api/v1/{path}?{urlencode(parameters)}")
    found = json.loads(answer.body)
    assert found["status"] == "success", found
    return found["data"]
