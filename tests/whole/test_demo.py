"""The demonstration, as `make run` starts it."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("skimage", reason="scikit-image provides the portraits of the demonstration")

ROOT = Path(__file__).parents[2]


def demonstrate(out: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the demonstration with ``--out``."""
    return subprocess.run(
        [sys.executable, "-m", "demo", "--out", str(out), *arguments],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )


def counts_of(done: subprocess.CompletedProcess[str]) -> dict[str, int]:
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("counts: ")]
    return json.loads(line.removeprefix("counts: "))


def test_five_visits_three_of_them_happy(tmp_path):
    """The five visits of the clip are counted once each, the three of the smiling portrait as happiness."""
    done = demonstrate(tmp_path)
    assert done.returncode == 0, done.stderr
    counts = counts_of(done)
    assert sum(counts.values()) == 5
    assert counts["happiness"] == 3
    (chart,) = tmp_path.glob("*/chart.png")
    assert chart.read_bytes().startswith(b"\x89PNG")
    files = tmp_path.glob("*/store/date=*/site=demo/counts-*.csv")  # two files if midnight passes
    assert sum(csv.read_text().count("\n") - 1 for csv in files) == 15  # half a minute in windows of two seconds


def test_without_mosquitto_amqtt_serves(tmp_path):
    """Without Mosquitto the demonstration uses amqtt, which speaks MQTT 3.1.1 only."""
    pytest.importorskip("amqtt")
    done = demonstrate(tmp_path, "--broker", "amqtt")
    assert done.returncode == 0, done.stderr
    assert "broker: amqtt" in done.stdout
    assert "Failed to initialize" not in done.stderr, "amqtt's errors about MQTT 5 belong in its log"
    assert "Traceback" not in done.stderr
    (log,) = tmp_path.glob("*/amqtt.log")
    assert "Failed to initialize" in log.read_text()
    assert sum(counts_of(done).values()) == 5


def test_an_invalid_clip_is_an_error(tmp_path):
    """A clip that cannot be opened ends the demonstration with the daemon's message and exit code."""
    (tmp_path / "notes.mp4").write_text("no video")
    done = demonstrate(tmp_path / "out", "--clip", str(tmp_path / "notes.mp4"))
    assert done.returncode == 2
    assert "notes.mp4: no video or animation" in done.stderr


def test_a_missing_camera_is_an_error(tmp_path):
    """`check` runs first, and its failure ends the demonstration."""
    done = demonstrate(tmp_path, "--camera", "63")
    assert done.returncode == 2
    assert re.search(r"FAILED +camera +camera 63 does not open \(is /dev/video63 there\?\)", done.stdout)
