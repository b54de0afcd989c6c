"""List the USB cameras of this device with their formats, sizes and frame rates, through V4L2."""

import importlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

USABLE_FORMATS = ("GREY", "YUYV", "UYVY", "NV12", "NV21", "YU12", "YV12", "MJPG", "JPEG", "RGB3", "BGR3")
"""Formats that OpenCV converts, the cheapest first: GREY is used as it is, a JPEG must be decoded."""
BY_ID = Path("/dev/v4l/by-id")
"""Where udev names cameras by maker, model and serial number."""
PI_DRIVERS = {"unicam", "rp1-cfe", "bcm2835-isp", "bcm2835-codec", "pispbe"}
"""Drivers of a Raspberry Pi's own camera and codecs, which V4L2 alone cannot read; picamera2 can."""
STEPS = ((320, 240), (640, 480), (800, 600), (1280, 720), (1920, 1080))
"""Sizes to list for a camera that takes any size within limits."""


@dataclass(frozen=True, slots=True)
class Mode:
    """One combination that a camera offers."""

    format: str
    """Code of the pixel format, such as MJPG."""
    width: int
    height: int
    fps: float
    """Highest frame rate; 0 if the camera does not tell."""


@dataclass(frozen=True, slots=True)
class UsbCamera:
    """A camera that V4L2 lists."""

    name: str
    """What the camera calls itself."""
    device: str
    """Its stable path in `BY_ID`, or /dev/videoN where there is none."""
    modes: tuple[Mode, ...]

    @property
    def usable(self) -> tuple[Mode, ...]:
        """The modes that OpenCV can convert."""
        return tuple(mode for mode in self.modes if mode.format in USABLE_FORMATS)

    def best(self, width: int, height: int, fps: int) -> Mode | None:
        """The usable mode that is nearest to a size, then fast enough, then cheap to convert; None without one."""
        return min(self.usable, key=lambda mode: _distance(mode, width, height, fps), default=None)


def usb_cameras(by_id: Path = BY_ID, devices: Path = Path("/dev")) -> Iterator[UsbCamera]:
    """List the cameras, each once under its most stable name. Those that cannot be opened are left out."""
    seen: set[Path] = set()
    names = sorted(by_id.glob("*")) if by_id.is_dir() else []
    for path in [*names, *sorted(devices.glob("video*"), key=lambda node: (len(node.name), node.name))]:
        node = path.resolve()
        if node not in seen:
            seen.add(node)
            with _opened(path) as file:
                if file is not None and (camera := _camera(file, str(path))):
                    yield camera


@contextmanager
def _opened(path: Path) -> Iterator[int | None]:
    """Open a device; None if it cannot be opened."""
    try:
        file = os.open(path, os.O_RDWR | os.O_NONBLOCK)
    except OSError:
        yield None
        return
    try:
        yield file
    finally:
        os.close(file)


def _camera(file: int, path: str) -> UsbCamera | None:
    """Ask an open device for its modes; None if it is no camera."""
    v4l2 = importlib.import_module("linuxpy.video.device")  # takes a third of a second
    try:
        about = v4l2.read_capabilities(file)
    except OSError:
        return None
    kinds = about.capabilities
    if kinds & v4l2.Capability.DEVICE_CAPS:
        kinds = about.device_caps
    if not kinds & v4l2.Capability.VIDEO_CAPTURE or about.driver.decode() in PI_DRIVERS:
        return None
    formats = v4l2.iter_read_formats(file, v4l2.BufferType.VIDEO_CAPTURE)
    modes = {mode for each in list(formats) for mode in _modes(v4l2, file, each.pixel_format)}
    order = sorted(modes, key=lambda mode: (mode.format, mode.width, mode.height))
    return UsbCamera(about.card.decode(errors="replace"), path, tuple(order))


def _modes(v4l2: Any, file: int, pixel_format: Any) -> Iterator[Mode]:
    """The modes of one pixel format."""
    code = v4l2.human_pixel_format(int(pixel_format)).strip()
    for size in list(v4l2.iter_read_frame_sizes(file, pixel_format)):
        sizes: tuple[tuple[int, int], ...] = STEPS
        if size.type == v4l2.FrameSizeType.DISCRETE:
            sizes = ((size.info.width, size.info.height),)
        for width, height in sizes:
            if len(sizes) > 1 and not _fits(size.info, width, height):
                continue
            rates = v4l2.iter_read_frame_intervals(file, pixel_format, width, height)
            fps = max((float(max(rate.min_fps, rate.max_fps)) for rate in rates), default=0.0)
            yield Mode(code, width, height, round(fps, 2))


def _fits(limits: Any, width: int, height: int) -> bool:
    """Whether a size is within the limits of a camera that takes any."""
    return bool(limits.min_width <= width <= limits.max_width and limits.min_height <= height <= limits.max_height)


def _distance(mode: Mode, width: int, height: int, fps: int) -> tuple[float, ...]:
    """What makes a mode worse, the most important first."""
    size = abs(mode.width * mode.height - width * height)
    return size, abs(mode.width - width), 0 < mode.fps < fps, USABLE_FORMATS.index(mode.format)
