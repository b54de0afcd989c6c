"""A whole arm64 machine, emulated: Debian's kernel and systemd, a camera, Mosquitto, and the daemon as installed.

``python -m benchmarks.machines.emulated --out benchmarks/reference/emulated.log``, as root: half an hour the first time, a
quarter of one later. It needs the Debian packages mmdebstrap, arch-test, qemu-user-static, qemu-system-arm and
qemu-system-common.
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

from benchmarks.machines.debian import BUILD, ROOT, Target, downloaded, lacking, root, wheel
from benchmarks.machines.nspawn import until

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
# an emulated core looks at a frame a second
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
    """The root of the machine: Debian as unpacked, with its kernel's modules and what the script needs laid over it."""
    kernel, over = root(TARGET, "extract", ("linux-image-arm64",)), folder / "over"
    ours = wheel()
    wheels = downloaded(TARGET, BUILD / "wheels-emulated", f"{ours}[edge]")
    shutil.copytree(wheels, over / "srv/wheels")
    shutil.copytree(ours.parent, over / "srv/ours")
    shutil.copytree(ROOT / "systemd", over / "srv/systemd")
    shutil.copytree(kernel / "usr/lib/modules", over / "usr/lib/modules", symlinks=True)
    shutil.copy(Path(__file__).with_suffix(".sh"), over / "srv/emulated.sh")
    (over / "srv/out").mkdir()
    (over / "srv/edge.toml").write_text(CONFIG)
    pictures(over / "srv")
    units = over / "etc/systemd/system"
    (units / "multi-user.target.wants").mkdir(parents=True)
    (units / "emulated.service").write_text(UNIT)
    (units / "multi-user.target.wants/emulated.service").symlink_to("../emulated.service")
    merged, work = folder / "merged", folder / "work"
    merged.mkdir()
    work.mkdir()
    options = f"lowerdir={root(TARGET, 'minbase', PACKAGES)},upperdir={over},workdir={work}"
    _run("mount", "-t", "overlay", "overlay", "-o", options, str(merged))
    try:
        yield merged
    finally:
        _run("umount", "-l", str(merged))


def pictures(folder: Path) -> None:
    """What the camera is shown, raw BGR 640x480: ``somebody.bgr``, a portrait, and ``nobody.bgr``."""
    portrait = cv2.resize(cv2.cvtColor(data.astronaut(), cv2.COLOR_RGB2GRAY), (480, 480), interpolation=cv2.INTER_AREA)
    empty = np.tile(np.linspace(40, 200, 640).astype(np.uint8), (480, 1))
    shown = empty.copy()
    shown[60:, 160:] = portrait[:420]  # vivid writes its counters above
    for name, picture in (("somebody", shown), ("nobody", empty)):
        (folder / f"{name}.bgr").write_bytes(np.stack([picture] * 3, -1).tobytes())


def run(folder: Path) -> Path:
    """Boot, wait until the machine has switched itself off; its log. SubprocessError if it does not."""
    (image,) = (root(TARGET, "extract", ("linux-image-arm64",)) / "boot").glob("vmlinuz-*")
    with system(folder) as merged:
        socket, console = folder / "fs.sock", folder / "console.log"
        serve = [VIRTIOFSD, f"--socket-path={socket}", "-o", f"source={merged}", "-o", "cache=always"]
        shared = subprocess.Popen(serve, stderr=subprocess.DEVNULL)
        until(socket.exists, 10, "shared")
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
    """Run it and keep the log; 1 if something that was waited for did not come."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.machines.emulated", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("--out", type=Path, required=True, help="file of the log")
    chosen = parser.parse_args()
    if missing := lacking(*PROGRAMS):
        parser.error(missing)
    BUILD.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=BUILD) as folder:
        try:
            log = run(Path(folder)).read_text()
        except (OSError, subprocess.SubprocessError) as error:
            print(f"{error}; the console's last lines:\n{_tail(Path(folder) / 'console.log')}", file=sys.stderr)
            log = _tail(Path(folder) / "log")
            chosen.out.write_text(log)
            return 1
    chosen.out.write_text(log)
    print(log)
    return 1 if "\nNOT: " in log else 0


def _tail(path: Path) -> str:
    return path.read_text(errors="replace")[-8000:] if path.exists() else ""


if __name__ == "__main__":
    raise SystemExit(main())
