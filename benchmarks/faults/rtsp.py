"""Kill and restart an RTSP server under two running daemons: ``python -m benchmarks.faults.rtsp --restarts 50``.

The server is GStreamer's. It plays the demonstration's clip as H.264 and as H.265, each to one daemon, and in a loop. A
first part compares the counts of one play with those of the same video as a file. Then the server is killed, stays away
for up to ``--away`` seconds, and starts again at the same port. A daemon counts again when it prints a window in which
the camera was watched. Threads, open files and memory of each daemon are read from /proc then.

Exit code 1 if the counts differ, a daemon takes more than 30 s to count again, ends, or holds more threads or files at
the end than at the start, or more memory than ``MAX_GROWTH`` times as much.
"""

import argparse
import json
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import Any

import av
from tqdm import tqdm

from benchmarks.faults.processes import PYTHON, ROOT
from benchmarks.simulation.ip_camera import IpCamera, Stream, encode, ip_camera, write_units
from demo.clip import FPS, SECONDS, WALKS, render
from edge.counting.totals import SENTENCE

CODECS = {"door": "h264", "till": "h265"}
"""Codec of each daemon's stream, by the device's name."""
LIMIT_S, MAX_GROWTH = 30.0, 1.1
SHORT_S = 3
"""Seconds of the clip that are enough without a comparison of counts."""
CONFIG = """\
site = "bench"
device = "{device}"
[capture]
source = "rtsp"
url = "{url}"
open_limit_s = 5
read_limit_s = 3
[admit]
staff_zones = []
[detect]
bundle = "face-416x320"
[tally]
window_s = {window_s}
[privacy]
k = 1
"""


@dataclass(slots=True)
class Daemon:
    """A daemon that counts one stream and prints its windows."""

    process: subprocess.Popen[str]
    log: Path
    out: Path
    _read: int = 0

    def windows(self) -> list[dict[str, Any]]:
        """The windows printed since the last call."""
        lines = self.out.read_text().splitlines(keepends=True)
        complete = [text for text in lines[self._read :] if text.endswith("\n")]
        self._read += len(complete)
        return [json.loads(text) for text in complete]

    def resources(self) -> tuple[int, int, float]:
        """Threads, open files and resident memory in MB, as the kernel reports them."""
        proc = Path("/proc") / str(self.process.pid)
        status = (proc / "status").read_text()
        memory_mb = int(status.partition("VmRSS:")[2].split()[0]) / 1000
        return len(list((proc / "task").iterdir())), len(list((proc / "fd").iterdir())), memory_mb


@dataclass(slots=True)
class Result:
    """What the restarts have shown for one daemon."""

    recoveries_s: list[float] = field(default_factory=list)
    """Seconds from the server's start to a window in which the camera was watched, of each restart."""
    resources: list[tuple[int, int, float]] = field(default_factory=list)
    """Threads, open files and memory, MB, after each restart."""

    @property
    def passed(self) -> bool:
        """Whether every recovery was in time and nothing has grown."""
        (threads, files, _), last = self.resources[0], self.resources[-1]
        grown = statistics.median(memory for *_, memory in self.resources[-5:]) / self.early_mb
        is_constant = last[0] <= threads and last[1] <= files
        return max(self.recoveries_s) <= LIMIT_S and is_constant and grown <= MAX_GROWTH

    @property
    def early_mb(self) -> float:
        """Memory after a fifth of the restarts, MB: each new thread may use a heap of its own at first."""
        begin = len(self.resources) // 5
        return statistics.median(memory for *_, memory in self.resources[begin : begin + 5])


@contextmanager
def daemon(folder: Path, device: str, url: str, window_s: float = 1.0) -> Iterator[Daemon]:
    """Run a daemon on a stream."""
    config = folder / f"{device}.toml"
    config.write_text(CONFIG.format(device=device, url=url, window_s=window_s))
    log, out = folder / f"{device}.log", folder / f"{device}.out"
    with (
        log.open("w") as errors,
        out.open("w") as printed,
        subprocess.Popen(
            [*PYTHON, "edge", "run", "--config", str(config), "--stdout"], cwd=ROOT, stdout=printed, stderr=errors,
            text=True,
        ) as process,
    ):  # fmt: skip
        try:
            yield Daemon(process, log, out)
        finally:
            process.send_signal(signal.SIGTERM)


def prepare(folder: Path, seconds: int) -> dict[str, list[bytes]]:
    """Encode the demonstration's clip, and write it as a file of each codec; returns the access units."""
    images, units = list(render(WALKS, seconds, FPS)), {}
    for device, codec in CODECS.items():
        units[device] = encode(images, codec, FPS)
        raw = folder / f"{device}.raw"
        raw.write_bytes(b"".join(units[device]))
        _mux(raw, {"h264": "h264", "h265": "hevc"}[codec], folder / f"{device}.mp4")
    return units


def _mux(raw: Path, format_name: str, path: Path) -> None:
    """Put the access units of a file into an MP4 with time stamps, without another encoding."""
    with (
        av.open(str(raw), format=format_name, options={"framerate": str(FPS)}) as source,
        av.open(str(path), "w") as to,
    ):
        stream = to.add_stream_from_template(source.streams.video[0])
        for index, packet in enumerate(source.demux(source.streams.video[0])):
            if packet.size:
                packet.pts = packet.dts = round(index / FPS / packet.time_base)
                packet.stream = stream
                to.mux(packet)


