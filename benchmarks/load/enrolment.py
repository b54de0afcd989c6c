"""Time to enrol many devices, to sign their release, and to prepare all their cards.

``python -m benchmarks.load.enrolment [--devices 300] [--cards N]`` makes a fleet in a temporary folder, with a real
wheel of this checkout and the real packages of a Raspberry Pi. A card is a folder on this disk, and is deleted once it
is written: the time of a real card's flash comes on top.
"""

import argparse
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.machines.debian import build_wheel
from fleet.__main__ import main as fleet

SITES = 60
ZONE = "staff_zones = [[[0.0, 0.3], [0.4, 0.3], [0.4, 1.0], [0.0, 1.0]]]\n"


@contextmanager
def timed(name: str, times: dict[str, float]) -> Iterator[None]:
    """Note the duration of a block, seconds."""
    begin = time.monotonic()
    yield
    times[name] = time.monotonic() - begin


def run(*arguments: object) -> None:
    """Run ``facetally-fleet``; RuntimeError if it fails."""
    if status := fleet([str(argument) for argument in arguments]):
        raise RuntimeError(f"facetally-fleet {arguments[0]}: exit code {status}")


def write_table(folder: Path, devices: int) -> Path:
    """Write a table of devices in two groups; each has a zones file."""
    (folder / "zone.toml").write_text(ZONE)
    rows = [f"shop-{n % SITES},camera-{n // SITES},{'north' if n % 2 else 'south'},zone.toml" for n in range(devices)]
    table = folder / "devices.csv"
    table.write_text("\n".join(["site,device,group,zones,camera", *(f"{row},picamera2" for row in rows)]) + "\n")
    return table


def write_cards(folder: Path, of: Path, devices: int, cards: int) -> int:
    """Prepare the cards of the first devices one after another; return the bytes of one."""
    size = 0
    for n in range(min(cards, devices)):
        boot = folder / "bootfs"
        boot.mkdir()
        for name in ("meta-data", "user-data"):
            (boot / name).touch()
        run("card", f"shop-{n % SITES}/camera-{n // SITES}", boot, "--fleet", of)
        size = sum(path.stat().st_size for path in boot.rglob("*") if path.is_file())
        shutil.rmtree(boot)
    return size


def measure(folder: Path, wheel: Path, devices: int, cards: int) -> dict[str, float]:
    """Enrol devices, release for all of them, and prepare cards; return the time of each step, seconds."""
    times: dict[str, float] = {}
    of, table = folder / "fleet", write_table(folder, devices)
    run("init", of, "--broker", "broker.example", "--repository", "https://releases.example:8443")
    with timed("enrol", times):
        run("enrol", table, "--fleet", of)
    with timed("enrol again, unchanged", times):
        run("enrol", table, "--fleet", of)
    with timed("release", times):
        run("release", "1.0", "--wheel", wheel, "--fleet", of)
    with timed("cards", times):
        size = write_cards(folder, of, devices, cards)
    print(f"a card has {size / 1e6:.1f} MB")
    return times


def main() -> None:
    """Print the time of each step."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--devices", type=int, default=300)
    parser.add_argument("--cards", type=int, default=300, help="cards to prepare (default: %(default)s)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        times = measure(Path(folder), build_wheel(), arguments.devices, arguments.cards)
    for name, seconds in times.items():
        print(f"{name:24} {seconds:8.1f} s")


if __name__ == "__main__":
    main()
