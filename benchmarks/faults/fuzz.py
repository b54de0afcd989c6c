"""Damaged or hostile configurations, cards, models and media -> exit code 0 or 2, never a traceback or a signal.

``python -m benchmarks.faults.fuzz configurations|cards|models|media --cases 1000 --seed 1``: cases are made at random
from good ones. Configurations and cards are read in this process; each model is vetted as the daemon does it, and each
medium is counted by the daemon in a process of its own. What fails is printed and left in ``--keep``; exit code 1.
"""

import argparse
import hashlib
import json
import random
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
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
from edge.counting.admit import AdmissionGate
from edge.settings import read
from edge.vision import bundle
from edge.vision.probe import vet

SAMPLE = """
site = "shop-1"
device = "door"
capture = { source = "file", path = "people.mp4" }
admit = { staff_zones = [] }
"""
KEYS = (
    *("site", "device", "capture", "capture.fps", "capture.path", "admit.staff_zones", "admit.hours", "detect.every"),
    *(
        "admit.dwell_limit_s",
        "admit.forget_s",
        "detect.threads",
        "detect.threshold",
        "detect.bundle",
        "classify.threads",
    ),
    *("track.min_sightings", "track.min_visit_s", "track.gap_s", "track.max_visit_s", "tally.window_s", "privacy.k"),
    *("publish.host", "publish.port", "publish.username", "publish.tls", "publish.keepalive_s", "publish.drain_per_s"),
    *("publish.confirm", "spool.path", "spool.max_days", "spool.max_mb", "spool.unsynced_hold_h", "spool", "no.such"),
)
HOSTILE = (
    *("inf", "-inf", "nan", "0", "-1", "1e-300", "1e300", "9223372036854775807", "9223372036854775808", "2147483648"),
    *('"a\\u0000b"', '""', '"/"', '"a/b"', '"+"', "[]", "{}", "true", "1979-05-27", "[[[0, 0], [1, 0], [1, nan]]]"),
    *("[" * 300 + "]" * 300, '"' + "x" * 5000 + '"', '{ open = "25:00" }', '{ timezone = "../../etc/passwd" }'),
)
LIMIT_S = 60.0

scalars = st.one_of(
    st.sampled_from(HOSTILE),
    st.integers().map(str),
    st.floats().map(repr),
    st.text(max_size=20).map(json.dumps),
    st.lists(st.integers(-2, 2).map(str), max_size=4).map(lambda parts: f"[{', '.join(parts)}]"),
)
overrides = st.lists(
    st.tuples(st.sampled_from(KEYS), scalars).map(lambda pair: f"{pair[0]}={pair[1]}"), min_size=1, max_size=4
)
texts = st.one_of(
    st.binary(max_size=200).map(lambda junk: SAMPLE.encode() + junk),
    st.tuples(st.integers(0, len(SAMPLE)), st.binary(max_size=4)).map(
        lambda cut: SAMPLE.encode()[: cut[0]] + cut[1] + SAMPLE.encode()[cut[0] + len(cut[1]) :]
    ),
)


def configured(path: Path, sets: tuple[str, ...] = ()) -> str:
    """Read a configuration as the daemon does, and all that follows from it; ``fine`` or ``refused``."""
    try:
        told = read(path, sets)
        AdmissionGate(told.admit)
        assert 1 <= told.max_windows < 2**63
        assert len(repr(told)) < 200_000
        return "fine"
    except FacetallyError as error:
        assert len(str(error)) < 20_000, "the error is longer than a page"
        return "refused"


