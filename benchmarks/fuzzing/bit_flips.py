"""Flip bits of roll-ups and of ``devices.json``, and check that no difference goes unnoticed.

``python -m benchmarks.fuzzing.bit_flips --flips 1000``

Retention has deleted the rows of some days of the store, so some hours exist only in a roll-up; a device has had other
models before. Each round flips one random bit of one file, keeps the file's size and times, and reads the store again.
The totals must be equal, or the damage reported. Exit code 1 if a difference is silent.
"""

import argparse
import os
import random
import shutil
import tempfile
from collections import Counter
from datetime import timedelta
from pathlib import Path

from benchmarks.fuzzing.hostile_device import NOW, window
from collector.analysis.correction import confusions
from collector.devices.registry import DeviceRegistry, read_devices
from collector.devices.registry_file import damages
from collector.rollups.cells import HOUR_S
from collector.rollups.rollup import FOLDER, Rollups
from collector.store.load import labels
from collector.store.writer import StoreWriter
from contract.message import BundleIdentity, Model
from contract.topics import Address

LATER = NOW + timedelta(days=30)


def build(root: Path) -> None:
    """Write two days of a device, the first of them only as roll-ups, and three models of that device."""
    with StoreWriter(root, "collector") as store:
        for number in range(0, 2880, 10):
            store.add(window("door", number))
        store.flush()
    devices = DeviceRegistry(root)
    for number in range(3):
        expression = BundleIdentity(
            name="seven", sha256=f"{number:064x}", labels=("a", "b"), confusion=((9, 1), (2, 8))
        )
        model = Model(schema=1, detector=BundleIdentity(name="f", sha256="0" * 64), expression=expression)
        devices.record(Address("shop-1", "door", "model"), model, False, NOW)
        devices.save()
    for path in root.glob("date=*/site=*/*.csv"):
        os.utime(path, (NOW.timestamp(), NOW.timestamp()))
    rollups, first = Rollups(root, HOUR_S, lambda: LATER), (NOW - timedelta(days=2)).date()
    rollups.retire(first)
    shutil.rmtree(root / f"date={first}")
    rollups.mark_deleted(first)
    Rollups(root, HOUR_S, lambda: LATER).cells()


def read(root: Path) -> tuple[float, float, int, bool]:
    """Return visits and watched seconds of the roll-ups, number of matrices, and whether damage is reported."""
    rollups = Rollups(root, HOUR_S, lambda: LATER)
    cells = rollups.cells()
    visits = float(cells[labels(cells)].sum().sum())
    matrices = len(confusions(read_devices(root)))
    return visits, float(cells["seconds"].sum()), matrices, bool(rollups.damages() or damages(root))


def flip(path: Path, bit: int) -> None:
    """Flip one bit; keep the file's size and times."""
    data, times = bytearray(path.read_bytes()), path.stat()
    data[bit // 8] ^= 1 << bit % 8
    path.write_bytes(data)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def main() -> int:
    """Flip bits and print the outcomes; return 1 if a difference was silent."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.fuzzing.bit_flips", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("--flips", type=int, default=1000, help="number of bits to flip (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="seed of the positions (default: %(default)s)")
    options = parser.parse_args()
    rng, outcomes = random.Random(options.seed), Counter[str]()  # noqa: S311 - not for secrets
    with tempfile.TemporaryDirectory() as folder:
        intact, root = Path(folder) / "intact", Path(folder) / "store"
        build(intact)
        *expected, reported = read(intact)
        assert not reported
        for number in range(options.flips):
            shutil.rmtree(root, ignore_errors=True)
            shutil.copytree(intact, root)
            rollups = sorted((root / FOLDER).glob("3600/*.parquet*"))
            path = root / "devices.json" if number % 2 else rng.choice(rollups)
            flip(path, rng.randrange(path.stat().st_size * 8))
            *totals, reported = read(root)
            outcome = "reported" if reported else "equal" if totals == expected else "SILENT"
            outcomes[f"{path.suffix.removeprefix('.')}: {outcome}"] += 1
    for outcome, times in sorted(outcomes.items()):
        print(f"{outcome}: {times}")
    return 1 if any("SILENT" in outcome for outcome in outcomes) else 0


if __name__ == "__main__":
    raise SystemExit(main())
