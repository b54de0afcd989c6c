"""Send hostile messages of one device among those of nine good ones, and measure what the good ones lose.

``python -m benchmarks.fuzzing.hostile_device --messages 10000 --restarts 20``

The hostile device sends in turn: label sets whose hashes collide in 32 bits, ever new label sets and models, windows of
1970 and 2199, random boot ids and sequence numbers, false and large model messages, changing statuses, model names that
are spreadsheet formulas, and random bytes. Each hostile message is followed by nine good ones. All go into the real
intake and store, which is reopened at each restart; `benchmarks.simulation.fleet` includes a broker. It
prints messages lost, messages stored per second, and the size of the store; then the time of a summary and of the
page's views, and memory.
Exit code 1 if a good message is lost.
"""

import argparse
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path

from msgspec.structs import replace

from collector.devices.registry import DeviceRegistry, read_devices
from collector.receive.dead_letters import DeadLetters
from collector.receive.intake import Intake, ReceivedMessage
from collector.store.writer import StoreWriter
from contract.labels import EXPRESSIONS, UNKNOWN
from contract.message import BundleIdentity, Counts, Model, Models, Privacy, Status, encode
from contract.topics import topic

NOW = datetime(2026, 3, 29, 12, tzinfo=timezone.utc)
MODELS = Models(detector="faces@0123456789ab", expression="seven@ba9876543210")
COLLIDING_LABELS = (("l604d", "m"), ("l6943", "m"))
"""Label sets whose hashes begin with the same 32 bits; found by search."""
GOOD_DEVICES = 9


def window(device: str, seq: int, labels: tuple[str, ...] = EXPRESSIONS) -> Counts:
    """Return the one-minute window that starts ``seq + 1`` minutes before NOW."""
    start = NOW - timedelta(minutes=seq + 1)
    return Counts(
        schema=1, site="shop-1", device=device, boot="0" * 16, seq=seq, start=start, end=start + timedelta(minutes=1),
        clock="synced", coverage=1.0, degraded=(), merged=1, visits=dict.fromkeys((*labels, UNKNOWN), 1),
        privacy=Privacy(k=1), model=MODELS,
    )  # fmt: skip


def hostile(number: int, rng: random.Random) -> ReceivedMessage:
    """Return a message of the hostile device; the kinds alternate with ``number``."""
    kinds = (
        _window,
        _window,
        _window,
        _window,
        _window,
        _window,
        _window,
        _model,
        _model,
        _status,
        _random_bytes,
        _random_bytes,
    )
    return kinds[number % len(kinds)](number, rng)


