"""List the cameras of this device, try each, and print the lines of the configuration for it."""

import importlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from edge.camera.capture import Camera
from edge.camera.drivers import driver_for
from edge.camera.v4l2_modes import BY_ID, Mode, UsbCamera, usb_cameras
from edge.camera_settings import Picamera2, V4l2
from edge.errors import CameraLost

WANTED = V4l2()
"""Size and rate that the daemon requests by default."""


@dataclass(frozen=True, slots=True)
class CameraListing:
    """One camera of this device."""

    name: str
    """What the camera calls itself."""
    works: bool
    """Whether it gave a frame with ``capture``."""
    text: str
    """The frame, or what is wrong."""
    capture: dict[str, str | int]
    """The keys of the camera section for it, in the mode nearest to the default."""
    modes: tuple[Mode, ...] = ()
    """All modes that it offers; empty if it does not tell."""


def cameras(by_id: Path = BY_ID) -> Iterator[CameraListing]:
    """List and try the USB cameras, named as in ``by_id``, then those that picamera2 knows where it is installed."""
    for camera in usb_cameras(by_id):
        yield _usb_listing(camera)
    try:
        known = importlib.import_module("picamera2").Picamera2.global_camera_info()
    except ImportError:
        return
    except Exception as error:  # noqa: BLE001 (picamera2 and libcamera raise errors of many kinds)
        reason = f"picamera2 cannot list its cameras: {type(error).__name__}: {error}"
        yield CameraListing("picamera2", False, reason, {"source": "picamera2"})
        return
    for about in known:
        if "usb" not in str(about["Id"]).lower():  # libcamera lists USB cameras, too
            yield _tried(str(about["Model"]), Picamera2(camera=about["Num"]), {"camera": about["Num"]})


def _usb_listing(camera: UsbCamera) -> CameraListing:
    mode = camera.best(WANTED.width, WANTED.height, WANTED.fps)
    if mode is None:
        keys: dict[str, str | int] = {"source": "v4l2", "device": camera.device}
        return CameraListing(camera.name, False, "offers no format that OpenCV can convert", keys, camera.modes)
    fps = min(WANTED.fps, int(mode.fps) or WANTED.fps)
    settings = V4l2(device=camera.device, format=mode.format, width=mode.width, height=mode.height, fps=fps)
    keys = {"device": camera.device, "format": mode.format, "width": mode.width, "height": mode.height, "fps": fps}
    return _tried(camera.name, settings, keys, camera.modes)


def _tried(name: str, settings: V4l2 | Picamera2, keys: dict[str, Any], modes: tuple[Mode, ...] = ()) -> CameraListing:
    """The listing of a camera, after taking a frame from it."""
    keys = {"source": "v4l2" if isinstance(settings, V4l2) else "picamera2"} | keys
    try:
        with Camera(driver_for(settings), settings.open_limit_s, settings.read_limit_s).opened() as next_frame:
            height, width = next_frame().pixels.shape
    except CameraLost as error:
        return CameraListing(name, False, f"{error}. Does another program use it?", keys, modes)
    return CameraListing(name, True, f"a frame of {width} x {height}", keys, modes)


def as_text(listings: Iterable[CameraListing]) -> str:
    """Describe cameras for people: modes, whether it works, and the lines to copy."""
    blocks = [_block(listing) for listing in listings]
    return "\n\n".join(blocks) if blocks else "no camera found: neither by V4L2 nor by picamera2"


def as_json(listings: Iterable[CameraListing]) -> str:
    """Describe cameras for programs: a JSON list."""
    return json.dumps([asdict(listing) for listing in listings])


def _block(listing: CameraListing) -> str:
    lines = [f"{listing.name}", f"  {'ok    ' if listing.works else 'FAILED'}  {listing.text}"]
    for code, modes in groupby(listing.modes, lambda mode: mode.format):
        lines.append(f"  {code}: {', '.join(_size(mode) for mode in modes)}")
    keys = [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in listing.capture.items()]
    return "\n".join([*lines, "  [capture]", *(f"  {key}" for key in keys)])


def _size(mode: Mode) -> str:
    return f"{mode.width}x{mode.height}" + (f" at {mode.fps:g} fps" if mode.fps else "")
