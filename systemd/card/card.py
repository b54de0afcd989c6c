"""Prepare a Raspberry Pi OS card so that the device installs facetally by itself at its first boot.

``python3 systemd/card/card.py BOOT CONFIG WHEEL [FILE ...]``

A device with several cameras has further configurations among the files: NAME.toml for facetally-edge@NAME.

Run it on the computer that has written the card, with pip and internet access. The device needs only the broker: all
that it installs is copied to the card. On the device cloud-init, which Raspberry Pi OS has from trixie on, makes
systemd run ``first-boot.sh`` until it succeeds. User, network and time zone stay those set by Raspberry Pi Imager.
"""

import argparse
import os
import re
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
"""The script that cloud-init runs besides the ``user-data`` of the card's owner."""
CARD_FILES = (
    "card/first-boot.sh",
    "card/facetally-first-boot.service",
    "install.sh",
    "units/facetally-edge.service",
    "units/facetally-update.service",
    "units/facetally-update.timer",
    "units/facetally-update-recover.service",
    "units/facetally-restart.path",
    "units/facetally-restart.service",
    "units/facetally-edge@.service.d/instance.conf",
)
ETC = PurePosixPath("/etc/facetally")
UPDATER = "update.toml"
"""Name of the updater's configuration, which is no further camera."""
EXTRAS = r"'(edge|update)'"
GLIBC = ("2_36", "2_35", "2_34", "2_28", "2_27", "2_17")
"""manylinux versions of wheels that Debian 12's glibc and newer ones can run."""
READ_CONFIGS = """\
import sys
from itertools import combinations
from pathlib import Path
from zoneinfo import available_timezones
from base.errors import SettingsError
from edge.instances import DEFAULT, check_name, conflicts, in_state_folder
from edge.camera_settings import Picamera2
from edge.settings import read
zones, instances, picamera2 = available_timezones(), {}, False
try:
    for index, path in enumerate(map(Path, sys.argv[1:])):
        name = check_name(path.stem) if index else DEFAULT
        if name in instances:
            sys.exit(f"{path}: must be NAME.toml of a further camera, but the first configuration becomes {name}.toml")
        instances[name] = settings = in_state_folder(read(path), name)
        hours, broker, tls = settings.admit.hours, settings.broker, settings.broker.tls
        if hours and zones and hours.timezone not in zones:
            sys.exit(f"{path}: key 'admit.hours.timezone': must be an IANA time zone, is {hours.timezone!r}")
        picamera2 |= isinstance(settings.capture, Picamera2)
        named = [broker.password_file, *((tls.ca, tls.certificate, tls.key) if tls else ())]
        check = getattr(settings.detect, "check", None)  # an earlier release has none
        for bundle in (settings.detect.bundle, check, settings.classify.bundle):
            if bundle and bundle.endswith(".json"):
                named += [bundle, bundle.removesuffix("json") + "tflite"]
        print(*(f"{path}\\t{file}" for file in named if file), sep="\\n")
except SettingsError as error:
    sys.exit(f"{path}: {error}" if str(path) not in str(error) else str(error))
for (name, one), (other, two) in combinations(instances.items(), 2):
    for shared in conflicts(one, two):
        sys.exit(f"{name}.toml and {other}.toml: must not both have {shared}")
print("picamera2" if picamera2 else "")
"""
"""Reads configurations with the wheel's own code; prints the files that each names, and whether picamera2 is needed."""


