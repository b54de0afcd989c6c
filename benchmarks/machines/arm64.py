"""A system of a board -> a command line that runs its programs here, under qemu's user emulation.

The system is Debian, unpacked, and wheels, unpacked: no program is installed, nothing is mounted, and what runs needs
no root. What is emulated are instructions of a core that qemu knows; caches, clocks and memory are not.
"""

import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from benchmarks.machines.debian import BUILD, Target, root, unpacked, wheel

PROGRAMS = ("mmdebstrap", "qemu-aarch64-static")
PYTHON_PACKAGES = ("python3", "libstdc++6", "ca-certificates")
CPUS = 4
"""Of every board below."""


@dataclass(frozen=True, slots=True)
class Core:
    """A processor core: its name in qemu, and part number and features as Linux shows them.

    Without a fitting /proc/cpuinfo XNNPACK's cpuinfo fails on the host's, and other kernels run, or none.
    """

    name: str
    part: str
    features: str

    def cpuinfo(self) -> str:
        """What /proc/cpuinfo says on a board with four of them."""
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
"""Raspberry Pi 3 (and Zero 2), 4, and 5; Jetson Orin's A78AE has the A76's dot product."""
LITERT = "ai-edge-litert"
TFLITE = ("tflite-runtime==2.14.0", "numpy<2", "opencv-python-headless>=4.10", "msgspec>=0.19", "paho-mqtt>=2.1")
SYSTEMS = {
    "bookworm": (Target("bookworm", "3.11", "aarch64"), LITERT),
    "trixie": (Target("trixie", "3.13", "aarch64"), LITERT),
    "bookworm-tflite": (Target("bookworm", "3.11", "aarch64"), "tflite-runtime"),
}
"""Both releases of Raspberry Pi OS with the extra ``edge``, and the older runtime with numpy 1."""


@dataclass(frozen=True, slots=True)
class Board:
    """A system's root and packages, and the core that runs them."""

    root: Path
    packages: Path
    python: str
    core: Core

    def command(self, *arguments: str | Path, qemu: Sequence[str] = ("qemu-aarch64-static",)) -> list[str]:
        """Python with these arguments on the board -> the command line for here."""
        (self.root / "proc").mkdir(exist_ok=True)
        (self.root / "proc/cpuinfo").write_text(self.core.cpuinfo())
        program = self.root / f"usr/bin/python{self.python}"
        options = ("-cpu", self.core.name, "-L", self.root, "-E", f"PYTHONPATH={self.packages}")
        return [*qemu, *map(str, (*options, program, *arguments))]

    def run(self, *arguments: str | Path, folder: Path) -> subprocess.CompletedProcess[str]:
        """Python with these arguments on the board, in a folder of this machine."""
        environment = {**os.environ, "OPENCV_LOG_LEVEL": "ERROR"}
        return subprocess.run(
            self.command(*arguments), cwd=folder, env=environment, capture_output=True, text=True, check=False
        )

    @property
    def daemon(self) -> Path:
        """The command ``facetally-edge``, as pip made it."""
        return self.packages / "bin/facetally-edge"


def board(system: str, core: str) -> Board:
    """Names of `SYSTEMS` and `CORES` -> the board. LiteRT and OpenCV have the versions that are installed here."""
    target, runtime = SYSTEMS[system]
    ours = wheel()
    if runtime == LITERT:
        pinned = [f"{name}=={version(name)}" for name in (LITERT, "opencv-python-headless")]
        requirements: list[list[str]] = [[f"{ours}[edge]", *pinned]]
    else:
        requirements = [["--no-deps", str(ours)], list(TFLITE)]  # pip makes the folder bin for the first call only
    packages = unpacked(target, BUILD / f"packages-{system}", ours, requirements)
    return Board(root(target, "extract", PYTHON_PACKAGES), packages, target.python, CORES[core])
