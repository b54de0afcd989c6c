"""The main job, as `make run` does it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("skimage", reason="the demonstration's portraits come with scikit-image")

ROOT = Path(__file__).parents[2]


def demonstrate(out: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
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
    """The clip's five visits are counted once each, and the smiling portrait's three as happiness."""
    done = demonstrate(tmp_path)
    assert done.returncode == 0, done.stderr
    counts = counts_of(done)
    assert sum(counts.values()) == 5
    assert counts["happiness"] == 3
    (chart,) = tmp_path.glob("*/chart.png")
    assert chart.read_bytes().startswith(b"\x89PNG")
    files = tmp_path.glob("*/store/date=*/site=demo/counts-*.csv")  # two, if it is midnight meanwhile
    assert sum(csv.read_text().count("\n") - 1 for csv in files) == 15  # half a minute in windows of two seconds


def test_without_mosquitto_amqtt_serves(tmp_path):
    """Where no Mosquitto is installed the demonstration brings its own broker, which speaks MQTT 3.1.1 only."""
    pytest.importorskip("amqtt")
    done = demonstrate(tmp_path, "--broker", "amqtt")
    assert done.returncode == 0, done.stderr
    assert "broker: amqtt" in done.stdout
    assert "Failed to initialize" not in done.stderr, "what amqtt says of MQTT 5 stands in its log"
    assert "Traceback" not in done.stderr
    (log,) = tmp_path.glob("*/amqtt.log")
    assert "Failed to initialize" in log.read_text()
    assert sum(counts_of(done).values()) == 5


def test_clip_that_is_none_is_said(tmp_path):
    """A clip that does not open ends the demonstration with the daemon's own words and exit code."""
    (tmp_path / "notes.mp4").write_text("no video")
    done = demonstrate(tmp_path / "out", "--clip", str(tmp_path / "notes.mp4"))
    assert done.returncode == 2
    assert "notes.mp4: no video or animation" in done.stderr


def test_camera_that_is_not_there_is_said(tmp_path):
    """`check` is shown first, and what it finds wrong ends the demonstration."""
    done = demonstrate(tmp_path, "--camera", "63")
    assert done.returncode == 2
    assert "FAILED  camera: camera 63 does not open (is /dev/video63 there?)" in done.stdout