def _window(number: int, rng: random.Random) -> ReceivedMessage:
    """Return a window with a label set, time, boot id or model that no healthy device sends."""
    base, kind = window("hostile", number % 1000), number % 12
    year = NOW.replace(year=1970 if kind == 2 else 2199) + timedelta(days=number)
    day = datetime.fromtimestamp(number * 86_400, timezone.utc)
    return _counts(
        {
            0: lambda: window("hostile", number % 1000, COLLIDING_LABELS[number // 12 % 2]),
            1: lambda: window("hostile", number % 1000, tuple(f"l{number}_{at}" for at in range(31))),
            2: lambda: replace(base, start=year, end=year + timedelta(minutes=1)),
            3: lambda: replace(base, start=year, end=year + timedelta(minutes=1)),
            4: lambda: replace(base, start=day, end=day + timedelta(minutes=1), clock="unsynced"),
            5: lambda: replace(base, boot=f"{rng.getrandbits(64):016x}", seq=rng.randrange(2**53)),
            6: lambda: replace(base, model=Models(detector="f@0", expression=f"=HYPERLINK({number})")),
        }[kind]()
    )


def _model(number: int, rng: random.Random) -> ReceivedMessage:
    """Return a large model message, or one with a false confusion matrix of the good devices' classifier."""
    labels = tuple(f"l{at}" for at in range(30))
    large = BundleIdentity(
        name="seven", sha256=f"{number:064x}", labels=labels, confusion=((rng.randrange(2**50),) * 30,) * 30
    )
    swapped = tuple(tuple(90 if at == (row + 1) % 7 else 1 for at in range(7)) for row in range(7))
    false = BundleIdentity(name="seven", sha256="ba9876543210" + "0" * 52, labels=EXPRESSIONS, confusion=swapped)
    expression = large if number % 12 == 7 else false
    return _retained(
        "model", Model(schema=1, detector=BundleIdentity(name="f", sha256="0" * 64), expression=expression)
    )


def _status(number: int, rng: random.Random) -> ReceivedMessage:
    """Return a status that changes all the time."""
    return _retained("status", Status(schema=1, state=rng.choice(("online", "offline")), boot=f"{number:016x}"))


def _random_bytes(_number: int, rng: random.Random) -> ReceivedMessage:
    """Return a payload that is no message."""
    return ReceivedMessage(topic("shop-1", "hostile", "counts"), rng.randbytes(rng.randrange(20_000)))


def _counts(counts: Counts) -> ReceivedMessage:
    return ReceivedMessage(topic(counts.site, counts.device, "counts"), encode(counts))


def _retained(kind: str, message: Model | Status) -> ReceivedMessage:
    return ReceivedMessage(f"facetally/v1/shop-1/hostile/{kind}", encode(message))


@dataclass(frozen=True, slots=True)
class Outcome:
    """The good messages and the size of the store after the run."""

    good: int
    """Good messages sent."""
    lost: int
    """Good messages that are not in the store."""
    good_per_s: float
    """Good messages stored per second."""
    folders: int
    """Folders of days in the store."""
    files: int
    """CSV files in the store."""
    matrices_kept: bool
    """Whether the good devices' confusion matrix is unchanged."""


def groups(messages: int, rng: random.Random) -> Iterator[list[ReceivedMessage]]:
    """Yield groups of ten messages, one of them hostile, in the order of arrival."""
    for number in range(messages):
        good = [window(f"d{at}", number) for at in range(GOOD_DEVICES)]
        yield [hostile(number, rng), *map(_counts, good)]


def play(root: Path, messages: int, restarts: int, seed: int = 1) -> Outcome:
    """Store all messages, with ``restarts`` restarts in between, and examine the store."""
    rng, every, took = random.Random(seed), max(messages // (restarts + 1), 1), 0.0  # noqa: S311
    own = BundleIdentity(name="seven", sha256="ba9876543210" + "0" * 52, labels=EXPRESSIONS, confusion=((9,) * 7,) * 7)
    good_model = Model(schema=1, detector=BundleIdentity(name="f", sha256="0" * 64), expression=own)
    waiting = [[ReceivedMessage(topic("shop-1", "d0", "model"), encode(good_model))], *groups(messages, rng)]
    for begin in range(0, len(waiting), every):
        began = time.perf_counter()
        with StoreWriter(root, "collector") as store:
            intake = Intake(store, DeviceRegistry(root), DeadLetters(root, 8 * 2**20))
            part = waiting[begin : begin + every]
            for at in range(0, len(part), 50):
                intake.process([arrival for group in part[at : at + 50] for arrival in group], NOW)
                intake.save_devices()
        took += time.perf_counter() - began
    lines = [line for path in root.glob("date=*/site=*/*.csv") for line in path.read_text().splitlines()]
    stored = {tuple(line.split(",")[2:5:2]) for line in lines if ",d" in line[:12]}
    good = GOOD_DEVICES * messages
    kept = next(device for device in read_devices(root) if device.device == "d0")
    return Outcome(
        good, good - len(stored), good / took, len(list(root.glob("date=*"))), len(list(root.glob("date=*/site=*/*"))),
        kept.model == good_model and not kept.bundles,
    )  # fmt: skip


VIEWS = """
import sys, time
from datetime import datetime, timezone
from pathlib import Path
from collector.page.sections.views import View
from collector.reading.reader import Reader
root, now = Path(sys.argv[1]), datetime(2026, 3, 29, 12, tzinfo=timezone.utc)
view = View(Reader(root, lambda: now), lambda: now)
query = {"site": "*", "days": "7", "by": "hour", "zone": "UTC"}
for name, show in (("overview", lambda: view.overview(query)), ("live", lambda: view.live(query))):
    began = time.perf_counter()
    show()
    print(f"  {name}: {time.perf_counter() - began:.2f} s")
peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
print(f"  peak memory of the page: {int(peak.split()[1]) / 1024:.0f} MB")
"""


def main() -> int:
    """Run and print the report; return 1 if a good message was lost."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.fuzzing.hostile_device", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("--messages", type=int, default=10_000, help="hostile messages (default: %(default)s)")
    parser.add_argument("--restarts", type=int, default=20, help="restarts of the collector (default: %(default)s)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "store"
        outcome = play(root, options.messages, options.restarts)
        print(f"{options.messages} hostile messages, {outcome.good} good ones, {options.restarts} restarts")
        print(f"good messages lost: {outcome.lost}; stored per second: {outcome.good_per_s:.0f}")
        print(f"folders: {outcome.folders}; files: {outcome.files}; matrices kept: {outcome.matrices_kept}")
        began = time.perf_counter()
        summary = [sys.executable, "-m", "collector", "summary", "--root", str(root), "--by", "site", "--csv"]
        subprocess.run(summary, check=True, capture_output=True)
        print(f"summary --by site: {time.perf_counter() - began:.2f} s, start of Python included")
        sys.stdout.flush()
        subprocess.run([sys.executable, "-c", VIEWS, str(root)], check=True)
    peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    print(f"peak memory of the intake, with all messages: {int(peak.split()[1]) / 1024:.0f} MB")
    return 1 if outcome.lost or not outcome.matrices_kept else 0


if __name__ == "__main__":
    raise SystemExit(main())
