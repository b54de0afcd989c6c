"""Kinds of devices: Python, processor and board, as a release has wheels for them."""

import re
from dataclasses import dataclass
from typing import get_args

from contract.release import PYTHON_PATTERN, Board, Machine

PLAIN = re.compile(r"(?P<python>[\d.]+)/(?P<machine>\w+)(/(?P<board>\w+))?")


@dataclass(frozen=True, slots=True, order=True)
class Kind:
    """What decides which wheels a device installs."""

    python: str
    """Version of the device's Python, such as 3.13."""
    machine: Machine
    board: Board = "generic"

    def __str__(self) -> str:
        """Return ``3.13/aarch64``, with ``/jetson`` for a Jetson."""
        return f"{self.python}/{self.machine}" + ("" if self.board == "generic" else f"/{self.board}")


KINDS = {
    "raspberry-pi": Kind("3.13", "aarch64"),
    "raspberry-pi-bookworm": Kind("3.11", "aarch64"),
    "jetpack-6": Kind("3.10", "aarch64", "jetson"),
    "jetpack-7": Kind("3.12", "aarch64", "jetson"),
}
"""Boards by name. ``raspberry-pi`` is Raspberry Pi OS trixie."""


def kind_of(text: str) -> Kind:
    """Return the kind of a board: a name of `KINDS`, or ``PYTHON/MACHINE[/BOARD]``. Raise ValueError for others."""
    if text in KINDS:
        return KINDS[text]
    plain = PLAIN.fullmatch(text)
    if plain and re.search(PYTHON_PATTERN, plain["python"]):
        machines = {name: name for name in get_args(Machine)}
        boards = {name: name for name in get_args(Board)}
        if plain["machine"] in machines and (plain["board"] or "generic") in boards:
            return Kind(plain["python"], machines[plain["machine"]], boards[plain["board"] or "generic"])
    raise ValueError(
        f"must be one of {', '.join(KINDS)}, or PYTHON/MACHINE such as 3.13/x86_64"
        f" ({' or '.join(get_args(Machine))}), is {text!r}"
    )
