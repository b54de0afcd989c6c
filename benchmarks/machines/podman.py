"""Podman with a storage of its own in ``build/``, on a base image that is made here: no registry of images is needed.

Containers run in namespaces of their own, with version 2 of cgroups, a loopback network and host names, so that nothing
on this machine changes. They are not limited in memory: that would need the machine's cgroups.
"""

import os
import shutil
import subprocess
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from benchmarks.machines.debian import BUILD, MIRROR, Target, build_wheel, download_wheels
from benchmarks.machines.nspawn import wait_until

PROGRAMS = ("podman", "podman-compose", "crun", "iptables", "mmdebstrap", "unshare", "nsenter")
BASE = "localhost/facetally-base"
"""Name of the base image: a minimal Debian with the wheels that the build needs."""
SUITE, PYTHON = "bookworm", "3.11"
CONTAINERS = """\
[containers]
cgroups = "disabled"
default_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]
base_hosts_file = "none"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
[network]
network_backend = "netavark"
network_config_dir = "{folder}/networks"
"""
STORAGE = """\
[storage]
driver = "overlay"
graphroot = "{folder}/images"
runroot = "{folder}/run"
"""
NAMESPACE = """\
umount --recursive --lazy /sys/fs/cgroup
mount -t cgroup2 none /sys/fs/cgroup
mkdir -p /run/netns /run/containers /run/libpod
for folder in /run/netns /run/containers /run/libpod; do mount -t tmpfs none "$folder"; done
mount --bind "$0" /etc/hosts
ip link set lo up
exec sleep infinity
"""
"""The first process of the namespaces. crun refuses machines that have both versions of cgroups."""
PIP = b"[global]\nno-index = true\nfind-links = /srv/wheels\n"


@dataclass(frozen=True, slots=True)
class Podman:
    """Namespaces for containers."""

    holder: int
    """Process id of the process that holds the namespaces."""
    folder: Path
    """Settings, images and state of the containers."""

    def command(self, *arguments: str, online: bool = False) -> list[str]:
        """Return the command line that runs a command in the namespaces; with this machine's network if ``online``."""
        enter = ["nsenter", f"--target={self.holder}", "--mount", f"--wd={Path.cwd()}"]
        return [*enter, *([] if online else ["--net"]), *arguments]

    def run(self, *arguments: str, check: bool = True, online: bool = False, **variables: str) -> str:
        """Run a command in the namespaces; return its output, both streams. RuntimeError if it fails."""
        settings = {
            "CONTAINERS_CONF": str(self.folder / "containers.conf"),
            "CONTAINERS_STORAGE_CONF": str(self.folder / "storage.conf"),
            "BUILDAH_ISOLATION": "chroot",  # a build needs no limits, which crun cannot set here
        }
        done = subprocess.run(
            self.command(*arguments, online=online), env=os.environ | settings | variables, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, check=False,
        )  # fmt: skip
        if check and done.returncode:
            raise RuntimeError(f"{' '.join(arguments)}: exit code must be 0, is {done.returncode}:\n{done.stdout}")
        return done.stdout.strip()

    def import_base(self) -> None:
        """Make the base image: Debian with the wheels that the build needs; Debian itself is made once."""
        wheel = build_wheel()
        target = Target(SUITE, PYTHON, os.uname().machine)
        wheels = download_wheels(target, BUILD / "wheels-compose", "hatchling>=1.27", f"{wheel}[collector]")
        archive, image = BUILD / f"{SUITE}-base.tar", self.folder / "base.tar"
        if not archive.exists():
            part = archive.with_suffix(".part.tar")
            options = ["--quiet", "--mode=root", "--variant=minbase", "--dpkgopt=force-unsafe-io"]
            subprocess.run([shutil.which("mmdebstrap") or "mmdebstrap", *options, SUITE, str(part), MIRROR], check=True)
            part.rename(archive)
        shutil.copy(archive, image)
        with tarfile.open(image, "a") as added:
            added.add(wheels, "./srv/wheels")
            entry = tarfile.TarInfo("./etc/pip.conf")
            entry.size = len(PIP)
            added.addfile(entry, BytesIO(PIP))
        self.run("podman", "import", "--quiet", str(image), BASE)
        image.unlink()


@contextmanager
def podman(folder: Path, hosts: Mapping[str, str]) -> Iterator[Podman]:
    """Hold namespaces for containers; ``hosts`` are addresses by name, known to programs that run in it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "containers.conf").write_text(CONTAINERS.format(folder=folder))
    (folder / "storage.conf").write_text(STORAGE.format(folder=folder))
    lines = [f"{address} {name}\n" for name, address in {"localhost": "127.0.0.1", **hosts}.items()]
    (folder / "hosts").write_text("".join(lines))
    unshare = ["unshare", "--mount", "--net", "--propagation=private", "sh", "-ec", NAMESPACE, str(folder / "hosts")]
    holder = subprocess.Popen(unshare)
    try:
        wait_until(lambda: holder.poll() is not None or _command_of(holder) == "sleep", 10.0, "made the namespaces")
        if holder.poll() is not None:
            raise RuntimeError("namespaces with cgroups version 2 must be possible, are not")
        yield Podman(holder.pid, folder)
    finally:
        holder.kill()
        holder.wait()


def _command_of(process: "subprocess.Popen[bytes]") -> str:
    return Path(f"/proc/{process.pid}/comm").read_text().strip()
