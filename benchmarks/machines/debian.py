"""Prepare Debian root folders, wheels of this checkout and their packages, and cache them in ``build/``."""

import fcntl
import functools
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

ROOT = Path(__file__).parents[2]
BUILD = ROOT / "build"
MIRROR = "http://deb.debian.org/debian"
GLIBC = ("2_36", "2_34", "2_28", "2_27", "2_17")
"""manylinux versions of wheels that bookworm's glibc and newer ones can run."""
DEBIAN_NAMES = {"aarch64": "arm64", "x86_64": "amd64"}


@dataclass(frozen=True, slots=True)
class Target:
    """A Debian suite and its Python version, on a machine type of ``uname -m``."""

    suite: str
    python: str
    machine: str

    def pip_options(self) -> list[str]:
        """Return the options by which pip selects wheels for this target instead of this machine."""
        platforms = [f"--platform=manylinux_{glibc}_{self.machine}" for glibc in GLIBC]
        platforms.append(f"--platform=manylinux2014_{self.machine}")
        return ["--only-binary=:all:", "--implementation=cp", f"--python-version={self.python}", *platforms]


def missing_requirements(*programs: str) -> str:
    """Return why no root folder can be made on this machine; an empty string if it can be."""
    missing = [name for name in programs if not shutil.which(name)]
    if missing:
        return f"not installed: {', '.join(missing)}"
    return "" if os.geteuid() == 0 else "must be root to unpack a Debian system"


def debian_root(target: Target, variant: str, packages: Sequence[str]) -> Path:
    """Return a root folder with these packages; it is created on the first call.

    The variant ``extract`` unpacks the packages without running their scripts; ``minbase`` installs them. Scripts for
    another processor are emulated, so that ``minbase`` takes about ten minutes.
    """
    key = hashlib.sha256(" ".join([variant, *sorted(packages)]).encode()).hexdigest()[:8]
    folder = BUILD / f"{target.suite}-{target.machine}-{variant}-{key}"
    with _alone(folder):
        return folder if folder.is_dir() else _unpacked(folder, target, variant, packages)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Let one process at a time make a folder in ``build/``."""
    BUILD.mkdir(exist_ok=True)
    with folder.with_name(f"{folder.name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _unpacked(folder: Path, target: Target, variant: str, packages: Sequence[str]) -> Path:
    """Create a root folder with packages, and return it."""
    part = folder.with_suffix(".part")
    shutil.rmtree(part, ignore_errors=True)
    command = ["mmdebstrap", "--quiet", "--mode=root", f"--variant={variant}"]
    command += ["--aptopt=Acquire::Retries 3", "--dpkgopt=force-unsafe-io"]  # a damaged folder is created again
    command += [f"--architectures={DEBIAN_NAMES[target.machine]}", f"--include={','.join(packages)}"]
    command += [target.suite, str(part), MIRROR]
    if variant == "extract" or target.machine == platform.machine():
        subprocess.run(command, check=True)
    else:
        _run_emulated(command)
    if not (part / "lib").exists():  # from trixie on a maintainer script creates the link
        (part / "lib").symlink_to("usr/lib")
    return part.rename(folder)


REGISTER = """\
mount -t binfmt_misc none "$0"
mount --bind "$0" /proc/sys/fs/binfmt_misc
cat /usr/lib/binfmt.d/qemu-aarch64.conf >"$0/register"
exec "$@"
"""
IN_NAMESPACE = """\
read -r _
exec unshare --mount --propagation=private sh -ec "$0" "$@"
"""


def _run_emulated(command: Sequence[str]) -> None:
    """Run a command, with arm64 programs emulated by qemu.

    It runs in a user namespace with a binfmt_misc of its own (Linux 6.7 and later), so nothing is registered on this
    machine. User ids are mapped one to one, so that root can create files of all users.
    """
    unshare = shutil.which("unshare") or "unshare"
    with tempfile.TemporaryDirectory() as mounted:
        process = subprocess.Popen(
            [unshare, "--user", "sh", "-ec", IN_NAMESPACE, REGISTER, mounted, *command], stdin=subprocess.PIPE
        )
        namespace, own = Path(f"/proc/{process.pid}/ns/user"), Path("/proc/self/ns/user").readlink()
        while process.poll() is None and namespace.readlink() == own:
            time.sleep(0.01)
        for name in ("uid_map", "gid_map"):
            Path(f"/proc/{process.pid}/{name}").write_text("0 0 4294967295\n")
        process.communicate(b"\n")
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, list(command))


@functools.cache
def build_wheel() -> Path:
    """Return a wheel of this checkout, built unless there is one of the same files.

    It is the only file in a folder that is named by the hash of these files.
    """
    target = BUILD / f"wheel-{_hash_of_sources()[:12]}"
    for made in target.glob("*.whl"):
        return made
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=BUILD) as folder:
        _pip("wheel", "--no-deps", f"--wheel-dir={folder}", str(ROOT))
        (made,) = Path(folder).glob("*.whl")
        return made.replace(target / made.name)  # atomic: two tests may build the same wheel


def _hash_of_sources() -> str:
    """Return the SHA-256 of names and contents of all files that a wheel of this checkout is made of, hexadecimal."""
    project = msgspec.toml.decode((ROOT / "pyproject.toml").read_bytes())
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    files = [ROOT / name for name in ("pyproject.toml", "README.md", "LICENSE.md")]
    for folder in (*wheel["packages"], *wheel["force-include"]):
        files += [path for path in (ROOT / folder).rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    found = hashlib.sha256()
    for path in sorted(files):
        found.update(f"{path.relative_to(ROOT)} {hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return found.hexdigest()


def unpack_packages(target: Target, folder: Path, wheel: Path, requirements: Sequence[Sequence[str]]) -> Path:
    """Install packages for a target to a folder, with one call of pip per list, unless it has them already."""
    stamp, key = folder / "stamp", f"{wheel.parent.name} {requirements}"
    with _alone(folder):
        if not stamp.is_file() or stamp.read_text() != key:
            shutil.rmtree(folder, ignore_errors=True)
            for each in requirements:
                _pip("install", f"--target={folder}", *target.pip_options(), *each)
            stamp.write_text(key)
    return folder


def download_wheels(target: Target, folder: Path, *requirements: str) -> Path:
    """Download the wheels of requirements for a target to a folder, and return it."""
    _pip("download", f"--dest={folder}", *target.pip_options(), *requirements)
    return folder


def _pip(command: str, *arguments: str) -> None:
    pip = [sys.executable, "-m", "pip", command, "--quiet", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, *arguments], check=True)