def _configurations(folder: Path, cases: int, seed: int) -> Counter[str]:
    """Half of them as keys with odd values, half as bytes."""
    found: Counter[str] = Counter()
    path = folder / "edge.toml"

    def by_key(sets: list[str]) -> None:
        path.write_text(SAMPLE)
        found[configured(path, tuple(sets))] += 1

    def by_bytes(content: bytes) -> None:
        path.write_bytes(content)
        found[configured(path)] += 1

    _given(by_key, overrides, cases // 2, seed)
    _given(by_bytes, texts, cases - cases // 2, seed)
    return found


def _given(check: Callable[[Any], None], cases: st.SearchStrategy[Any], number: int, seed: int) -> None:
    from hypothesis import seed as seeded  # noqa: PLC0415 - another name would hide the argument

    quick = settings(max_examples=number, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    seeded(seed)(quick(given(cases)(check)))()


def damaged(content: bytes, chance: random.Random) -> bytes:
    """Some bytes of it changed, zeroed, cut out or put in."""
    spoilt = bytearray(content)
    for _ in range(chance.choice((1, 1, 2, 8, 64))):
        at = chance.randrange(max(1, len(spoilt)))
        match chance.randrange(5):
            case 0:
                spoilt[at : at + 1] = bytes([chance.randrange(256)])
            case 1:
                spoilt[at : at + 4] = chance.choice((0, 1, 2**31 - 1, 2**32 - 1)).to_bytes(4, "little")
            case 2:
                spoilt[at : at + chance.randrange(64)] = b""
            case 3:
                spoilt[at:at] = chance.randbytes(chance.randrange(16))
            case _:
                del spoilt[at if chance.random() < 0.1 else len(spoilt) :]
    return bytes(spoilt)


def _cards(folder: Path, cases: int, seed: int) -> Counter[str]:
    """Cards with damaged text: read, and their golden samples unpacked."""
    chance, found = random.Random(seed), Counter[str]()  # noqa: S311 - chance from a seed
    whole = [path.read_bytes() for path in sorted(bundle.SHIPPED.glob("*.json"))]
    for _ in tqdm(range(cases), desc="cards", unit="card"):
        try:
            card = read_card(damaged(chance.choice(whole), chance), "card")
            for golden in card.golden:
                try:
                    unpack(golden.input)
                except ValueError:
                    found["a sample refused"] += 1
            found["fine"] += 1
        except BundleError:
            found["refused"] += 1
    return found


def models(folder: Path, cases: int, seed: int) -> Iterator[tuple[Path, str]]:
    """Cards of damaged models with hashes that match, and their task."""
    chance = random.Random(seed)  # noqa: S311 - chance from a seed
    for number in range(cases):
        name, task = chance.choice((("expression", "classify"), ("face-320x240", "detect")))
        content = (bundle.SHIPPED / f"{name}.tflite").read_bytes()
        head = chance.random() < 0.5  # the tables of the file are near its end and its beginning
        at = chance.randrange(2000) if head else chance.randrange(len(content))
        spoilt = content[:at] + damaged(content[at : at + 400], chance) + content[at + 400 :]
        card = msgspec.json.decode((bundle.SHIPPED / f"{name}.json").read_bytes())
        path = folder / f"{number}.json"
        path.write_bytes(msgspec.json.encode(card | {"sha256": hashlib.sha256(spoilt).hexdigest()}))
        path.with_suffix(".tflite").write_bytes(spoilt)
        yield path, task


def vetted(card: Path, task: str) -> str:
    """What vetting says of a bundle: ``fine`` or why not, in a word or two."""
    try:
        vet(card, task, 1)
        return "fine"
    except BundleError as error:
        ended = str(error).partition("that runs it (")[2].partition(")")[0]
        return f"ends its process: {ended}" if ended else "refused"


def _models(folder: Path, cases: int, seed: int) -> Counter[str]:
    found: Counter[str] = Counter()
    for card, task in tqdm(models(folder, cases, seed), desc="models", unit="model", total=cases):
        found[vetted(card, task)] += 1
        card.unlink()
        card.with_suffix(".tflite").unlink()
    return found


def media(folder: Path, cases: int, seed: int) -> Iterator[Path]:
    """Videos, animations and pictures, damaged."""
    chance = random.Random(seed)  # noqa: S311 - chance from a seed
    noise = np.random.default_rng(seed)
    whole: dict[str, bytes] = {}
    for name, code in (("clip.avi", "MJPG"), ("clip.mp4", "mp4v")):
        writer = cv2.VideoWriter(str(folder / name), cv2.VideoWriter_fourcc(*code), 10, (64, 48))
        for _ in range(5):
            writer.write(noise.integers(0, 256, (48, 64, 3), np.uint8))
        writer.release()
        whole[name] = (folder / name).read_bytes()
        (folder / name).unlink()
    for name in ("image.png", "image.jpg", "image.tiff", "image.bmp", "image.webp"):
        whole[name] = cv2.imencode(Path(name).suffix, noise.integers(0, 256, (48, 64), np.uint8))[1].tobytes()
    for number in range(cases):
        name = chance.choice(sorted(whole))
        place = folder / f"{number}"
        place.mkdir()
        (place / name).write_bytes(damaged(whole[name], chance))
        yield place if name.startswith("image") else place / name


def counted(path: Path) -> str:
    """What the daemon does with a clip: ``fine``, ``refused``, or what it must not do."""
    command = [sys.executable, "-m", "edge", "run", "--config", str(path.parent / "edge.toml"), "--stdout"]
    (path.parent / "edge.toml").write_text(SAMPLE)
    done = subprocess.run([*command, "--clip", str(path)], capture_output=True, text=True, timeout=LIMIT_S, check=False)
    if "Traceback" in done.stderr or "traceback=" in done.stderr or done.returncode not in (0, 2):
        return f"WRONG: {done.returncode}: {done.stderr[-300:]}"
    return "fine" if done.returncode == 0 else "refused"


def _media(folder: Path, cases: int, seed: int) -> Counter[str]:
    return Counter(counted(path) for path in tqdm(media(folder, cases, seed), desc="media", unit="file", total=cases))


KINDS = {"configurations": _configurations, "cards": _cards, "models": _models, "media": _media}


def main() -> int:
    """Run one kind; 1 if any case is wrong."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.faults.fuzz", description=__doc__.partition("\n")[0])
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("--cases", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="leave the cases there")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = chosen.keep or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        found = KINDS[chosen.kind](folder, chosen.cases, chosen.seed)
    for what, times in found.most_common():
        print(f"{what}: {times}")
    return 1 if any(what.startswith("WRONG") for what in found) else 0


if __name__ == "__main__":
    sys.exit(main())
