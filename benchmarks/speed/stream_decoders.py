"""Compare OpenCV's FFmpeg with PyAV as the reader of an IP camera: ``python -m benchmarks.speed.stream_decoders``.

Both read the same streams of a real RTSP server in turns, each in a process of its own, with one decoder thread, and
deliver grey frames. Reported are the processor time of a frame, the largest memory of the process, the time to the
first frame, and the time to a frame after the server was killed and is back (with a retry every 0.2 s). The last two
columns are the ratio PyAV to OpenCV in the same run.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2

if TYPE_CHECKING:
    from benchmarks.simulation.ip_camera import IpCamera

RETRY_S, LIMIT_MS = 0.2, 10_000
STREAMS = (("h264", 640, 480), ("h265", 640, 480), ("h264", 1920, 1080), ("h265", 1920, 1080), ("h265", 3840, 2160))
"""Codec, width and height."""
ROUNDS = 3


def opencv(url: str) -> Callable[[], Any]:
    """Open with OpenCV, which converts to BGR and then to grey; OSError if that fails."""
    limits = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, LIMIT_MS, cv2.CAP_PROP_READ_TIMEOUT_MSEC, LIMIT_MS]
    capture = cv2.VideoCapture(url, cv2.CAP_FFMPEG, [*limits, cv2.CAP_PROP_N_THREADS, 1])
    if not capture.isOpened():
        raise OSError("does not open")

    def read() -> Any:
        ok, image = capture.read()
        if not ok:
            raise OSError("no frame")
        return cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)

    return read


def pyav(url: str) -> Callable[[], Any]:
    """Open with PyAV, with options like those of `edge.camera.network`; no time stamps."""
    import av  # noqa: PLC0415 (its memory must not count for OpenCV)
    from av.video.reformatter import VideoReformatter  # noqa: PLC0415

    options = {"rtsp_transport": "tcp", "fpsprobesize": "0", "analyzeduration": "500000"}
    container = av.open(url, options=options, timeout=LIMIT_MS / 1000)
    stream = container.streams.video[0]
    stream.codec_context.thread_count = 1
    frames = (frame for packet in container.demux(stream) for frame in packet.decode())
    reformatter = VideoReformatter()
    return lambda: reformatter.reformat(next(frames), format="gray").to_ndarray()


READERS = {"opencv": opencv, "pyav": pyav}


def read_stream(reader: str, url: str, seconds: float) -> None:
    """Read a stream for ``seconds`` and print the measurements as JSON; go on until a second outage is over."""
    begin = time.monotonic()
    read = READERS[reader](url)
    read()
    first_s = time.monotonic() - begin
    frames, used, end = 0, time.process_time(), time.monotonic() + seconds
    while time.monotonic() < end:
        read()
        frames += 1
    cpu_ms = (time.process_time() - used) / frames * 1000
    status = Path("/proc/self/status").read_text()  # the maximum that getrusage reports includes the parent's
    memory_mb = int(status.partition("VmHWM:")[2].split()[0]) / 1000
    print(json.dumps({"first_s": first_s, "cpu_ms": cpu_ms, "memory_mb": memory_mb}), flush=True)
    while True:
        try:
            read()
        except Exception:  # noqa: BLE001 (libraries raise what they like)
            break
    while True:
        try:
            READERS[reader](url)()
        except Exception:  # noqa: BLE001
            time.sleep(RETRY_S)
        else:
            break
    print(time.monotonic(), flush=True)


def measure(reader: str, camera: "IpCamera", path: str, seconds: float) -> dict[str, float]:
    """Run `read_stream` in a process, kill and restart the camera, and return what was measured."""
    command = [sys.executable, "-m", "benchmarks.speed.stream_decoders", "--read", reader, camera.url(path)]
    command += ["--seconds", str(seconds)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        result: dict[str, float] = json.loads(process.stdout.readline())
        camera.kill()
        time.sleep(3)
        camera.start()
        back = time.monotonic()
        return result | {"back_s": float(process.stdout.readline()) - back}


def main() -> int:
    """Print a table; return 0."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed.stream_decoders", description=__doc__)
    parser.add_argument("--read", nargs=2, metavar=("READER", "URL"), help=argparse.SUPPRESS)
    parser.add_argument("--seconds", type=float, default=8.0, help="duration of one measurement (default: %(default)s)")
    arguments = parser.parse_args()
    if arguments.read:
        read_stream(*arguments.read, arguments.seconds)
        return 0
    from benchmarks.simulation.ip_camera import Stream, encode, ip_camera, write_units  # noqa: PLC0415 (as above)
    from demo.clip import WALKS, render  # noqa: PLC0415

    images = list(render(WALKS[:1], 4, 10))
    with tempfile.TemporaryDirectory(prefix="facetally-streams-") as folder:
        streams = {}
        for codec, width, height in STREAMS:
            units = encode((cv2.resize(image, (width, height)) for image in images), codec)
            path = f"/{len(streams)}"
            streams[path] = (f"{codec} {width}x{height}", Stream(write_units(Path(folder) / path[1:], units), codec))
        with ip_camera({path: stream for path, (_, stream) in streams.items()}) as camera:
            print("stream           reader    ms/frame  memory MB  first s   back s  cpu ratio  memory ratio")
            for path, (name, _) in streams.items():
                _compare(name, camera, path, arguments.seconds)
    return 0


def _compare(name: str, camera: "IpCamera", path: str, seconds: float) -> None:
    """Measure both readers in turns, and print the medians."""
    rounds = [{reader: measure(reader, camera, path, seconds) for reader in READERS} for _ in range(ROUNDS)]
    for reader in READERS:
        values = {key: statistics.median(one[reader][key] for one in rounds) for key in rounds[0][reader]}
        row = f"{name:16} {reader:8} {values['cpu_ms']:9.2f} {values['memory_mb']:10.0f}"
        row += f" {values['first_s']:8.2f} {values['back_s']:8.2f}"
        if reader == "pyav":
            for key in ("cpu_ms", "memory_mb"):
                row += f"{statistics.median(one['pyav'][key] / one['opencv'][key] for one in rounds):11.2f}"
        print(row, flush=True)


if __name__ == "__main__":
    sys.exit(main())
