"""What a device says of its own heat and volts."""

import os
import sys
import tempfile
from pathlib import Path

import pytest

from edge.health import throttled, written_mb


@pytest.mark.parametrize(
    ("said", "slowed"),
    [("throttled=0x0", False), ("throttled=0x50000", False), ("throttled=0x50005", True), ("throttled=0x8", True)],
)
def test_what_held_before_does_not_hold_now(said, slowed):
    """The firmware's upper bits are of the past, its lower ones of now."""
    assert throttled((sys.executable, "-c", f"print({said!r})")) is slowed


@pytest.mark.parametrize(
    "command", [("no-such-command",), (sys.executable, "-c", "print('?')"), (sys.executable, "-c", "1/0")]
)
def test_boards_that_do_not_say_are_none(command):
    """No tool, or one that gives no answer."""
    assert throttled(command) is None


def test_what_is_written_to_disk_is_counted():
    """Four megabytes, forced to the disk, are four megabytes more."""
    before = written_mb()
    with tempfile.TemporaryFile(dir=Path(__file__).parent) as file:  # the temporary folder may be in memory
        file.write(bytes(4_000_000))
        file.flush()
        os.fsync(file.fileno())
    assert 4.0 <= written_mb() - before < 8.0