def visits_of(windows: Sequence[dict[str, Any]]) -> dict[str, int]:
    """The sums of visits per label, without zeros."""
    total: Counter[str] = Counter()
    for window in windows:
        total.update(window["visits"])
    return {label: count for label, count in sorted(total.items()) if count}


def compare_counts(folder: Path, units: dict[str, list[bytes]]) -> bool:
    """Count each clip as a file and as a stream that is played once; print both, and return whether they are equal."""
    streams = {
        f"/{device}": Stream(write_units(folder / device, units[device]), codec, FPS, loop=False)
        for device, codec in CODECS.items()
    }
    equal = True
    for device, codec in CODECS.items():
        (folder / "file.toml").write_text(CONFIG.format(device=device, url="rtsp://localhost/", window_s=2))
        command = [*PYTHON, "edge", "run", "--config", str(folder / "file.toml"), "--stdout"]
        command += ["--clip", str(folder / f"{device}.mp4")]
        out = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True).stdout
        filed = visits_of([json.loads(text) for text in out.splitlines()])
        with ip_camera(streams) as camera, daemon(folder, device, camera.url(f"/{device}"), 2) as counter:
            _wait_for(partial(_says, counter.log, "has ended the stream"), SECONDS + LIMIT_S)
            camera.kill()
            time.sleep(4)  # the last visit ends when its track is lost
        windows = counter.windows()
        streamed = visits_of(windows)
        if streamed != filed:
            print(*(json.dumps(window) for window in windows), counter.log.read_text(), sep="\n")
        print(f"{device} ({codec}): as a file {filed}, as a stream {streamed}", flush=True)
        equal &= filed == streamed
    return equal


def restart(folder: Path, units: dict[str, list[bytes]], restarts: int, away_s: float) -> dict[str, Result]:
    """Kill and restart the server of two daemons again and again; returns what each daemon has shown."""
    streams = {
        f"/{device}": Stream(write_units(folder / device, units[device]), codec, FPS)
        for device, codec in CODECS.items()
    }
    rng, results = random.Random(0), {device: Result() for device in CODECS}  # noqa: S311 (not for secrets)
    with ip_camera(streams) as camera, ExitStack() as stack:
        daemons = {device: stack.enter_context(daemon(folder, device, camera.url(f"/{device}"))) for device in CODECS}
        _recoveries(daemons, time.monotonic())
        for _ in tqdm(range(restarts), desc="restarts", unit="restart", disable=None):
            _restart_once(camera, rng.uniform(0, away_s))
            for device, recovery_s in _recoveries(daemons, time.monotonic()).items():
                results[device].recoveries_s.append(recovery_s)
                results[device].resources.append(daemons[device].resources())
            time.sleep(1)
    return results


def _restart_once(camera: IpCamera, away_s: float) -> None:
    camera.kill()
    time.sleep(away_s)
    camera.start()


def _recoveries(daemons: dict[str, Daemon], begin: float) -> dict[str, float]:
    """Wait until every daemon watches its camera again; returns the seconds since ``begin``, infinity for never."""
    waiting, found = dict(daemons), {}
    since = datetime.now(timezone.utc)
    while waiting and time.monotonic() < begin + 2 * LIMIT_S:
        for device, each in list(waiting.items()):
            if each.process.poll() is not None:
                raise RuntimeError(f"{device}: the daemon has ended: {each.log.read_text()[-1000:]}")
            if any(window["coverage"] > 0 and _start(window) >= since for window in each.windows()):
                found[device] = time.monotonic() - begin
                del waiting[device]
        time.sleep(0.05)
    return found | dict.fromkeys(waiting, float("inf"))


def _says(log: Path, text: str) -> bool:
    return text in log.read_text()


def _start(window: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(window["start"].replace("Z", "+00:00"))


def _wait_for(fact: Callable[[], bool], limit_s: float) -> None:
    end = time.monotonic() + limit_s
    while not fact():
        if time.monotonic() > end:
            raise TimeoutError(f"not within {limit_s:g} s")
        time.sleep(0.1)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark and print its report; return 0 if all checks passed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.faults.rtsp", description=__doc__.partition("\n")[0])
    parser.add_argument("--restarts", type=int, default=50, help="restarts of the server (default: %(default)s)")
    parser.add_argument("--away", type=float, default=10.0, metavar="S", help="longest absence (default: %(default)s)")
    parser.add_argument("--no-counts", action="store_true", help="do not compare counts of streams and files")
    parsed = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="facetally-rtsp-") as scratch:
        folder = Path(scratch)
        units = prepare(folder, SHORT_S if parsed.no_counts else SECONDS)
        passed = parsed.no_counts or compare_counts(folder, units)
        results = restart(folder, units, parsed.restarts, parsed.away)
        for device, result in results.items():
            threads, files, memory = zip(*result.resources, strict=True)
            print(
                f"{device}: counting again after {statistics.median(result.recoveries_s):.1f} s (median),"
                f" {max(result.recoveries_s):.1f} s (longest); threads {min(threads)} to {max(threads)},"
                f" files {min(files)} to {max(files)}, memory {', '.join(f'{each:.0f}' for each in memory[::10])} MB"
                f" every ten restarts, {memory[-1]:.0f} MB at the end"
            )
            raw = [
                text
                for text in (folder / f"{device}.log").read_text().splitlines()
                if text[:5] != "time=" and not SENTENCE.match(text)
            ]
            print(f"{device}: {len(raw)} log lines that are not in the log's format")
            passed = passed and result.passed and not raw
    print("PASSED" if passed else "FAILED")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
