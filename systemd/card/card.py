"""A card with Raspberry Pi OS on it -> one whose device installs facetally by itself when it first boots.

``python3 systemd/card/card.py BOOT CONFIG WHEEL [FILE ...]``, on the machine that has written the card, with pip and a
network. The device needs none but to reach the broker: all that it installs is put on the card. cloud-init, which
Raspberry Pi OS has from trixie on, has systemd run ``first-boot.sh`` until it is through; user, network and time zone
stay those that Raspberry Pi Imager has set.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections import Counter
from email import message_from_bytes
from pathlib import Path, PurePosixPath

HERE = Path(__file__).parent
SEED = "vendor-data"
"""What cloud-init runs beside the ``user-data`` that is the card's owner's."""
PROGRAMS = (
    "card/first-boot.sh",
    "card/facetally-first-boot.service",
    "install.sh",
    "units/facetally-edge.service",
    "zones/view.py",
)
ETC = PurePosixPath("/etc/facetally")
GLIBC = ("2_36", "2_35", "2_34", "2_28", "2_27", "2_17")
"""Tags of wheels that Debian 12's glibc and newer ones run."""
READ = """\
import sys
from pathlib import Path
from zoneinfo import available_timezones
from base.errors import SettingsError
from edge.settings import Picamera2, read
try:
    settings = read(Path(sys.argv[1]))
except SettingsError as error:
    sys.exit(str(error))
hours, zones = settings.admit.hours, available_timezones()
if hours and zones and hours.timezone not in zones:
    sys.exit(f"{sys.argv[1]}: key 'admit.hours.timezone': {hours.timezone!r} is no time zone")
print("picamera2" if isinstance(settings.capture, Picamera2) else "")
broker, tls = settings.broker, settings.broker.tls
named = [broker.password_file, *((tls.ca, tls.certificate, tls.key) if tls else ())]
for bundle in (settings.detect.bundle, settings.classify.bundle):
    if bundle and bundle.endswith(".json"):
        named += [bundle, bundle.removesuffix("json") + "tflite"]
print(*filter(None, named), sep="\\n")
"""
"""Reads a configuration by the wheel's own code, and prints whether it needs picamera2, and what files it names."""


