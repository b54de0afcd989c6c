"""Take the screenshots of the aiming page for the guide: ``docs/aim.png`` and ``docs/aim-phone.png``.

``python -m benchmarks.aiming_screenshots``

The real `facetally-aim` plays clips of the demonstration's two public-domain portraits: on a desk small faces on grey,
on a phone large ones with ``--images``. Needs chromium and chromedriver (Debian: chromium-driver), Selenium, and the
tests folder of the repository.
"""

import argparse
import sys
import tempfile
import time
from io import BytesIO
from pathlib import Path
from typing import Any

import cv2
from PIL import Image

from demo.clip import FPS, HEIGHT, WIDTH, Walk, render

ROOT = Path(__file__).parents[1]
SECONDS, COLOURS = 14, 160
DISTANT = (
    Walk("astronaut", start=-2.0, duration=14.0, y=230, scale=0.15, rightward=True),
    Walk("officer", start=-4.0, duration=16.0, y=170, scale=0.075, rightward=False),
    Walk("astronaut", start=1.0, duration=12.0, y=330, scale=0.2, rightward=False),
)
CLOSE = (
    Walk("astronaut", start=-3.0, duration=11.0, y=190, scale=0.8, rightward=True),
    Walk("officer", start=-2.0, duration=12.0, y=160, scale=0.5, rightward=False),
)
STEADY_S = 4.0
"""After this time the measures change little, seconds."""
BOXES = "return document.querySelectorAll('#boxes g').length"
TILL = ((0.06, 0.42), (0.3, 0.36), (0.36, 0.86), (0.06, 0.9))


def take(walks: tuple[Walk, ...], folder: Path, options: tuple[str, ...], **window: Any) -> Image.Image:
    """Play a clip with these walks to `facetally-aim`, draw a zone on the page, and return a screenshot of it."""
    from selenium.webdriver.support.ui import WebDriverWait  # noqa: PLC0415

    from tests.support.aiming import aiming, configured, entered  # noqa: PLC0415 (part of the tests)
    from tests.support.browser import chromium  # noqa: PLC0415

    clip = folder / "clip.mp4"
    writer = cv2.VideoWriter(str(clip), cv2.VideoWriter_fourcc(*"mp4v"), FPS, (WIDTH, HEIGHT))
    for image in render(walks, SECONDS, FPS):
        writer.write(image)
    writer.release()
    config = configured(folder, Path(clip.name), max_fps=6)
    zone = ", ".join(f"[{x}, {y}]" for x, y in TILL)
    config.write_text(config.read_text().replace("[0.4, 0.05], [0.6, 0.05], [0.5, 0.1]", zone))
    with aiming(config, *options) as aim, chromium(folder, insecure=True, **window) as driver:
        entered(driver, aim)
        time.sleep(STEADY_S)
        WebDriverWait(driver, 2 * SECONDS).until(lambda _: driver.execute_script(BOXES) == len(walks))
        return Image.open(BytesIO(driver.get_screenshot_as_png())).convert("RGB")


def main() -> None:
    """Take both screenshots."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.aiming_screenshots", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--out", type=Path, default=ROOT / "docs", help="folder of the images (default: %(default)s)")
    out = parser.parse_args().out
    sys.path.insert(0, str(ROOT))
    for name, walks, options, window in (
        ("aim.png", DISTANT, (), {"width": 1180, "height": 840}),
        ("aim-phone.png", CLOSE, ("--images",), {"width": 390, "height": 1180, "dark": True}),
    ):
        with tempfile.TemporaryDirectory() as folder:
            image = take(walks, Path(folder), options, **window)
        image.quantize(COLOURS, dither=Image.Dither.NONE).save(out / name, optimize=True)
        print(f"{out / name}: {(out / name).stat().st_size} bytes")


if __name__ == "__main__":
    main()
