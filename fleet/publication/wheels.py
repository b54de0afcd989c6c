"""The wheels that each kind of device installs, locked by version and hash, downloaded for that kind."""

import hashlib
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from email.message import Message
from email.parser import BytesParser
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename
from packaging.version import Version

from base.durable_file import replace_file
from fleet.enrolment.boards import Kind
from fleet.errors import Refused, ToolFailed

EXTRAS = ("edge", "update")
"""Extras of facetally that a device installs."""
GLIBC = ("2_36", "2_35", "2_34", "2_28", "2_27", "2_17")
"""manylinux versions of wheels that Debian 12's glibc and newer ones can run. A Jetson's glibc may be 2.35."""
JETPACK = ("opencv-python-headless",)
"""Packages that a Jetson takes from its system: JetPack's OpenCV has GStreamer."""
JETPACK_NUMPY = Requirement("numpy>=1.26,<2")
"""JetPack's OpenCV is built for NumPy 1."""
LIMIT_S = 1800.0


@dataclass(frozen=True, slots=True)
class Wheel:
    """A wheel file and what its metadata says."""

    path: Path
    name: str
    """Name of the package, in its canonical form."""
    version: Version
    licence: str
    requires: tuple[Requirement, ...]

    @property
    def sha256(self) -> str:
        """SHA-256 of the file, hexadecimal."""
        return hashlib.sha256(self.path.read_bytes()).hexdigest()

    @classmethod
    def read(cls, path: Path) -> "Wheel":
        """Read a wheel. Raise Refused if the file is not one."""
        try:
            name, version, _build, _tags = parse_wheel_filename(path.name)
            with zipfile.ZipFile(path) as archive:
                (metadata,) = (each for each in archive.namelist() if re.fullmatch(r"[^/]+\.dist-info/METADATA", each))
                fields = BytesParser().parsebytes(archive.read(metadata), headersonly=True)
        except (InvalidWheelFilename, ValueError, zipfile.BadZipFile, OSError) as error:
            raise Refused(f"{path}: must be a wheel: {error}") from error
        requires = tuple(Requirement(line) for line in fields.get_all("Requires-Dist", []))
        return cls(path, str(name), version, _licence(fields), requires)


@dataclass(frozen=True, slots=True)
class Store:
    """Downloaded wheels and the locks of their versions."""

    locks: Path
    downloads: Path

    def collect(self, wheel: Wheel, kind: Kind, renew_lock: bool) -> list[Wheel]:
        """Return facetally's wheel and all that it needs on one kind of device.

        The lock of the kind decides versions and hashes. Without one, or with ``renew_lock``, pip chooses the newest
        versions and they are locked. Raise Refused if the lock does not have what the wheel needs, and ToolFailed if
        pip fails.
        """
        lock = self.locks / f"{str(kind).replace('/', '-')}.txt"
        folder = self.downloads / str(kind).replace("/", "-")
        folder.mkdir(parents=True, exist_ok=True)
        if lock.exists() and not renew_lock:
            self._download(folder, kind, ["--require-hashes", f"--requirement={lock}"])
            needed = [Wheel.read(path) for path in self._locked_files(folder, lock)]
        else:
            for old in folder.glob("*.whl"):
                old.unlink()
            self._download(folder, kind, [str(each) for each in _needed(wheel, kind)], with_dependencies=True)
            needed = [Wheel.read(path) for path in sorted(folder.glob("*.whl"))]
            needed = [each for each in needed if each.name not in _from_system(kind)]
            _write_lock(lock, kind, needed)
        chosen = [wheel, *sorted(needed, key=lambda each: each.name)]
        _check_complete(chosen, kind, lock)
        return chosen

    @staticmethod
    def _download(folder: Path, kind: Kind, arguments: list[str], with_dependencies: bool = False) -> None:
        platforms = [f"--platform=manylinux_{glibc}_{kind.machine}" for glibc in GLIBC[kind.board == "jetson" :]]
        options = ["--only-binary=:all:", "--implementation=cp", f"--python-version={kind.python}", *platforms]
        if not with_dependencies:
            options.append("--no-deps")
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
        command += [f"--dest={folder}", *options, *arguments]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=LIMIT_S)
        except subprocess.TimeoutExpired as error:
            raise ToolFailed(f"pip download for {kind}: must end within {LIMIT_S:g} s, did not") from error
        if done.returncode:
            reason = done.stderr.strip().rpartition("ERROR: ")[2].partition("\n")[0]
            raise ToolFailed(f"pip download for {kind}: {reason}")

    @staticmethod
    def _locked_files(folder: Path, lock: Path) -> Iterator[Path]:
        """Yield the downloaded files that a lock names, by their hashes."""
        wanted = set(re.findall(r"--hash=sha256:([0-9a-f]{64})", lock.read_text()))
        for path in sorted(folder.glob("*.whl")):
            if hashlib.sha256(path.read_bytes()).hexdigest() in wanted:
                yield path


