"""The command ``hours``."""

import argparse
from datetime import datetime
from zoneinfo import ZoneInfo

from base.errors import SettingsError
from collector.commands.parsers import Commands
from collector.commands.selection import check_store, parse_moment
from collector.publish.full_hours import hour_before
from collector.receive.receiver import utc_now
from collector.settings import Settings
from contract.hour import encode_hour


def add(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add("hours", _hours, "Print the last full hour of each device as JSON lines, as it is published.")
    parser.add_argument("--start", metavar="TIME", help="start of another hour, UTC, such as 2026-03-28T09:00:00Z")


def _hours(options: argparse.Namespace, settings: Settings) -> None:
    from collector.exports.tables import write_stdout  # noqa: PLC0415 - run does not need pandas
    from collector.publish.last_hours import last_hours  # noqa: PLC0415

    check_store(settings)
    start = _start(options.start) or hour_before(utc_now())
    lines = [encode_hour(hour).decode() + "\n" for hour in last_hours(settings.store.path, start)]
    write_stdout(lambda out: out.writelines(lines))


def _start(text: str | None) -> datetime | None:
    """Return the time of ``--start``, if it is given; SettingsError unless it is a whole hour with a time zone."""
    start = parse_moment("--start", text, ZoneInfo("UTC"))
    if start is None:
        return None
    has_zone = datetime.fromisoformat(str(text).replace("Z", "+00:00")).tzinfo is not None
    if not has_zone or (start.minute, start.second, start.microsecond) != (0, 0, 0):
        raise SettingsError(f"--start: must be a whole hour with Z, is {text!r}")
    return start
