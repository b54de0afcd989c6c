"""IP cameras of this machine: prepared video behind GStreamer's RTSP server, which can be killed and stalled."""

import contextlib
import json
import os
import random
import signal
import socket
import struct
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

SERVER = Path(__file__).with_name("rtsp_server.py")
DEBIAN_PYTHON = "/usr/bin/python3"
ENCODERS = {
    "h264": ("libx264", "yuv420p", {"preset": "veryfast", "crf": "20", "x264-params": "bframes=0:sliced-threads=0"}),
    "h265": ("libx265", "yuv420p", {"preset": "ultrafast", "crf": "22", "x265-params": "bframes=0:log-level=none"}),
    "mjpeg": ("mjpeg", "yuvj420p", {"qmin": "3", "qmax": "3"}),
    "vp8": ("libvpx", "yuv420p", {"deadline": "realtime"}),
}
"""Encoder, its pixel format and its options, by the name that `rtsp_server.py` gives the codec."""


@dataclass(frozen=True, slots=True)
class Stream:
    """One path of a camera."""

    units: str
    """File of access units, each with its length before it (`write_units`)."""
    codec: str = "h264"
    fps: int = 10
    loop: bool = True
    loss: float = 0.0
    """Fraction of RTP packets that never arrive."""


def encode(images: Iterable[NDArray[np.uint8]], codec: str = "h264", fps: int = 10, key_every: int = 20) -> list[bytes]:
    """Encode BGR images (h, w, 3) as access units; every ``key_every``-th is a key frame."""
    name, pixel_format, options = ENCODERS[codec]
    context: Any = av.CodecContext.create(name, "w")
    units = []
    for image in images:
        if not context.is_open:
            context.height, context.width = image.shape[:2]
            context.pix_fmt, context.options = pixel_format, options
            context.time_base, context.framerate, context.gop_size = Fraction(1, fps), Fraction(fps), key_every
        units += context.encode(av.VideoFrame.from_ndarray(image, format="bgr24"))
    return [bytes(unit) for unit in [*units, *context.encode(None)]]


def write_units(path: Path, units: Iterable[bytes]) -> str:
    """Write access units to a file for `Stream.units`; returns its path."""
    path.write_bytes(b"".join(struct.pack("<I", len(unit)) + unit for unit in units))
    return str(path)


def has_server() -> bool:
    """Whether GStreamer's RTSP server and its Python bindings are installed."""
    return Path(DEBIAN_PYTHON).exists() and any(Path("/usr/lib").glob("*/girepository-1.0/GstRtspServer-1.0.typelib"))


def free_port() -> int:
    """A free port below those that the kernel gives to clients: a client that retries could take such a port itself."""
    for port in random.sample(range(20_000, 32_000), 100):
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise OSError("no free port from 20000 to 32000")


class IpCamera:
    """A camera at a port of this machine, which keeps it when it is restarted."""

    def __init__(self, streams: Mapping[str, Stream], user: str, password: str) -> None:
        self.port = free_port()
        self._config = {
            "port": self.port,
            "user": user,
            "password": password,
            "streams": {path: asdict(stream) for path, stream in streams.items()},
        }
        self._process: subprocess.Popen[str] | None = None
        self.start()

    def url(self, path: str) -> str:
        """The address of a stream, without user name and password."""
        return f"rtsp://127.0.0.1:{self.port}{path}"

    def start(self) -> None:
        """Start the server, and wait until it listens."""
        with tempfile.TemporaryFile("w+") as errors:
            self._process = subprocess.Popen(
                [DEBIAN_PYTHON, str(SERVER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True
            )
            assert self._process.stdin is not None
            assert self._process.stdout is not None
            self._process.stdin.write(json.dumps(self._config) + "\n")
            self._process.stdin.flush()
            if not self._process.stdout.readline():
                errors.seek(0)
                raise RuntimeError(f"the RTSP server does not start: {errors.read()}")

    def kill(self) -> None:
        """End the server at once, as a power cut does."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def stall(self) -> None:
        """Stop sending, while connections stay open."""
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Send again after `stall`."""
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGCONT)


@contextmanager
def ip_camera(streams: Mapping[str, Stream], user: str = "", password: str = "") -> Iterator[IpCamera]:
    """Run a camera with these streams by path; with a password, only for this user."""
    camera = IpCamera(streams, user, password)
    try:
        yield camera
    finally:
        camera.kill()
