"""A daemon's configuration -> one picture as its camera shows it, to draw staff zones in (``zones.html``).

``python systemd/zones/view.py CONFIG PICTURE``, by the environment that the daemon is installed in, while the daemon does
not run. This is a program of its own, run by a person on purpose: the daemon can write no picture. Take it when nobody
is in view, and delete it when the zones are drawn.
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
from edge.settings import Capture, File, read
from edge.values import Pixels

SETTLES_S = 2.0
"""So long a camera looks for its exposure."""
NO_ZONES = ("admit.staff_zones=[]",)
"""They are what is still to be drawn."""


def main() -> int:
    """Write the picture. 0: done; 2: what is wrong is said."""
    parser = argparse.ArgumentParser(prog="view.py", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("config", type=Path, metavar="CONFIG", help="edge.toml; its [capture] is looked through")
    parser.add_argument("picture", type=Path, metavar="PICTURE", help="such as view.png")
    chosen = parser.parse_args()
    try:
        pixels = _seen(read(chosen.config, NO_ZONES).capture)
        written = cv2.imwrite(str(chosen.picture), pixels)
    except (FacetallyError, cv2.error) as error:
        print(f"view.py: {error}", file=sys.stderr)
        return 2
    if not written:
        print(f"view.py: {chosen.picture}: cannot be written", file=sys.stderr)
        return 2
    print(
        f"{chosen.picture}: {pixels.shape[1]} x {pixels.shape[0]}; open systemd/zones/zones.html and draw the zones in it"
    )
    return 0


def _seen(capture: Capture) -> Pixels:
    """The first picture of a file; of a camera the one after it has settled."""
    if isinstance(capture, File):
        return next(read_frames(capture)).pixels
    with Camera(driver_for(capture), capture.open_limit_s, capture.read_limit_s).opened() as newest:
        frame, end = newest(), time.monotonic() + SETTLES_S
        while time.monotonic() < end:
            frame = newest()
        return frame.pixels


if __name__ == "__main__":
    sys.exit(main())