def _environment(kind: Kind, extra: str) -> dict[str, str]:
    """The environment in which markers of requirements are evaluated: that of the device."""
    return {
        "extra": extra,
        "implementation_name": "cpython",
        "implementation_version": f"{kind.python}.0",
        "os_name": "posix",
        "platform_machine": kind.machine,
        "platform_python_implementation": "CPython",
        "platform_release": "",
        "platform_system": "Linux",
        "platform_version": "",
        "python_full_version": f"{kind.python}.0",
        "python_version": kind.python,
        "sys_platform": "linux",
    }


def _applying(wheel: Wheel, kind: Kind, extras: Iterable[str]) -> Iterator[Requirement]:
    """The requirements of a wheel with extras on a device; pip would evaluate the conditions for this machine."""
    environments = [_environment(kind, extra) for extra in ("", *extras)]
    for each in wheel.requires:
        if each.marker is None or any(each.marker.evaluate(environment) for environment in environments):
            yield each


def _needed(wheel: Wheel, kind: Kind) -> list[Requirement]:
    """What pip is asked for: facetally's requirements on this kind of device, without their conditions."""
    needed = []
    for each in _applying(wheel, kind, EXTRAS):
        if canonicalize_name(each.name) not in _from_system(kind):
            needed.append(Requirement(str(each).partition(";")[0]))
    return [*needed, JETPACK_NUMPY] if kind.board == "jetson" else needed


def _from_system(kind: Kind) -> tuple[str, ...]:
    return JETPACK if kind.board == "jetson" else ()


def _check_complete(chosen: list[Wheel], kind: Kind, lock: Path) -> None:
    """Raise Refused unless every requirement of every wheel is met by another one: pip resolves nothing on devices."""
    versions = {each.name: each.version for each in chosen}
    for index, wheel in enumerate(chosen):
        for each in _applying(wheel, kind, EXTRAS if index == 0 else ()):
            name = str(canonicalize_name(each.name))
            if name in _from_system(kind):
                continue
            found = versions.get(name)
            if found is None or not each.specifier.contains(found, prereleases=True):
                have = f"has {found}" if found else "has none"
                raise Refused(f"{lock}: {wheel.name} needs {each}, {have}; --upgrade chooses versions anew")


def _write_lock(lock: Path, kind: Kind, wheels: list[Wheel]) -> None:
    lines = [f"# Wheels for {kind}, written by facetally-fleet release. pip checks the hashes."]
    lines += [f"{each.name}=={each.version} --hash=sha256:{each.sha256}" for each in wheels]
    lock.parent.mkdir(parents=True, exist_ok=True)
    replace_file(lock, ("\n".join(lines) + "\n").encode())


def _licence(fields: Message) -> str:
    """The licence in a wheel's metadata: an SPDX expression if it has one, else what its classifiers say."""
    expression = fields.get("License-Expression")
    if expression:
        return str(expression)
    classifiers = [str(each) for each in fields.get_all("Classifier", []) if str(each).startswith("License :: ")]
    names = [each.rpartition(" :: ")[2] for each in classifiers]
    return ", ".join(names) or str(fields.get("License", "")).partition("\n")[0]
