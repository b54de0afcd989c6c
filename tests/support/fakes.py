"""Replacements for what a test machine lacks (Picamera2, a broker limited to MQTT 3.1.1), and sample values.

Nothing is patched into the code; each replacement is passed in through an interface of the code.
"""

import contextlib
import logging
import math
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from typing import Any

import numpy as np

from contract.message import BundleIdentity, Counts, Model, Models, Privacy
from edge.values import Detection, Track

BEGIN = datetime(2026, 3, 28, 9, 0, tzinfo=timezone.utc)
MODEL = Model(
    schema=1,
    detector=BundleIdentity(name="face", sha256="a" * 64, figures={"photos.ap.int8": 0.95}),
    expression=BundleIdentity(
        name="expression", sha256="b" * 64, labels=("happiness", "neutral"), confusion=((9, 1), (2, 8)), figures={}
    ),
)


def counts(minute: int = 0, happy: int = 0, **of: Any) -> Counts:
    """Return the window ``minute`` minutes after BEGIN, with ``happy`` happy visits; ``of`` sets other fields."""
    start = BEGIN + timedelta(minutes=minute)
    fields = {
        "schema": 1, "site": "shop-1", "device": "door", "boot": "0123456789abcdef", "seq": 0, "start": start,
        "end": start + timedelta(minutes=1), "clock": "synced", "coverage": 1.0, "degraded": (),
        "visits": {"happiness": happy, "neutral": 0, "unknown": 0}, "merged": 1, "privacy": Privacy(k=5),
        "model": Models(detector="face@aaaaaaaaaaaa", expression="expression@bbbbbbbbbbbb"),
    }  # fmt: skip
    return Counts(**(fields | of))


def face(x: float, y: float, size: float = 40.0, score: float = 0.9) -> Detection:
    """Return a square face around a point, with level eyes."""
    left, top = x - size / 2, y - size / 2
    eyes = ((left + 0.3 * size, top + 0.4 * size), (left + 0.7 * size, top + 0.4 * size))
    return Detection((left, top, size, size), score, eyes)


def swaying(x: float, y: float, time: float, size: float = 40.0) -> Detection:
    """Return the face at a second of a person who stands at a point and sways."""
    return face(x + 0.1 * size * math.sin(2.1 * time), y + 0.05 * size * math.sin(3.3 * time), size)


def track(number: int, x: float = 100.0, y: float = 100.0, size: float = 40.0, **of: Any) -> Track:
    """Return a track of which only number and position matter."""
    return Track(number, face(x, y, size), **(dict(first=0.0, last=0.0, observations=5) | of))  # noqa: C408


