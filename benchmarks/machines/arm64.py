"""Run programs of an arm64 board on this machine, under qemu's user-mode emulation.

The system is an unpacked Debian with unpacked wheels. Nothing is installed or mounted, and the programs need no root
rights. The instructions of the core are emulated; caches, clocks and memory are not.
"""

import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from benchmarks.machines.debian import BUILD, Target, build_wheel, debian_root, unpack_packages

PROGRAMS = ("mmdebstrap", "qemu-aarch64-static")
PYTHON_PACKAGES = ("python3", "libstdc++6", "ca-certificates")
CPUS = 4
"""Number of cores of every board below."""


@dataclass(frozen=True, slots=True)
class Core:
    """A processor core: its name in qemu, and its part number and features in /proc/cpuinfo.

    XNNPACK selects its kernels by /proc/cpuinfo. With the host's it would fail or select others.
    """

    name: str
    part: str
    features: str

    def cpuinfo(self) -> str:
        """Return the content of /proc/cpuinfo on a board with `CPUS` of these cores."""
        entry = "\n".join(
            (
                "BogoMIPS\t: 108.00",
                f"Features\t: {self.features}",
                "CPU implementer\t: 0x41",
                "CPU architecture: 8",
                "CPU variant\t: 0x0",
                f"CPU part\t: {self.part}",
                "CPU revision\t: 3",
            )
        )
        return "".join(f"processor\t: {index}\n{entry}\n\n" for index in range(CPUS))


V8 = "fp asimd evtstrm crc32 cpuid"
CORES = {
    "a53": Core("cortex-a53", "0xd03", V8),
    "a72": Core("cortex-a72", "0xd08", V8),
    "a76": Core("cortex-a76", "0xd0b", f"{V8} atomics fphp asimdhp asimdrdm lrcpc dcpop asimddp"),
}
"""Cores of Raspberry Pi 3 and Zero 2, 4, and 5. The A78AE of Jetson Orin has the dot product of the A76."""
LITERT = "ai-edge-litert"
TFLITE = ("tflite-runtime==2.14.0", "numpy<2", "opencv-python-headless>=4.10", "msgspec>=0.19", "paho-mqtt>=2.1")
SYSTEMS = {
    "bookworm": (Target("bookworm", "3.11", "aarch64"), LITERT),
    "trixie": (Target("trixie", "3.13", "aarch64"), LITERT),
    "bookworm-tflite": (Target("bookworm", "3.11", "aarch64"), "tflite-runtime"),
}
"""Both releases of Raspberry Pi OS with the extra ``edge``; and bookworm with tflite-runtime and numpy 1."""


@dataclass(frozen=True, slots=True)
class Board:
    """Root folder and Python packages of a system, and the core that runs them."""

    root: Path
    packages: Path
    python: str
    core: Core

    def command(self, *arguments: str | Path, qemu: Sequence[str] = ("qemu-aarch64-static",)) -> list[str]:
        """Return the command line that runs the board's Python with these arguments on this machine."""
        (self.root / "proc").mkdir(exist_ok=True)
        (self.root / "proc/cpuinfo").write_text(self.core.cpuinfo())
        program = self.root / f"usr/bin/python{self.python}"
        options = ("-cpu", self.core.name, "-L", self.root, "-E", f"PYTHONPATH={self.packages}")
        return [*qemu, *map(str, (*options, program, *arguments))]

    def run(self, *arguments: str | Path, folder: Path) -> subprocess.CompletedProcess[str]:
        """Run the board's Python with these arguments, in a folder of this machine."""
        environment = {**os.environ, "OPENCV_LOG_LEVEL": "ERROR"}
        return subprocess.run(
            self.command(*arguments), cwd=folder, env=environment, capture_output=True, text=True, check=False
        )

    @property
    def daemon(self) -> Path:
        """Path of the command ``facetally-edge``."""
        return self.packages / "bin/facetally-edge"


def board(system: str, core: str) -> Board:
    """Prepare a board of `SYSTEMS` with a core of `CORES`; LiteRT and OpenCV have the versions installed here."""
    target, runtime = SYSTEMS[system]
    wheel = build_wheel()
    if runtime == LITERT:
        pinned = [f"{name}=={version(name)}" for name in (LITERT, "opencv-python-headless")]
        requirements: list[list[str]] = [[f"{wheel}[edge]", *pinned]]
    else:
        requirements = [["--no-deps", str(wheel)], list(TFLITE)]  # pip creates the folder bin in the first call only
    packages = unpack_packages(target, BUILD / f"packages-{system}", wheel, requirements)
    return Board(debian_root(target, "extract", PYTHON_PACKAGES), packages, target.python, CORES[core])
