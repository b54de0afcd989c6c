"""``python -m demo``: faces walk past, the daemon counts, the collector stores, a chart is drawn. All real."""

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
from demo.broker import broker, free_port, wait_for
from demo.clip import compose

SITE, DEVICE = "demo", "door"
CONFIG = """\
# Written by the demonstration. k = 1, short windows and no wait for the clock are for showing, not for a shop.
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
SETTLED_S = 2.0
"""When no row has come for this long after the daemon has sent its last, all have."""


def main() -> int:
    """Run the demonstration; exit code of the part that failed, if one did."""
    parser = argparse.ArgumentParser(prog="python -m demo", description=__doc__)
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--camera", help="number or path of a USB camera; serves the page until stopped")
    which.add_argument("--clip", type=Path, help="a video, an animated GIF or a folder of pictures")
    parser.add_argument(
        "--out", type=Path, default=Path("out"), help="folder for all that is made (default: %(default)s)"
    )
    parser.add_argument("--broker", choices=("mosquitto", "amqtt"), help="instead of the one that is there")
    chosen = parser.parse_args()
    folder = chosen.out / time.strftime("%Y%m%d-%H%M%S")
    folder.mkdir(parents=True, exist_ok=True)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with broker(folder, chosen.broker) as (name, port):
        print(f"broker: {name} on port {port}; logs in {folder}")
        with _running([*PYTHON, "collector", "run", *_store(folder, port)], folder / "collector.log"):
            if chosen.camera is not None:
                return _live(folder, port, chosen.camera)
            status = _count(folder, port, chosen.clip or _composed(folder))
            _settle(folder)
    return status or _show(folder, port)


PYTHON = (sys.executable, "-m")


def _store(folder: Path, port: int) -> list[str]:
    return ["--root", str(folder / "store"), "--set", "broker.host=127.0.0.1", "--set", f"broker.port={port}"]


def _composed(folder: Path) -> Path:
    compose(folder / "walk-by.mp4")
    return folder / "walk-by.mp4"


def _configure(folder: Path, port: int, capture: str, window_s: float) -> Path:
    """Write the daemon's configuration; its path."""
    path = folder / "edge.toml"
    spool = json.dumps(str(folder / "spool.sqlite"))
    path.write_text(CONFIG.format(capture=capture, window_s=window_s, port=port, spool=spool))
    return path


def _count(folder: Path, port: int, clip: Path) -> int:
    """The daemon on a clip, until the clip ends; its exit code."""
    config = _configure(folder, port, f'source = "file"\npath = {json.dumps(str(clip))}', 2.0)
    command = [*PYTHON, "edge", "run", "--config", str(config)]
    with _running(command, folder / "edge.log") as daemon, tqdm(desc="windows in the store", unit="window") as bar:
        while daemon.poll() is None:
            time.sleep(0.2)
            bar.update(_rows(folder) - bar.n)
    if daemon.returncode:
        print((folder / "edge.log").read_text(), file=sys.stderr)
    return daemon.returncode


def _live(folder: Path, port: int, camera: str) -> int:
    """The daemon on a camera and the page in a browser, until stopped."""
    device = camera if camera.isdigit() else json.dumps(camera)
    config = _configure(folder, port, f'source = "v4l2"\ndevice = {device}', 10.0)
    if status := subprocess.run([*PYTHON, "edge", "check", "--config", str(config)], check=False).returncode:
        return status
    page = free_port()
    serve = [*PYTHON, "collector", "serve", *_store(folder, port), "--set", f"page.port={page}"]
    daemon = [*PYTHON, "edge", "run", "--config", str(config)]
    with _running(daemon, folder / "edge.log") as counting, _running(serve, folder / "page.log"):
        wait_for(page)
        print(f"page: http://127.0.0.1:{page}/   (Ctrl-C stops)", flush=True)
        try:
            return counting.wait()
        except KeyboardInterrupt:
            return 0


def _settle(folder: Path) -> None:
    """Wait until the rows of all that was sent are on disk."""
    rows, since = _rows(folder), time.monotonic()
    while time.monotonic() - since < SETTLED_S:
        time.sleep(0.1)
        if (now := _rows(folder)) != rows:
            rows, since = now, time.monotonic()


def _rows(folder: Path) -> int:
    """Windows in the store so far."""
    return sum(path.read_bytes().count(b"\n") - 1 for path in (folder / "store").glob("date=*/site=*/*.csv"))


def _show(folder: Path, port: int) -> int:
    """Print the counts and where they are, and draw the chart."""
    chart = folder / "chart.png"
    summary = [*PYTHON, "collector", "summary", *_store(folder, port), "--by", "site", "--chart", str(chart)]
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
    """A process that writes to a log, told to stop at the end."""
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
