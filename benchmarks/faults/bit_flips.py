"""Bits of roll-ups and of ``devices.json`` turn over -> equal totals or a notice, never a silent difference.

``python -m benchmarks.faults.bit_flips --flips 1000``. The store has days whose rows retention has deleted, so that some
hours are in a roll-up alone, and a device with former models. One bit is turned over, anywhere in one of the files. Its
size and times stay. Then a new reader is asked, and the file is put back.
"""

import argparse
import os
import random
import shutil
import tempfile
from collections import Counter
from datetime import timedelta
from pathlib import Path

from benchmarks.faults.hostile_device import NOW, window
from collector.analysis.correction import confusions
from collector.devices.registry import Devices, read_devices
from collector.devices.registry_file import damages
from collector.store.cells import HOUR_S
from collector.store.load import labels
from collector.store.rollup import FOLDER, Rollups
from collector.store.writer import Store
from contract.message import Bundle, Model
from contract.topics import Address

LATER = NOW + timedelta(days=30)


def build(root: Path) -> None:
    """Two days of a device, the first of them in roll-ups alone, and three models of it."""
    with Store(root, "collector") as store:
        for number in range(0, 2880, 10):
            store.add(window("door", number))
        store.flush()
    devices = Devices(root)
    for number in range(3):
        told = Bundle(name="seven", sha256=f"{number:064x}", labels=("a", "b"), confusion=((9, 1), (2, 8)))
        model = Model(schema=1, detector=Bundle(name="f", sha256="0" * 64), expression=told)
        devices.note(Address("shop-1", "door", "model"), model, False, NOW)
        devices.save()
    for path in root.glob("date=*/site=*/*.csv"):
        os.utime(path, (NOW.timestamp(), NOW.timestamp()))
    rollups, first = Rollups(root, HOUR_S, lambda: LATER), (NOW - timedelta(days=2)).date()
    rollups.retire(first)
    shutil.rmtree(root / f"date={first}")
    rollups.deleted(first)
    Rollups(root, HOUR_S, lambda: LATER).cells()


def read(root: Path) -> tuple[float, float, int, bool]:
    """Visits and watched seconds of the roll-ups, matrices of the devices, and whether anything was noticed."""
    rollups = Rollups(root, HOUR_S, lambda: LATER)
    cells = rollups.cells()
    visits = float(cells[labels(cells)].sum().sum())
    matrices = len(confusions(read_devices(root)))
    return visits, float(cells["seconds"].sum()), matrices, bool(rollups.damages() or damages(root))


def flip(path: Path, bit: int) -> None:
    """Turn one bit over; size and times stay."""
    data, times = bytearray(path.read_bytes()), path.stat()
    data[bit // 8] ^= 1 << bit % 8
    path.write_bytes(data)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def main() -> int:
    """Turn bits over, print what came of it; 1 if a difference was silent."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.faults.bit_flips", description=__doc__)
    parser.add_argument("--flips", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    rng, outcomes = random.Random(options.seed), Counter[str]()  # noqa: S311 - nothing is secret here
    with tempfile.TemporaryDirectory() as folder:
        whole, root = Path(folder) / "whole", Path(folder) / "store"
        build(whole)
        *expected, noticed = read(whole)
        assert not noticed
        for number in range(options.flips):
            shutil.rmtree(root, ignore_errors=True)
            shutil.copytree(whole, root)
            rollups = sorted((root / FOLDER).glob("3600/*.parquet*"))
            path = root / "devices.json" if number % 2 else rng.choice(rollups)
            flip(path, rng.randrange(path.stat().st_size * 8))
            *told, noticed = read(root)
            outcome = "noticed" if noticed else "equal" if told == expected else "SILENT"
            outcomes[f"{path.suffix.removeprefix('.')}: {outcome}"] += 1
    for outcome, times in sorted(outcomes.items()):
        print(f"{outcome}: {times}")
    return 1 if any("SILENT" in outcome for outcome in outcomes) else 0


if __name__ == "__main__":
    raise SystemExit(main())