def main() -> int:
    """Prepare a card; return 0, or 2 after an error message. The card installs nothing then."""
    parser = argparse.ArgumentParser(prog="card.py", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("boot", type=Path, metavar="BOOT", help="mount point of the card's first partition, bootfs")
    parser.add_argument("config", type=Path, metavar="CONFIG", help="edge.toml of this device, or of its first camera")
    parser.add_argument("wheel", type=Path, metavar="WHEEL", help="wheel of facetally (pip wheel --no-deps .)")
    parser.add_argument(
        "files",
        type=Path,
        nargs="*",
        metavar="FILE",
        help=f"file for {ETC}, such as a password, or NAME.toml of a further camera",
    )
    parser.add_argument(
        "--python", default="3.13", metavar="X.Y", help="Python of the card (default: %(default)s, of trixie)"
    )
    parser.add_argument(
        "--machine", default="aarch64", help="processor of the device, see uname -m (default: %(default)s)"
    )
    parser.add_argument(
        "--wheels", type=Path, metavar="FOLDER", help="folder of the wheels that WHEEL needs; none is downloaded then"
    )
    arguments = parser.parse_args()
    try:
        picamera2 = _check(arguments)
        with tempfile.TemporaryDirectory() as folder:
            wheels = arguments.wheels or Path(folder) / "wheels"
            if arguments.wheels is None:
                required = _required(arguments.wheel, edge=True)
                _pip("download", f"--dest={wheels}", *_platform(arguments.python, arguments.machine), *required)
            _write(arguments, wheels, picamera2)
    except (ValueError, OSError) as error:
        print(f"card.py: {error}", file=sys.stderr)
        return 2
    print(f"{arguments.boot}: prepared; eject it. After the first boot see facetally/first-boot.log on it")
    return 0


def _check(arguments: argparse.Namespace) -> bool:
    """Return whether the configuration needs picamera2.

    Raise ValueError if the card is not suitable, if the daemon would refuse the configuration, or if a file that it
    names is not given.
    """
    for path in (arguments.config, arguments.wheel, *arguments.files):
        if not path.is_file():
            raise ValueError(f"{path}: file not found")
    for name in ("meta-data", "user-data"):
        if not (arguments.boot / name).is_file():
            raise ValueError(
                f"{arguments.boot}: must be the first partition of a card with cloud-init"
                f" (Raspberry Pi OS trixie or newer); file {name} not found"
            )
    seed = arguments.boot / SEED
    if seed.exists() and b"facetally" not in seed.read_bytes():
        raise ValueError(f"{seed}: must be absent or from facetally, is of another program; remove it first")
    if (arguments.boot / "facetally/first-boot.log").exists():
        raise ValueError(f"{arguments.boot}: must not have booted yet, as cloud-init runs once; write the card again")
    given = Counter(each.name for each in arguments.files)
    for name, times in given.items():
        if times > 1:
            raise ValueError(f"{name}: must be given once, is given {times} times")
        if name.startswith(".") or name.endswith(".whl"):
            raise ValueError(f"{name}: must be a file for {ETC}, is a hidden file or another wheel")
    picamera2, named = _read(_configs(arguments), arguments.wheel, install=arguments.wheels is None)
    _check_named(named, set(given))
    return picamera2


def _check_named(named: list[tuple[str, PurePosixPath]], given: set[str]) -> None:
    """Raise ValueError if a configuration names a file that is not ``given`` by its name, or at an unsuitable path."""
    for config, path in named:
        if not path.is_absolute() or (ETC in path.parents and path.parent != ETC):
            raise ValueError(f"{config}: path {path}: must be {ETC / path.name}, for a file from the card")
    for config in dict.fromkeys(config for config, _ in named):
        missing = [path for of, path in named if of == config and path.parent == ETC and path.name not in given]
        if missing:
            raise ValueError(f"{config}: names {', '.join(map(str, missing))}; add these files to the command")


def _configs(arguments: argparse.Namespace) -> list[Path]:
    """Return the configurations: that of the first camera, then those of further ones."""
    files: list[Path] = arguments.files
    return [arguments.config, *(each for each in files if each.suffix == ".toml" and each.name != UPDATER)]


def _required(wheel: Path, edge: bool) -> list[str]:
    """Return the requirements of a wheel, with those of the daemon and the updater if wanted; ValueError if it is none.

    pip itself would evaluate their conditions for this machine instead of the device.
    """
    try:
        with zipfile.ZipFile(wheel) as archive:
            (metadata,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
            lines = message_from_bytes(archive.read(metadata)).get_all("Requires-Dist", [])
    except (ValueError, zipfile.BadZipFile) as error:
        raise ValueError(f"{wheel}: must be a wheel") from error
    parts = [str(line).partition(";") for line in lines]
    return [name.strip() for name, _, marker in parts if "extra" not in marker or (edge and re.search(EXTRAS, marker))]


def _read(configs: list[Path], wheel: Path, install: bool) -> tuple[bool, list[tuple[str, PurePosixPath]]]:
    """Return whether a configuration needs picamera2, and the files that they name, each with its configuration.

    The wheel's own requirements are installed in a temporary folder, unless this Python has them. Raise ValueError with
    the daemon's own message if it would refuse a configuration, or if two exclude each other.
    """
    with tempfile.TemporaryDirectory() as folder:
        if install:
            _pip("install", f"--target={folder}", *_required(wheel, edge=False))
        command = [sys.executable, "-c", READ_CONFIGS, *map(str, configs)]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join((folder, str(wheel.resolve())))}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ValueError(done.stderr.strip())
    *lines, picamera2 = done.stdout.splitlines()
    named = [line.split("\t") for line in lines if line]
    return bool(picamera2), [(config, PurePosixPath(path)) for config, path in named]


def _platform(python: str, machine: str) -> list[str]:
    """Return the options by which pip selects wheels for the device instead of this machine."""
    platforms = [f"--platform=manylinux_{glibc}_{machine}" for glibc in GLIBC]
    return ["--only-binary=:all:", "--implementation=cp", f"--python-version={python}", *platforms]


def _pip(command: str, *arguments: str) -> None:
    done = subprocess.run([sys.executable, "-m", "pip", command, "--quiet", *arguments], check=False)
    if done.returncode:
        raise ValueError(f"pip {command}: exit code must be 0, is {done.returncode}; see its messages above")


def _write(arguments: argparse.Namespace, wheels: Path, picamera2: bool) -> None:
    """Copy everything to the card; contents only, as FAT has no permissions.

    The script that cloud-init runs is removed first and written last, so a card that is ejected too early does nothing.
    """
    card, seed = arguments.boot / "facetally", arguments.boot / SEED
    seed.unlink(missing_ok=True)
    _sync()
    first, *further = _configs(arguments)
    copies = {card / "configs/edge.toml": first} | {card / "configs" / each.name: each for each in further}
    copies |= {card / Path(name).name: HERE.parent / name for name in CARD_FILES}
    copies |= {card / "files" / each.name: each for each in arguments.files if each not in further}
    copies |= {card / "wheels" / each.name: each for each in (*wheels.iterdir(), arguments.wheel)}
    shutil.rmtree(card, ignore_errors=True)
    try:
        for target, source in copies.items():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
        if picamera2:
            (card / "picamera2").touch()
        _sync()
        shutil.copyfile(HERE / SEED, seed)
        _sync()
    except OSError:
        shutil.rmtree(card, ignore_errors=True)  # it may hold a password
        raise


def _sync() -> None:
    """Flush what was written to the card. Windows does so at once."""
    if hasattr(os, "sync"):
        os.sync()


if __name__ == "__main__":
    sys.exit(main())