class Picamera2:
    """Behaves like picamera2 0.3.38 (see devices.md, section 4), without a camera.

    ``gives`` is a format that `configure` silently uses instead of the requested one. The camera fails after ``frames``
    frames. The brightness of each frame is its number.
    """

    def __init__(self, number: int = 0, *, cameras: int = 1, gives: str | None = None, frames: int = 10**6) -> None:
        if number >= cameras:
            raise RuntimeError("Camera __init__ sequence did not complete.")
        self._gives, self._left, self._config = gives, frames, None
        self.is_open, self.started, self.flushed = True, False, False
        self.controls: dict[str, Any] = {}
        self._number = 0
        self._held = 0

    def create_video_configuration(self, main: dict[str, Any], buffer_count: int = 6) -> dict[str, Any]:
        self._must_be_open()
        if set(main) - {"format", "size", "stride", "preserve_ar"}:
            raise ValueError(f"Bad key(s) in stream: {main}")
        size = main.get("size", (1280, 720))
        if not isinstance(size, tuple) or size[0] % 2 or size[1] % 2:
            raise ValueError("size must be an even tuple")
        return {"main": {"format": "XBGR8888", "size": size} | main, "buffer_count": buffer_count}

    def configure(self, config: dict[str, Any]) -> None:
        """Pad rows of YUV420 to 128 bytes, as ``align_stream`` does on a Pi 5."""
        self._must_be_open()
        main = dict(config["main"])
        main["format"] = self._gives or main["format"]
        width = main["size"][0]
        main["stride"] = -(-(width + 1) // 128) * 128 if main["format"] == "YUV420" else width
        self._config = config | {"main": main}

    def camera_configuration(self) -> dict[str, Any]:
        assert self._config is not None
        return self._config

    def set_controls(self, controls: dict[str, Any]) -> None:
        self.controls |= controls

    def start(self) -> None:
        self._must_be_open()
        self.started = True

    def capture_request(self, wait: float | None = None) -> "Request":
        """Return a request, which holds a buffer until it is released; without a free buffer no frame is delivered."""
        self._must_be_open()
        if self._left <= 0 or self._held >= self.camera_configuration()["buffer_count"]:
            if wait is None or wait is True:
                raise AssertionError("the real class would wait for ever")
            raise TimeoutError
        self._left -= 1
        self._held += 1
        self._number += 1
        return Request(self, self._image())

    def capture_array(self, name: str = "main", wait: float | None = None) -> np.ndarray:
        request = self.capture_request(wait)
        array = request.make_array(name)
        request.release()
        return array

    def cancel_all_and_flush(self) -> None:
        self.flushed = True

    def close(self) -> None:
        self.is_open = self.started = False

    def _must_be_open(self) -> None:
        if not self.is_open:
            raise RuntimeError("Camera not opened")

    def _image(self) -> np.ndarray:
        main = self.camera_configuration()["main"]
        (width, height), stride = main["size"], main["stride"]
        grey = np.full((height, width), self._number, np.uint8)
        grey[0, 0] = 255  # marks the first pixel
        if main["format"] in ("YUV420", "NV12"):
            array = np.full((height * 3 // 2, stride), 128, np.uint8)
            array[:height, width:] = 77  # padding, which must be removed
            array[:height, :width] = grey
            return array
        return np.repeat(grey[..., None], 4 if "X" in main["format"] else 3, 2)


class Request:
    """A completed request; it holds one of the camera's buffers until it is released."""

    def __init__(self, camera: Picamera2, array: np.ndarray) -> None:
        self._camera, self._array, self._holders = camera, array, 1

    def make_array(self, name: str) -> np.ndarray:
        assert name == "main"
        return self._array

    def acquire(self) -> None:
        if self._holders == 0:
            raise RuntimeError("CompletedRequest: acquiring lock with ref_count 0")
        self._holders += 1

    def release(self) -> None:
        if self._holders == 0:
            raise RuntimeError("CompletedRequest: lock now has negative ref_count")
        self._holders -= 1
        if self._holders == 0:
            self._camera._held -= 1


@contextmanager
def only_mqtt_311(broker_port: int, answer: bytes) -> Iterator[int]:
    """Yield the port of a proxy that accepts MQTT 3.1.1 only: a client with MQTT 5 gets ``answer`` and is disconnected.

    Brokers of 3.1.1 answer ``20 02 00 01`` (OASIS MQTT 3.1.1, 3.2.2.3); amqtt answers nothing.
    """
    listener = socket.create_server(("127.0.0.1", 0))
    open_sockets = [listener]

    def forward(source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                open_sockets.append(client)
                connect = client.recv(65536)
                if connect[connect.index(b"\x00\x04MQTT") + 6] == 5:
                    client.sendall(answer)
                    client.close()
                    continue
                broker = socket.create_connection(("127.0.0.1", broker_port))
                open_sockets.append(broker)
                broker.sendall(connect)
                for pair in ((client, broker), (broker, client)):
                    threading.Thread(target=forward, args=pair, daemon=True).start()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        for each in open_sockets:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        thread.join(5)


@contextmanager
def lines_of(name: str) -> Iterator[list[str]]:
    """Yield the list of messages that a logger has logged so far within the block."""
    messages: list[str] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            messages.append(record.getMessage())

    log, keep = logging.getLogger(name), Keep()
    level = log.level
    log.addHandler(keep)
    log.setLevel(logging.INFO)
    try:
        yield messages
    finally:
        log.removeHandler(keep)
        log.setLevel(level)


def each_frame(fps: float, begin: float, end: float) -> list[float]:
    """Return the times of the frames from begin to end, both included, in seconds."""
    return [begin + index / fps for index in range(round((end - begin) * fps) + 1)]


def walk(begin: float, end: float, path: Callable[[float], tuple[float, float]]) -> Callable[[float], list[Detection]]:
    """Return a function for the faces at a second: one at ``path(second)`` from ``begin`` to ``end``."""
    return lambda time: [face(*path(time))] if begin <= time <= end else []
