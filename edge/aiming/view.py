"""Save one image of the device's camera, to draw staff zones in it with the page that ``facetally-edge zones`` prints.

``facetally-view CONFIG IMAGE``

Run it in the environment in which the daemon is installed, while the daemon is stopped. It is a separate program that
an installer runs on purpose: the daemon cannot write images. Run it while nobody is in view, and delete the image when
the zones are drawn.
"""

import argparse
import sys
import time
from pathlib import Path

import cv2

from base.errors import FacetallyError
from edge.camera.capture import Camera
from edge.camera.drivers import driver_for
from edge.camera.file_source import read_frames
from edge.camera_settings import Capture, File
from edge.settings import read
from edge.values import Pixels

EXPOSURE_S = 2.0
"""Time that a camera needs to adjust its exposure."""
NO_ZONES = ("admit.staff_zones=[]",)
"""Overrides the zones of the configuration, which may still be missing."""


def main() -> int:
    """Write the image; return 0, or 2 after an error message."""
    parser = argparse.ArgumentParser(prog="facetally-view", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("config", type=Path, metavar="CONFIG", help="edge.toml; its [capture] section is used")
    parser.add_argument("image", type=Path, metavar="IMAGE", help="file to write, such as view.png")
    arguments = parser.parse_args()
    try:
        pixels = _capture_image(read(arguments.config, NO_ZONES).capture)
        written = cv2.imwrite(str(arguments.image), pixels)
    except (FacetallyError, cv2.error) as error:
        print(f"facetally-view: {error}", file=sys.stderr)
        return 2
    if not written:
        print(
            f"facetally-view: {arguments.image}: cannot be written; the folder must exist and be writable",
            file=sys.stderr,
        )
        return 2
    print(
        f"{arguments.image}: {pixels.shape[1]} x {pixels.shape[0]} pixels;"
        " draw the zones in it with the page of: facetally-edge zones"
    )
    return 0


def _capture_image(capture: Capture) -> Pixels:
    """Return the first image of a file, or of a camera the image after its exposure has been adjusted."""
    if isinstance(capture, File):
        return next(read_frames(capture)).pixels
    with Camera(driver_for(capture), capture.open_limit_s, capture.read_limit_s).opened() as newest:
        frame, end = newest(), time.monotonic() + EXPOSURE_S
        while time.monotonic() < end:
            frame = newest()
        return frame.pixels


if __name__ == "__main__":
    sys.exit(main())
