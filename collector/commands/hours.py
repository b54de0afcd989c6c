"""The command ``hours``."""

import argparse
import sys
from datetime import datetime, timezone

from base.errors import SettingsError
from collector.commands.parsers import Commands
from collector.settings import Settings
from contract.hour import encode_hour


def add(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add("hours", _hours, "Print the last full hour of each device as JSON lines, as it is published.")
    parser.add_argument("--start", metavar="TIME", help="start of another hour, UTC, such as 2026-03-28T09:00:00Z")


def _hours(options: argparse.Namespace, settings: Settings) -> None:
    from collector.publish.last_hours import hour_before, last_hours  # noqa: PLC0415 - run does not need pandas

    start = hour_before(datetime.now(timezone.utc)) if options.start is None else _start(options.start)
    for hour in last_hours(settings.store.path, start):
        sys.stdout.write(encode_hour(hour).decode() + "\n")


def _start(text: str) -> datetime:
    """Return the time of ``--start``; SettingsError unless it is a whole hour with a time zone."""
    try:
        start = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError as error:
        raise SettingsError(f"--start: {error}") from error
    if start.utcoffset() is None or (start.minute, start.second, start.microsecond) != (0, 0, 0):
        raise SettingsError(f"--start: must be a whole hour with Z, is {text}")
    return start.astimezone(timezone.utc)
