"""Damage configurations, model cards, models and media at random, and check that the daemon refuses them in order.

``python -m benchmarks.fuzzing.damaged_files configurations|cards|models|media --cases 1000 --seed 1``

Each case is a good file with random damage. Configurations and cards are read in this process. Each model is vetted as
the daemon vets it, and each medium is counted by the daemon, in processes of their own. Allowed are exit codes 0 and 2,
without a traceback and without a signal. Other cases are printed, and kept with ``--keep``; exit code 1.
"""

import argparse
import functools
import hashlib
import json
import multiprocessing
import os
import random
import re
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

import cv2
import msgspec
import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tqdm import tqdm

from base.errors import FacetallyError
from contract.card import read_card, unpack
from contract.errors import BundleError
from edge.__main__ import main as edge
from edge.counting.admit import AdmissionGate
from edge.settings import read
from edge.vision import bundle
from edge.vision.probe import check_in_subprocess

CONFIG = """
site = "shop-1"
device = "door"
capture = { source = "file", path = "people.mp4" }
admit = { staff_zones = [] }
"""
KEYS = (
    "site", "device", "capture", "capture.fps", "capture.path", "admit.staff_zones", "admit.hours", "admit.forget_s",
    "admit.dwell_limit_s", "detect.every", "detect.threads", "detect.threshold", "detect.bundle", "classify.threads",
    "track.min_observations", "track.min_visit_s", "track.gap_s", "track.max_visit_s", "tally.window_s", "privacy.k",
    "broker.host", "broker.port", "broker.username", "broker.tls", "broker.keepalive_s", "broker.drain_per_s",
    "broker.confirm", "spool.path", "spool.max_days", "spool.max_mb", "spool.unsynced_hold_h", "spool", "no.such",
)  # fmt: skip
INVALID_VALUES = (
    *("inf", "-inf", "nan", "0", "-1", "1e-300", "1e300", "9223372036854775807", "9223372036854775808", "2147483648"),
    *('"a\\u0000b"', '""', '"/"', '"a/b"', '"+"', "[]", "{}", "true", "1979-05-27", "[[[0, 0], [1, 0], [1, nan]]]"),
    *("[" * 300 + "]" * 300, '"' + "x" * 5000 + '"', '{ open = "25:00" }', '{ timezone = "../../etc/passwd" }'),
)
LIMIT_S = 60.0

scalars = st.one_of(
    st.sampled_from(INVALID_VALUES),
    st.integers().map(str),
    st.floats().map(repr),
    st.text(max_size=20).map(json.dumps),
    st.lists(st.integers(-2, 2).map(str), max_size=4).map(lambda parts: f"[{', '.join(parts)}]"),
)
random_overrides = st.lists(
    st.tuples(st.sampled_from(KEYS), scalars).map(lambda pair: f"{pair[0]}={pair[1]}"), min_size=1, max_size=4
)
texts = st.one_of(
    st.binary(max_size=200).map(lambda junk: CONFIG.encode() + junk),
    st.tuples(st.integers(0, len(CONFIG)), st.binary(max_size=4)).map(
        lambda cut: CONFIG.encode()[: cut[0]] + cut[1] + CONFIG.encode()[cut[0] + len(cut[1]) :]
    ),
)


def read_config(path: Path, overrides: tuple[str, ...] = ()) -> str:
    """Read a configuration as the daemon does; return ``accepted`` or ``refused``."""
    try:
        settings_read = read(path, overrides)
        AdmissionGate(settings_read.admit)
        assert 1 <= settings_read.max_windows < 2**63
        assert len(repr(settings_read)) < 200_000
        return "accepted"
    except FacetallyError as error:
        assert len(str(error)) < 20_000, "the error message is longer than a page"
        return "refused"


def _configurations(folder: Path, cases: int, seed: int) -> Counter[str]:
    """Half of the cases set keys to invalid values, half damage the bytes of the file."""
    outcomes: Counter[str] = Counter()
    path = folder / "edge.toml"

    def by_key(overrides: list[str]) -> None:
        path.write_text(CONFIG)
        outcomes[read_config(path, tuple(overrides))] += 1

    def by_bytes(content: bytes) -> None:
        path.write_bytes(content)
        outcomes[read_config(path)] += 1

    _given(by_key, random_overrides, cases // 2, seed)
    _given(by_bytes, texts, cases - cases // 2, seed)
    return outcomes


def _given(check: Callable[[Any], None], cases: st.SearchStrategy[Any], number: int, seed: int) -> None:
    from hypothesis import seed as seeded  # noqa: PLC0415 - another name would hide the argument

    quick = settings(max_examples=number, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    seeded(seed)(quick(given(cases)(check)))()


def damage(content: bytes, rng: random.Random) -> bytes:
    """Return ``content`` with some bytes changed, zeroed, deleted or inserted."""
    damaged = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 8, 64))):
        at = rng.randrange(max(1, len(damaged)))
        match rng.randrange(5):
            case 0:
                damaged[at : at + 1] = bytes([rng.randrange(256)])
            case 1:
                damaged[at : at + 4] = rng.choice((0, 1, 2**31 - 1, 2**32 - 1)).to_bytes(4, "little")
            case 2:
                damaged[at : at + rng.randrange(64)] = b""
            case 3:
                damaged[at:at] = rng.randbytes(rng.randrange(16))
            case _:
                del damaged[at if rng.random() < 0.1 else len(damaged) :]
    return bytes(damaged)


