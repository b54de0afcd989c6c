"""What the daemon tells the updater, and what the updater's result tells the daemon."""

import json
import os

from edge.system.installed_release import installed_release, update_failed
from edge.system.progress import INTERVAL_S, ProgressFile


class Broker:
    """What is known of the connection."""

    connected, acknowledged = True, 3


def test_progress_is_written_every_two_seconds(tmp_path):
    """Frames, windows, the median time of a detection, and the broker's acknowledgements; replaced as a whole."""
    now = [100.0]
    progress = ProgressFile(60.0, {"RUNTIME_DIRECTORY": str(tmp_path)}, lambda: now[0])
    for seconds in (0.01, 0.5, 0.02):
        progress.on_stage_time("quality", 0.001)
        progress.on_stage_time("detect", seconds)
    progress.on_windows([None, None])
    now[0] += 4.5
    before = os.umask(0o077)  # as in the unit
    progress.write(Broker)
    os.umask(before)
    path = tmp_path / "progress.json"
    assert path.stat().st_mode & 0o777 == 0o644
    written = json.loads(path.read_text())
    assert written.pop("boot")
    assert written == {
        "release": None,
        "seconds": 4.5,
        "frames": 3,
        "windows": 2,
        "window_s": 60.0,
        "connected": True,
        "acknowledged": 3,
        "detection_ms": 20.0,
    }
    path.unlink()
    progress.write(Broker)
    assert not path.exists()
    now[0] += INTERVAL_S
    progress.write(Broker)
    assert [each.name for each in tmp_path.iterdir()] == ["progress.json"]


def test_without_a_runtime_directory_nothing_is_written(tmp_path, monkeypatch, caplog):
    """Started by hand, or with a directory that cannot be written: the daemon counts on, and logs the failure once."""
    monkeypatch.chdir(tmp_path)
    ProgressFile(60.0, {}).write(Broker)
    assert not list(tmp_path.iterdir())
    progress = ProgressFile(60.0, {"RUNTIME_DIRECTORY": str(tmp_path / "missing")}, iter(range(0, 100, 5)).__next__)
    for _ in range(3):
        progress.write(Broker)
    assert len(caplog.records) == 1


def test_the_release_is_the_name_of_the_slot(tmp_path):
    """A slot's environment names the release; the updater's file beside the slots names the last failure."""
    slot = tmp_path / "slots/2026-11"
    slot.mkdir(parents=True)
    assert installed_release(str(slot)) == "2026-11"
    assert update_failed(str(slot)) is None
    (tmp_path / "update-failed").write_text("release 3:\nit crashed\n" + "x" * 400)
    assert update_failed(str(slot)).startswith("release 3: it crashed x")
    assert len(update_failed(str(slot))) == 300
    assert installed_release("/usr") is None
    assert update_failed("/usr") is None
