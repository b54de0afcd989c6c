"""What a running collector adds to the store of `benchmarks.load.year`: devices with models, and new windows.

Without new windows every answer would come from memory, and without confusion matrices no share would be corrected.
"""

import json
import shutil
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

from benchmarks.load.year import DEVICES_PER_SITE, END, LABELS, TAIL
from collector.devices.device import Device
from collector.devices.registry_file import RegistryContent, write
from collector.store.rows import header
from contract.labels import EXPRESSIONS, labelset
from contract.message import BundleIdentity, Model

ROOT = Path(__file__).parents[2]
NEW = f"date={END:%Y-%m-%d}"
"""Folder of the new windows. The year ends before it."""
BEFORE = timedelta(minutes=2)
"""Time from the end of the year to the begin of a measurement, so that a window has ended when it arrives."""
WINDOW = timedelta(minutes=1)


def clock(began_s: float) -> datetime:
    """Return the time of the measured server, which runs as fast as ours since ``began_s`` of the monotonic clock."""
    return END + BEFORE + timedelta(seconds=time.monotonic() - began_s)


def device_names(devices: int) -> list[tuple[str, str]]:
    """Return site and name of each device of `benchmarks.load.year.fill`."""
    return [(f"shop-{number // DEVICES_PER_SITE:02}", f"device-{number:03}") for number in range(devices)]


def write_devices(root: Path, names: Iterable[tuple[str, str]]) -> None:
    """Let devices be online, and report the matrix of the shipped classifier for their windows.

    ``names`` are their sites and names.
    """
    card = json.loads((ROOT / "edge/models/expression.json").read_bytes())
    sha256 = TAIL.rpartition("@")[2].ljust(64, "0")
    expression = BundleIdentity(name="expression", sha256=sha256, labels=EXPRESSIONS, confusion=card["confusion"])
    model = Model(schema=1, detector=BundleIdentity(name="face", sha256="0" * 64), expression=expression)
    known = tuple(
        Device(site=site, device=name, state="online", boot="0" * 16, seen=END, counted=END, model=model)
        for site, name in names
    )
    write(root / "devices.json", RegistryContent(devices=known))


@contextmanager
def arriving(root: Path, devices: int, began_s: float) -> Iterator[None]:
    """Append a window of each device each minute while the context lasts, one device after another."""
    stop = threading.Event()
    thread = threading.Thread(target=_append, args=(root, devices, began_s, stop))
    shutil.rmtree(root / NEW, ignore_errors=True)  # of a run that was killed
    write_devices(root, device_names(devices))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        shutil.rmtree(root / NEW)


def _append(root: Path, devices: int, began_s: float, stop: threading.Event) -> None:
    names, pause_s = device_names(devices), WINDOW.total_seconds() / devices
    seq = 0
    while True:
        for site, name in names:
            end = clock(began_s)
            path = root / NEW / f"site={site}" / f"counts-{labelset(LABELS)}-collector.csv"
            if not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(header(LABELS))
            stamps = ",".join(f"{moment:%Y-%m-%dT%H:%M:%SZ}" for moment in (end - WINDOW, end))
            with path.open("a") as file:
                file.write(f"1,{site},{name},{'1' * 16},{seq},{stamps},{TAIL},{','.join('1' for _ in LABELS)}\n")
            if stop.wait(pause_s):
                return
        seq += 1
