"""A suite of Debian, a wheel of this checkout -> folders with real system and packages, kept in ``build/``."""

import functools
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
BUILD = ROOT / "build"
MIRROR = "http://deb.debian.org/debian"
GLIBC = ("2_36", "2_34", "2_28", "2_27", "2_17")
"""Tags of wheels that bookworm's glibc and newer ones run."""
DEBIAN_NAMES = {"aarch64": "arm64", "x86_64": "amd64"}


@dataclass(frozen=True, slots=True)
class Target:
    """A suite of Debian with its Python, on a machine as ``uname -m`` names it."""

    suite: str
    python: str
    machine: str

    def pip_options(self) -> list[str]:
        """What makes pip choose wheels for this target and not for the machine it runs on."""
        platforms = [f"--platform=manylinux_{glibc}_{self.machine}" for glibc in GLIBC]
        platforms.append(f"--platform=manylinux2014_{self.machine}")
        return ["--only-binary=:all:", "--implementation=cp", f"--python-version={self.python}", *platforms]


def lacking(*programs: str) -> str:
    """Why no root can be made here, nothing if one can: programs that are not installed, or rights."""
    missing = [name for name in programs if not shutil.which(name)]
    if missing:
        return f"not installed: {', '.join(missing)}"
    return "" if os.geteuid() == 0 else "only root unpacks a Debian root"


def root(target: Target, variant: str, packages: Sequence[str]) -> Path:
    """Debian in a folder: ``extract`` unpacks packages and runs nothing of them, ``minbase`` installs. Made once.

    What packages of another processor run to be installed is emulated: ``minbase`` takes some ten minutes then.
    """
    key = hashlib.sha256(" ".join([variant, *sorted(packages)]).encode()).hexdigest()[:8]
    folder = BUILD / f"{target.suite}-{target.machine}-{variant}-{key}"
    if folder.is_dir():
        return folder
    part = folder.with_suffix(".part")
    shutil.rmtree(part, ignore_errors=True)
    BUILD.mkdir(exist_ok=True)
    command = ["mmdebstrap", "--quiet", "--mode=root", f"--variant={variant}"]
    command += ["--aptopt=Acquire::Retries 3", "--dpkgopt=force-unsafe-io"]  # what a power cut spoils is made again
    command += [f"--architectures={DEBIAN_NAMES[target.machine]}", f"--include={','.join(packages)}"]
    command += [target.suite, str(part), MIRROR]
    if variant == "extract" or target.machine == platform.machine():
        subprocess.run(command, check=True)
    else:
        _run_emulated(command)
    if not (part / "lib").exists():  # from trixie on the link comes with a maintainer script
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
    """Run, with what it starts of arm64 run by qemu: Linux 6.7 and later have a binfmt_misc for each user namespace, so
    nothing is registered on this machine. Users are those of here, so that root makes files of all.
    """
    unshare = shutil.which("unshare") or "unshare"
    with tempfile.TemporaryDirectory() as mounted:
        process = subprocess.Popen(
            [unshare, "--user", "sh", "-ec", IN_NAMESPACE, REGISTER, mounted, *command], stdin=subprocess.PIPE
        )
        theirs, ours = Path(f"/proc/{process.pid}/ns/user"), Path("/proc/self/ns/user").readlink()
        while process.poll() is None and theirs.readlink() == ours:
            time.sleep(0.01)
        for name in ("uid_map", "gid_map"):
            Path(f"/proc/{process.pid}/{name}").write_text("0 0 4294967295\n")
        process.communicate(b"\n")
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, list(command))


@functools.cache
def wheel() -> Path:
    """A wheel of this checkout as it stands, alone in a folder that is named by what is in it."""
    BUILD.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=BUILD) as folder:
        _pip("wheel", "--no-deps", f"--wheel-dir={folder}", str(ROOT))
        (made,) = Path(folder).glob("*.whl")
        kept = BUILD / f"wheel-{hashlib.sha256(made.read_bytes()).hexdigest()[:12]}"
        kept.mkdir(exist_ok=True)
        return made.replace(kept / made.name)  # whole at once: two tests may make the same


def unpacked(target: Target, folder: Path, wheel: Path, requirements: Sequence[Sequence[str]]) -> Path:
    """Packages for a target, unpacked into a folder, one call of pip a list; kept until wheel or lists change."""
    stamp, key = folder / "stamp", f"{wheel.parent.name} {requirements}"
    if not stamp.is_file() or stamp.read_text() != key:
        shutil.rmtree(folder, ignore_errors=True)
        for each in requirements:
            _pip("install", f"--target={folder}", *target.pip_options(), *each)
        stamp.write_text(key)
    return folder


def downloaded(target: Target, folder: Path, *requirements: str) -> Path:
    """The wheels that a target installs for what is required, in a folder."""
    _pip("download", f"--dest={folder}", *target.pip_options(), *requirements)
    return folder


def _pip(command: str, *arguments: str) -> None:
    quietly = [sys.executable, "-m", "pip", command, "--quiet", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*quietly, *arguments], check=True)
