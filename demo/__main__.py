"""Demonstrate the whole system: the daemon counts a clip or a camera, the collector stores, a chart or page is shown.

``python -m demo [--camera N | --clip PATH]``. All parts are the real ones; without a clip, one is rendered.
"""

import argparse
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tqdm import tqdm

from collector.store.load import labels, load
from demo.broker import broker
from demo.clip import compose
from demo.mosquitto import free_port, wait_for
from edge.camera_settings import camera_keys

CONFIG = """\
# Written by the demonstration. k = 1, short windows and no wait for the clock are not for use in a shop.
site = "demo"
device = "door"
[capture]
{capture}
[admit]
staff_zones = []
[tally]
window_s = {window_s}
[privacy]
k = 1
[broker]
host = "127.0.0.1"
port = {port}
[spool]
path = {spool}
unsynced_hold_h = 0
"""
PYTHON = (sys.executable, "-m")
PAGE_LIMIT_S = 60.0
"""Time for the page to start on a slow machine, which imports Dash first."""
CLIP_WINDOW_S, CAMERA_WINDOW_S = 2.0, 10.0
QUIET_S = 2.0
"""After the daemon has ended, the store is taken as complete when no row has been added for this time."""


def main() -> int:
    """Run the demonstration; return the exit code of the part that failed, or 0."""
    parser = argparse.ArgumentParser(prog="python -m demo", description=__doc__.partition("\n")[0])
    source = parser.add_mutually_exclusive_group()
    source.add_argument(
        "--camera", help="number or path of a USB camera, or URL of a network camera; serves the page until Ctrl-C"
    )
    source.add_argument("--clip", type=Path, help="video, animated GIF or folder of images to count")
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder for all output (default: %(default)s)")
    parser.add_argument(
        "--broker", choices=("mosquitto", "amqtt"), help="broker to use (default: mosquitto if installed, else amqtt)"
    )
    arguments = parser.parse_args()
    folder = arguments.out / time.strftime("%Y%m%d-%H%M%S")
    folder.mkdir(parents=True, exist_ok=True)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with broker(folder, arguments.broker) as (name, port):
        print(f"broker: {name} on port {port}; logs in {folder}")
        with _running([*PYTHON, "collector", "run", *_store_options(folder, port)], folder / "collector.log"):
            if arguments.camera is not None:
                return _count_camera(folder, port, arguments.camera)
            status = _count_clip(folder, port, arguments.clip or _rendered_clip(folder))
            _wait_for_store(folder)
    return status or _show_result(folder, port)


def _store_options(folder: Path, port: int) -> list[str]:
    return ["--root", str(folder / "store"), "--set", "broker.host=127.0.0.1", "--set", f"broker.port={port}"]


def _rendered_clip(folder: Path) -> Path:
    clip = folder / "walk-by.mp4"
    compose(clip)
    return clip


def _write_config(folder: Path, port: int, capture: str, window_s: float) -> Path:
    """Write the daemon's configuration, and return its path."""
    path = folder / "edge.toml"
    spool = json.dumps(str(folder / "spool.sqlite"))
    path.write_text(CONFIG.format(capture=capture, window_s=window_s, port=port, spool=spool))
    return path


def _count_clip(folder: Path, port: int, clip: Path) -> int:
    """Run the daemon until the clip ends; return its exit code, and print its log if that is not 0."""
    config = _write_config(folder, port, f'source = "file"\npath = {json.dumps(str(clip))}', CLIP_WINDOW_S)
    command = [*PYTHON, "edge", "run", "--config", str(config)]
    with _running(command, folder / "edge.log") as daemon, tqdm(desc="windows in the store", unit="window") as bar:
        while daemon.poll() is None:
            time.sleep(0.2)
            bar.update(_rows(folder) - bar.n)
    if daemon.returncode:
        print((folder / "edge.log").read_text(), file=sys.stderr)
    return daemon.returncode


def _count_camera(folder: Path, port: int, camera: str) -> int:
    """Run the daemon on a camera, and serve the page, until Ctrl-C; return an exit code."""
    keys = "\n".join(f"{key} = {json.dumps(value)}" for key, value in camera_keys(camera).items())
    config = _write_config(folder, port, keys, CAMERA_WINDOW_S)
    if status := subprocess.run([*PYTHON, "edge", "check", "--config", str(config)], check=False).returncode:
        return status
    page = free_port()
    serve = [*PYTHON, "collector", "serve", *_store_options(folder, port), "--set", f"page.port={page}"]
    count = [*PYTHON, "edge", "run", "--config", str(config)]
    with _running(count, folder / "edge.log") as daemon, _running(serve, folder / "page.log"):
        wait_for(page, PAGE_LIMIT_S)
        print(f"page: http://127.0.0.1:{page}/   (Ctrl-C stops)", flush=True)
        try:
            return daemon.wait()
        except KeyboardInterrupt:
            return 0


def _wait_for_store(folder: Path) -> None:
    """Return when no row has been added to the store for `QUIET_S`."""
    rows, since = _rows(folder), time.monotonic()
    while time.monotonic() - since < QUIET_S:
        time.sleep(0.1)
        if (now := _rows(folder)) != rows:
            rows, since = now, time.monotonic()


def _rows(folder: Path) -> int:
    """Return the number of windows in the store."""
    return sum(path.read_bytes().count(b"\n") - 1 for path in (folder / "store").glob("date=*/site=*/*.csv"))


def _show_result(folder: Path, port: int) -> int:
    """Draw the chart, and print the counts and the paths of all files; return the exit code of the summary."""
    chart = folder / "chart.png"
    summary = [*PYTHON, "collector", "summary", *_store_options(folder, port), "--by", "site", "--chart", str(chart)]
    status = subprocess.run(summary, stdout=subprocess.DEVNULL, check=False).returncode
    frame = load(folder / "store", None, None, None)
    counts = {label: int(frame[label].sum()) for label in labels(frame)}
    print(f"windows: {len(frame)}, coverage {frame['coverage'].mean():.2f}")
    for path in sorted((folder / "store").glob("date=*/site=*/*.csv")):
        print(f"csv: {path}")
    print(f"chart: {chart}")
    print(f"counts: {json.dumps(counts)}")
    return status


@contextmanager
def _running(command: list[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a process that writes to a log, and end it with SIGTERM."""
    with log.open("w") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out)
        try:
            yield process
        finally:
            if process.poll() is None:
                process.terminate()
            process.wait(30)


if __name__ == "__main__":
    sys.exit(main())
