"""Boot an emulated arm64 machine with Debian, a camera and Mosquitto, install the daemon on it, and log how it behaves.

``python -m benchmarks.machines.emulated --out benchmarks/reference/emulated.log``

It must run as root, and takes half an hour the first time and a quarter of an hour later. The machine boots its own
kernel and systemd; `emulated.sh` runs in it. It needs the Debian packages mmdebstrap, arch-test, qemu-user-static,
qemu-system-arm and qemu-system-common.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
from skimage import data

from benchmarks.machines.debian import (
    BUILD,
    ROOT,
    Target,
    build_wheel,
    debian_root,
    download_wheels,
    missing_requirements,
)
from benchmarks.machines.nspawn import wait_until

TARGET = Target("trixie", "3.13", "aarch64")
PACKAGES = (
    "systemd", "systemd-sysv", "dbus", "udev", "kmod", "python3", "python3-venv", "mosquitto", "mosquitto-clients",
    "v4l-utils",
)  # fmt: skip
VIRTIOFSD = "/usr/lib/qemu/virtiofsd"
PROGRAMS = ("mmdebstrap", "arch-test", "qemu-aarch64-static", "qemu-system-aarch64", "unshare", VIRTIOFSD)
CORE, CORES, MEMORY_MB = "cortex-a72", 2, 1536
LIMIT_S = 1500.0
UNIT = """\
[Unit]
After=multi-user.target mosquitto.service
[Service]
Type=exec
ExecStart=/bin/sh -c 'sh /srv/emulated.sh >/srv/out/log 2>&1; systemctl poweroff'
"""
# an emulated core processes about one frame a second
CONFIG = """\
site = "shop-1"
device = "door"
[capture]
source = "v4l2"
device = "/dev/video0"
[admit]
staff_zones = []
[track]
min_observations = 2
gap_s = 6
[tally]
window_s = 10
[privacy]
k = 1
[broker]
host = "127.0.0.1"
confirm = "broker"
[spool]
unsynced_hold_h = 0
"""


@contextmanager
def system(folder: Path) -> Iterator[Path]:
    """Mount the root folder of the machine: Debian, overlaid with kernel modules, wheels and the script."""
    kernel, over = debian_root(TARGET, "extract", ("linux-image-arm64",)), folder / "over"
    wheel = build_wheel()
    wheels = download_wheels(TARGET, BUILD / "wheels-emulated", f"{wheel}[edge,update]")
    shutil.copytree(wheels, over / "srv/wheels")
    shutil.copytree(wheel.parent, over / "srv/ours")
    shutil.copytree(ROOT / "systemd", over / "srv/systemd")
    shutil.copytree(kernel / "usr/lib/modules", over / "usr/lib/modules", symlinks=True)
    shutil.copy(Path(__file__).with_suffix(".sh"), over / "srv/emulated.sh")
    (over / "srv/out").mkdir()
    (over / "srv/edge.toml").write_text(CONFIG)
    write_camera_images(over / "srv")
    units = over / "etc/systemd/system"
    (units / "multi-user.target.wants").mkdir(parents=True)
    (units / "emulated.service").write_text(UNIT)
    (units / "multi-user.target.wants/emulated.service").symlink_to("../emulated.service")
    merged, work = folder / "merged", folder / "work"
    merged.mkdir()
    work.mkdir()
    options = f"lowerdir={debian_root(TARGET, 'minbase', PACKAGES)},upperdir={over},workdir={work}"
    _run("mount", "-t", "overlay", "overlay", "-o", options, str(merged))
    try:
        yield merged
    finally:
        _run("umount", "-l", str(merged))


def write_camera_images(folder: Path) -> None:
    """Write the images shown to the camera, raw BGR 640x480: ``person.bgr``, a portrait, and ``empty.bgr``."""
    portrait = cv2.resize(cv2.cvtColor(data.astronaut(), cv2.COLOR_RGB2GRAY), (480, 480), interpolation=cv2.INTER_AREA)
    empty = np.tile(np.linspace(40, 200, 640).astype(np.uint8), (480, 1))
    person = empty.copy()
    person[60:, 160:] = portrait[:420]  # the driver vivid draws its counters above
    for name, image in (("person", person), ("empty", empty)):
        (folder / f"{name}.bgr").write_bytes(np.stack([image] * 3, -1).tobytes())


def run(folder: Path) -> Path:
    """Boot the machine, and wait until it powers itself off; return its log. SubprocessError if it does not."""
    (image,) = (debian_root(TARGET, "extract", ("linux-image-arm64",)) / "boot").glob("vmlinuz-*")
    with system(folder) as merged:
        socket, console = folder / "fs.sock", folder / "console.log"
        serve = [VIRTIOFSD, f"--socket-path={socket}", "-o", f"source={merged}", "-o", "cache=always"]
        shared = subprocess.Popen(serve, stderr=subprocess.DEVNULL)
        wait_until(socket.exists, 10, "the shared file system is ready")
        memory = f"memory-backend-memfd,id=mem,size={MEMORY_MB}M,share=on"
        command = [
            shutil.which("qemu-system-aarch64") or "", "-M", "virt", "-cpu", CORE, "-smp", str(CORES),
            "-m", str(MEMORY_MB), "-accel", "tcg,thread=multi", "-object", memory, "-numa", "node,memdev=mem",
            "-chardev", f"socket,id=c0,path={socket}", "-device", "vhost-user-fs-pci,chardev=c0,tag=root",
            "-kernel", str(image), "-append", "rootfstype=virtiofs root=root rw console=ttyAMA0",
            "-nographic", "-no-reboot", "-nic", "none",
        ]  # fmt: skip
        try:
            with console.open("wb") as out:
                subprocess.run(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, check=True, timeout=LIMIT_S)
        finally:
            shared.kill()
            shared.wait()
            if (merged / "srv/out/log").exists():
                shutil.copy(merged / "srv/out/log", folder / "log")
    return folder / "log"


def _run(program: str, *arguments: str) -> None:
    subprocess.run([shutil.which(program) or program, *arguments], check=True)


def main() -> int:
    """Run the machine and write its log; return 1 if it contains a failure."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.machines.emulated", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("--out", type=Path, required=True, help="file to write the log to")
    arguments = parser.parse_args()
    if missing := missing_requirements(*PROGRAMS):
        parser.error(missing)
    BUILD.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=BUILD) as folder:
        try:
            log = run(Path(folder)).read_text()
        except (OSError, subprocess.SubprocessError) as error:
            print(f"{error}; the last lines of the console:\n{_tail(Path(folder) / 'console.log')}", file=sys.stderr)
            log = _tail(Path(folder) / "log")
            arguments.out.write_text(log)
            return 1
    arguments.out.write_text(log)
    print(log)
    return 1 if "\nFAILED: " in log else 0


def _tail(path: Path) -> str:
    return path.read_text(errors="replace")[-8000:] if path.exists() else ""


if __name__ == "__main__":
    raise SystemExit(main())
