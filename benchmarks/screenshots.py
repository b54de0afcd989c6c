"""Three simulated shops for five weeks -> ``docs/page.png`` and ``docs/page-phone.png``.

``python -m benchmarks.screenshots``. The visits are drawn by chance, as the README says beside them; the page, the
store and how the model confuses its labels are the real ones. Needs chromium and chromedriver (Debian:
chromium-driver), Selenium and the tests' folder.
"""

import argparse
import json
import sys
import tempfile
import time
from datetime import datetime, timedelta, timezone
from io import BytesIO
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
from PIL import Image

from collector.devices.registry import Devices
from collector.store.writer import Store
from contract.labels import EXPRESSIONS, UNKNOWN
from contract.message import Bundle, Counts, Health, Model, Models, Privacy, Status
from contract.topics import Address

ROOT = Path(__file__).parents[2]
NOW = datetime(2026, 6, 20, 15, 40, tzinfo=timezone.utc)
ZONE = ZoneInfo("Europe/Berlin")
SHOPS = {"altstadt": (1.5, ("door", "till")), "bahnhof": (2.4, ("door",)), "messe": (0.8, ("door", "hall"))}
"""Visits in five minutes of a quiet hour, and the devices."""
MIX = np.array([3, 1, 2, 24, 8, 6, 46]) / 90
STEP = timedelta(minutes=5)
COLOURS = 160
BOOT = "0" * 16


def expected(start: datetime, shop: str) -> np.ndarray:
    """Visits of each label in five minutes from then on: most at noon and at half past five, and on Saturdays."""
    local = start.astimezone(ZONE)
    hour = local.hour + local.minute / 60
    if not 9 <= hour < 20 or local.weekday() == 6:
        return np.zeros(len(MIX))
    day = 1 + 0.8 * np.exp(-(((hour - 12.5) / 1.5) ** 2)) + 1.2 * np.exp(-(((hour - 17.5) / 1.6) ** 2))
    mix = MIX * np.where(np.array(EXPRESSIONS) == "happiness", 1.4 if shop == "messe" else 1.0, 1.0)
    return np.asarray(SHOPS[shop][0] * day * (1.5 if local.weekday() == 5 else 1.0) * mix)


def fill(root: Path, chance: np.random.Generator) -> None:
    """Windows and devices: one hall is hot in the afternoon, one shop was away for a day and a half, one unit off."""
    card = json.loads((ROOT / "edge/models/expression.json").read_bytes())
    seven = Bundle(name="expression", sha256=card["sha256"], labels=EXPRESSIONS, confusion=card["confusion"])
    models = Models(detector="face@0123456789ab", expression=f"expression@{card['sha256'][:12]}")
    devices = Devices(root)
    with Store(root, "simulated") as store:
        for shop, device in ((shop, device) for shop, (_, names) in SHOPS.items() for device in names):
            for seq in range(35 * 288):
                start = NOW - timedelta(days=35) + seq * STEP
                age = NOW - start
                if (shop == "bahnhof" and timedelta(days=2) < age < timedelta(days=3.5)) or age < STEP:
                    continue
                hot = device == "hall" and 13 <= start.astimezone(ZONE).hour < 16
                visits = dict(zip(EXPRESSIONS, chance.poisson(expected(start, shop)).tolist(), strict=True))
                unknown = int(chance.poisson(0.12 * sum(visits.values())))
                store.add(
                    Counts(
                        schema=1, site=shop, device=device, boot=BOOT, seq=seq, start=start, end=start + STEP,
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
            model = Model(schema=1, detector=Bundle(name="face", sha256="0" * 64), expression=seven)
            told = {"status": Status(schema=1, state=state, boot=BOOT), "model": model, "health": health}
            for kind, message in told.items():
                devices.note(Address(shop, device, kind), message, False, NOW)  # type: ignore[arg-type]
    devices.save()


def picture(url: str, out: Path, width: int, height: int, dark: bool, settle_s: float) -> None:
    """One picture of the page's beginning, in few colours, so that it is small."""
    from tests.support.browser import chromium  # noqa: PLC0415 - of the tests

    with tempfile.TemporaryDirectory() as folder, chromium(Path(folder), width, height, dark) as driver:
        driver.get(url)
        time.sleep(settle_s)
        image = Image.open(BytesIO(driver.get_screenshot_as_png())).convert("RGB")
    image.quantize(COLOURS).save(out, optimize=True)
    print(out, out.stat().st_size, "bytes")


def main() -> None:
    """Fill, serve, look."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.screenshots", description=__doc__)
    parser.add_argument("--settle", type=float, default=30.0, help="seconds that the browser may draw")
    parser.add_argument("--out", type=Path, default=ROOT / "docs")
    chosen = parser.parse_args()
    sys.path.insert(0, str(ROOT))
    from tests.support.brokers import free_port  # noqa: PLC0415 - of the tests
    from tests.support.browser import served  # noqa: PLC0415 - of the tests

    with tempfile.TemporaryDirectory() as folder:
        fill(Path(folder), np.random.default_rng(1))
        with served(Path(folder), free_port(), str(ZONE), lambda: NOW) as url:
            picture(url, chosen.out / "page.png", 1280, 2560, False, chosen.settle)
            picture(url, chosen.out / "page-phone.png", 375, 1500, True, chosen.settle)


if __name__ == "__main__":
    main()
