"""Take the screenshots of the page for the README: ``docs/page.png`` and ``docs/page-phone.png``.

``python -m benchmarks.screenshots``

The visits of three shops over five weeks are simulated, as the README says beside the images. The page, the store and
the model's confusion matrix are the real ones. Needs chromium and chromedriver (Debian: chromium-driver), Selenium, and
the tests folder of the repository.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from io import BytesIO
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
from PIL import Image

from collector.devices.registry import DeviceRegistry
from collector.store.writer import StoreWriter
from contract.health import Health
from contract.labels import EXPRESSIONS, UNKNOWN
from contract.message import BundleIdentity, Counts, Model, Models, Privacy, Status
from contract.topics import Address

ROOT = Path(__file__).parents[1]
NOW = datetime(2026, 6, 20, 15, 40, tzinfo=timezone.utc)
ZONE = ZoneInfo("Europe/Berlin")
SHOPS = {"altstadt": (1.5, ("door", "till")), "bahnhof": (2.4, ("door",)), "messe": (0.8, ("door", "hall"))}
"""Visits in five minutes of a quiet hour, and the devices, by site."""
LABEL_PROBABILITIES = np.array([3, 1, 2, 24, 8, 6, 46]) / 90
WINDOW = timedelta(minutes=5)
COLOURS = 160
BOOT = "0" * 16


def expected_visits(start: datetime, shop: str, rate: float) -> np.ndarray:
    """Return the mean visits by label of a window: most at 12:30 and 17:30 and on Saturdays, none on Sundays.

    ``rate`` is the number of visits in a window of a quiet hour.
    """
    local = start.astimezone(ZONE)
    hour = local.hour + local.minute / 60
    if not 9 <= hour < 20 or local.weekday() == 6:
        return np.zeros(len(LABEL_PROBABILITIES))
    day = 1 + 0.8 * np.exp(-(((hour - 12.5) / 1.5) ** 2)) + 1.2 * np.exp(-(((hour - 17.5) / 1.6) ** 2))
    mix = LABEL_PROBABILITIES * np.where(np.array(EXPRESSIONS) == "happiness", 1.4 if shop == "messe" else 1.0, 1.0)
    return np.asarray(rate * day * (1.5 if local.weekday() == 5 else 1.0) * mix)


def fill(
    root: Path,
    rng: np.random.Generator,
    shops: Mapping[str, tuple[float, tuple[str, ...]]] = SHOPS,
    days: int = 35,
    window: timedelta = WINDOW,
) -> None:
    """Write windows and devices. One device is hot at noon, one shop has a gap of 1.5 days, one device is offline."""
    card = json.loads((ROOT / "edge/models/expression.json").read_bytes())
    seven = BundleIdentity(name="expression", sha256=card["sha256"], labels=EXPRESSIONS, confusion=card["confusion"])
    models = Models(detector="face@0123456789ab", expression=f"expression@{card['sha256'][:12]}")
    devices = DeviceRegistry(root)
    with StoreWriter(root, "simulated") as store:
        for shop, device in ((shop, device) for shop, (_, names) in shops.items() for device in names):
            for seq in range(timedelta(days=days) // window):
                start = NOW - timedelta(days=days) + seq * window
                age = NOW - start
                if (shop == "bahnhof" and timedelta(days=2) < age < timedelta(days=3.5)) or age < window:
                    continue
                hot = device == "hall" and 13 <= start.astimezone(ZONE).hour < 16
                visits = dict(
                    zip(EXPRESSIONS, rng.poisson(expected_visits(start, shop, shops[shop][0])).tolist(), strict=True)
                )
                unknown = int(rng.poisson(0.12 * sum(visits.values())))
                store.add(
                    Counts(
                        schema=1, site=shop, device=device, boot=BOOT, seq=seq, start=start, end=start + window,
                        clock="synced", coverage=0.6 if hot else 0.98, degraded=("hot",) if hot else (), merged=1,
                        visits=visits | {UNKNOWN: unknown}, privacy=Privacy(k=1), model=models,
                    )
                )  # fmt: skip
            store.flush()
            state: Any = "offline" if device == "till" else "online"
            health = Health(
                schema=1, boot=BOOT, time=NOW, uptime_s=3e5, frames_per_s=14.2, latency_ms={}, frames_dropped=0,
                spool_depth=0, spool_dropped=0, oldest_unsent=None, memory_mb=110, temperature_c=58, throttled=False,
                clock="synced", versions={},
            )  # fmt: skip
            model = Model(schema=1, detector=BundleIdentity(name="face", sha256="0" * 64), expression=seven)
            messages = {"status": Status(schema=1, state=state, boot=BOOT), "model": model, "health": health}
            for kind, message in messages.items():
                devices.record(Address(shop, device, kind), message, False, NOW)  # type: ignore[arg-type]
    devices.save()


def screenshot(url: str, out: Path, width: int, height: int, *, dark: bool, wait_s: float) -> None:
    """Write a screenshot of the top of the page, with a palette of `COLOURS` to keep the file small."""
    from tests.support.browser import chromium  # noqa: PLC0415 - part of the tests

    with tempfile.TemporaryDirectory() as folder, chromium(Path(folder), width, height, dark) as driver:
        driver.get(url)
        time.sleep(wait_s)
        image = Image.open(BytesIO(driver.get_screenshot_as_png())).convert("RGB")
    image.quantize(COLOURS).save(out, optimize=True)
    print(f"{out}: {out.stat().st_size} bytes")


def main() -> None:
    """Fill a store, serve it, and take the screenshots."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.screenshots", description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--wait", type=float, default=30.0, metavar="S", help="time to draw the page (default: %(default)s)"
    )
    parser.add_argument("--out", type=Path, default=ROOT / "docs", help="folder of the images (default: %(default)s)")
    arguments = parser.parse_args()
    sys.path.insert(0, str(ROOT))
    from tests.support.brokers import free_port  # noqa: PLC0415 - part of the tests
    from tests.support.browser import served  # noqa: PLC0415 - part of the tests

    with tempfile.TemporaryDirectory() as folder:
        fill(Path(folder), np.random.default_rng(1))
        with served(Path(folder), free_port(), str(ZONE), lambda: NOW) as url:
            screenshot(url, arguments.out / "page.png", 1280, 2560, dark=False, wait_s=arguments.wait)
            screenshot(url, arguments.out / "page-phone.png", 375, 1500, dark=True, wait_s=arguments.wait)


if __name__ == "__main__":
    main()
