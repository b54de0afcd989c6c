"""Images that a network camera sends, and what the daemon's driver reads of it."""

import cv2
import numpy as np
import pytest

from benchmarks.simulation.ip_camera import has_server
from edge.camera.drivers import driver_for
from edge.camera_settings import Http, Rtsp
from edge.errors import CameraLost
from edge.values import Frame

needs_server = pytest.mark.skipif(not has_server(), reason="GStreamer's RTSP server is not installed")
USER, PASSWORD = "ad min", "p@ss:w/ü rd%"
SIZE = (320, 240)


def scene(count: int, size: tuple[int, int] = SIZE) -> list[np.ndarray]:
    """BGR images of a pattern that moves to the right."""
    rng = np.random.default_rng(1)
    base = cv2.resize(rng.integers(0, 255, (6, 8, 3), np.uint8), size, interpolation=cv2.INTER_CUBIC)
    return [np.roll(base, 3 * index, axis=1) for index in range(count)]


def decoded(units: list[bytes], codec: str = "h264") -> list[np.ndarray]:
    """Grey frames (h, w) of access units, decoded without a network."""
    av = pytest.importorskip("av")
    decoder = av.CodecContext.create({"h265": "hevc"}.get(codec, codec), "r")
    packets = [*(av.Packet(unit) for unit in units), None]
    return [image.reformat(format="gray").to_ndarray() for packet in packets for image in decoder.decode(packet)]


def read(settings: Rtsp | Http, count: int) -> list[Frame]:
    """The first frames of a camera."""
    with driver_for(settings)() as next_frame:
        return [next_frame() for _ in range(count)]


def lost(settings: Rtsp | Http, count: int = 1) -> str:
    """Why the camera is lost; the name of the camera in front is cut off."""
    with pytest.raises(CameraLost) as error:
        read(settings, count)
    assert str(error.value).startswith(f"{settings.name}: ")
    return str(error.value).removeprefix(f"{settings.name}: ")