def main() -> int:
    """Prepare a card. 0: done; 2: what is wrong is said, and nothing will be installed by the card."""
    parser = argparse.ArgumentParser(prog="card.py", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("boot", type=Path, metavar="BOOT", help="where the card's first partition, bootfs, is mounted")
    parser.add_argument("config", type=Path, metavar="CONFIG", help="this device's configuration, an edge.toml")
    parser.add_argument("wheel", type=Path, metavar="WHEEL", help="facetally's (pip wheel --no-deps .)")
    parser.add_argument("files", type=Path, nargs="*", metavar="FILE", help=f"goes to {ETC}: password, certificates")
    parser.add_argument("--python", default="3.13", metavar="X.Y", help="the card's (default: %(default)s, trixie's)")
    parser.add_argument("--machine", default="aarch64", help="the card's, as uname -m says (default: %(default)s)")
    chosen = parser.parse_args()
    try:
        picamera2 = _check(chosen)
        with tempfile.TemporaryDirectory() as folder:
            wheels = Path(folder) / "wheels"
            required = _required(chosen.wheel, edge=True)
            _pip("download", f"--dest={wheels}", *_platform(chosen.python, chosen.machine), *required)
            _write(chosen, wheels, picamera2)
    except (ValueError, OSError) as error:
        print(f"card.py: {error}", file=sys.stderr)
        return 2
    print(f"{chosen.boot} is prepared: eject it. After its first boot facetally/first-boot.log says how that went")
    return 0


def _check(chosen: argparse.Namespace) -> bool:
    """Whether the configuration needs picamera2; ValueError if this is no such card, if the daemon would not start, or
    if a file that it needs is not given.
    """
    for path in (chosen.config, chosen.wheel, *chosen.files):
        if not path.is_file():
            raise ValueError(f"{path}: no such file")
    for name in ("meta-data", "user-data"):
        if not (chosen.boot / name).is_file():
            raise ValueError(f"{chosen.boot}: no {name}; not the first partition of a card whose system has cloud-init")
    seed = chosen.boot / SEED
    if seed.exists() and b"facetally" not in seed.read_bytes():
        raise ValueError(f"{seed}: another's; facetally's first boot would take its place")
    if (chosen.boot / "facetally/first-boot.log").exists():
        raise ValueError(f"{chosen.boot}: has booted already, and cloud-init asks once; write the card anew")
    given = Counter(each.name for each in chosen.files)
    for name, times in given.items():
        if times > 1 or name.startswith(".") or name.endswith(".whl"):
            raise ValueError(f"{name}: given twice, hidden, or another wheel; not for {ETC}")
    picamera2, named = _read(chosen.config, chosen.wheel)
    for path in named:
        if not path.is_absolute() or (ETC in path.parents and path.parent != ETC):
            raise ValueError(f"{chosen.config} names {path}: a file from the card is named {ETC / path.name}")
    missing = [path for path in named if path.parent == ETC and path.name not in given]
    if missing:
        raise ValueError(f"{chosen.config} names {', '.join(map(str, missing))}: give such files, too")
    return picamera2


def _required(wheel: Path, edge: bool) -> list[str]:
    """What a wheel requires, that of its extra ``edge`` too; on any machine, where pip would ask what this one is."""
    try:
        with zipfile.ZipFile(wheel) as held:
            (metadata,) = (name for name in held.namelist() if name.endswith(".dist-info/METADATA"))
            lines = message_from_bytes(held.read(metadata)).get_all("Requires-Dist", [])
    except (ValueError, zipfile.BadZipFile) as error:
        raise ValueError(f"{wheel}: not a wheel") from error
    parts = [str(line).partition(";") for line in lines]
    return [name.strip() for name, _, marker in parts if "extra" not in marker or (edge and "'edge'" in marker)]


def _read(config: Path, wheel: Path) -> tuple[bool, list[PurePosixPath]]:
    """A configuration -> whether it needs picamera2, and the files that it names; ValueError with what the daemon would
    say of it.
    """
    with tempfile.TemporaryDirectory() as folder:
        _pip("install", f"--target={folder}", *_required(wheel, edge=False))
        command = [sys.executable, "-c", READ, str(config)]
        there = os.environ | {"PYTHONPATH": os.pathsep.join((folder, str(wheel.resolve())))}
        done = subprocess.run(command, env=there, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ValueError(done.stderr.strip())
    picamera2, *named = done.stdout.splitlines()
    return bool(picamera2), [PurePosixPath(line) for line in named if line]


def _platform(python: str, machine: str) -> list[str]:
    """What makes pip choose the card's wheels, not this machine's."""
    platforms = [f"--platform=manylinux_{glibc}_{machine}" for glibc in GLIBC]
    return ["--only-binary=:all:", "--implementation=cp", f"--python-version={python}", *platforms]


def _pip(command: str, *arguments: str) -> None:
    done = subprocess.run([sys.executable, "-m", "pip", command, "--quiet", *arguments], check=False)
    if done.returncode:
        raise ValueError(f"pip {command} failed: exit code {done.returncode}")


def _write(chosen: argparse.Namespace, wheels: Path, picamera2: bool) -> None:
    """Everything onto the card, contents alone, as FAT knows no rights. What cloud-init runs comes last, when all else
    is on the card, and is gone first: a card pulled too early does nothing.
    """
    card, seed = chosen.boot / "facetally", chosen.boot / SEED
    seed.unlink(missing_ok=True)
    _sync()
    placed = {card / "edge.toml": chosen.config}
    placed |= {card / Path(name).name: HERE.parent / name for name in PROGRAMS}
    placed |= {card / "files" / each.name: each for each in chosen.files}
    placed |= {card / "wheels" / each.name: each for each in (*wheels.iterdir(), chosen.wheel)}
    shutil.rmtree(card, ignore_errors=True)
    try:
        for there, here in placed.items():
            there.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(here, there)
        if picamera2:
            (card / "picamera2").touch()
        _sync()
        shutil.copyfile(HERE / SEED, seed)
        _sync()
    except OSError:
        shutil.rmtree(card, ignore_errors=True)  # a password may be there already
        raise


def _sync() -> None:
    """What was written is on the card. Windows writes to cards at once."""
    if hasattr(os, "sync"):
        os.sync()


if __name__ == "__main__":
    sys.exit(main())