def _cards(folder: Path, cases: int, seed: int) -> Counter[str]:
    """Read damaged cards, and unpack their golden samples."""
    rng, outcomes = random.Random(seed), Counter[str]()  # noqa: S311 - not for secrets
    intact = [path.read_bytes() for path in sorted(bundle.SHIPPED.glob("*.json"))]
    for _ in tqdm(range(cases), desc="cards", unit="card"):
        try:
            card = read_card(damage(rng.choice(intact), rng), "card")
            for golden in card.golden:
                try:
                    unpack(golden.input)
                except ValueError:
                    outcomes["golden sample refused"] += 1
            outcomes["accepted"] += 1
        except BundleError:
            outcomes["refused"] += 1
    return outcomes


def models(folder: Path, cases: int, seed: int) -> Iterator[tuple[Path, str]]:
    """Yield the cards of damaged models, with the hash of the damaged file, and the task."""
    rng = random.Random(seed)  # noqa: S311 - not for secrets
    for number in range(cases):
        name, task = rng.choice((("expression", "classify"), ("face-320x240", "detect")))
        content = (bundle.SHIPPED / f"{name}.tflite").read_bytes()
        near_start = rng.random() < 0.5  # half of the damage hits the tables at the start of the file
        at = rng.randrange(2000) if near_start else rng.randrange(len(content))
        damaged = content[:at] + damage(content[at : at + 400], rng) + content[at + 400 :]
        card = msgspec.json.decode((bundle.SHIPPED / f"{name}.json").read_bytes())
        path = folder / f"{number}.json"
        path.write_bytes(msgspec.json.encode(card | {"sha256": hashlib.sha256(damaged).hexdigest()}))
        path.with_suffix(".tflite").write_bytes(damaged)
        yield path, task


def vet_model(card: Path, task: str) -> str:
    """Vet a bundle as the daemon does; return ``accepted``, ``refused``, or how the model ended its process."""
    try:
        check_in_subprocess(card, task, 1)
        return "accepted"
    except BundleError as error:
        ended = re.search(r"process[^(]*\(([^)]*)\)", str(error))
        return f"ends its process: {ended[1]}" if ended else "refused"


def _models(folder: Path, cases: int, seed: int) -> Counter[str]:
    outcomes: Counter[str] = Counter()
    for card, task in tqdm(models(folder, cases, seed), desc="models", unit="model", total=cases):
        outcomes[vet_model(card, task)] += 1
        card.unlink()
        card.with_suffix(".tflite").unlink()
    return outcomes


def media(folder: Path, cases: int, seed: int) -> Iterator[Path]:
    """Yield paths of damaged videos and of folders with a damaged image."""
    rng = random.Random(seed)  # noqa: S311 - not for secrets
    noise = np.random.default_rng(seed)
    intact: dict[str, bytes] = {}
    for name, code in (("clip.avi", "MJPG"), ("clip.mp4", "mp4v")):
        writer = cv2.VideoWriter(str(folder / name), cv2.VideoWriter_fourcc(*code), 10, (64, 48))
        for _ in range(5):
            writer.write(noise.integers(0, 256, (48, 64, 3), np.uint8))
        writer.release()
        intact[name] = (folder / name).read_bytes()
        (folder / name).unlink()
    for name in ("image.png", "image.jpg", "image.tiff", "image.bmp", "image.webp"):
        intact[name] = cv2.imencode(Path(name).suffix, noise.integers(0, 256, (48, 64), np.uint8))[1].tobytes()
    for number in range(cases):
        name = rng.choice(sorted(intact))
        target = folder / f"{number}"
        target.mkdir()
        (target / name).write_bytes(damage(intact[name], rng))
        yield target if name.startswith("image") else target / name


def count_clip(path: Path) -> str:
    """Count a clip with the daemon; return ``accepted``, ``refused``, or ``WRONG`` with what it did."""
    config, log = path.parent / "edge.toml", path.parent / f"{path.name}.log"
    config.write_text(CONFIG)
    arguments = ["run", "--config", str(config), "--stdout", "--clip", str(path)]
    process = _processes().Process(target=_run_edge, args=(arguments, log))
    process.start()
    process.join(LIMIT_S)
    ended = process.exitcode
    process.kill()
    printed = log.read_text(errors="replace") if log.exists() else ""
    if "Traceback" in printed or "traceback=" in printed or ended not in (0, 2):
        return f"WRONG: {ended}: {printed[-300:]}"
    return "accepted" if ended == 0 else "refused"


@functools.cache
def _processes() -> ForkServerContext:
    """Return a context whose processes are forks of one that has imported the daemon, which takes a second."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["edge.__main__", "edge.build", "hypothesis.strategies"])
    return context


def _run_edge(arguments: list[str], log: Path) -> None:
    """Run the daemon's command in this process, with its output in a file."""
    with log.open("wb") as out:
        for descriptor in (1, 2):
            os.dup2(out.fileno(), descriptor)
    sys.exit(edge(arguments))


def _media(folder: Path, cases: int, seed: int) -> Counter[str]:
    return Counter(
        count_clip(path) for path in tqdm(media(folder, cases, seed), desc="media", unit="file", total=cases)
    )


KINDS = {"configurations": _configurations, "cards": _cards, "models": _models, "media": _media}


def main() -> int:
    """Run the cases of one kind and print the outcomes; return 1 if a case is wrong."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.fuzzing.damaged_files", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("--cases", type=int, default=1000, help="number of cases (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="seed of the damage (default: %(default)s)")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="write the cases to FOLDER, and keep them")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = arguments.keep or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        outcomes = KINDS[arguments.kind](folder, arguments.cases, arguments.seed)
    for outcome, times in outcomes.most_common():
        print(f"{outcome}: {times}")
    return 1 if any(outcome.startswith("WRONG") for outcome in outcomes) else 0


if __name__ == "__main__":
    sys.exit(main())
