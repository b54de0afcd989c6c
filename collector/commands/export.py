"""The command ``export``."""

import argparse
import logging
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from base.errors import SettingsError
from base.logs import line
from collector.commands.parsers import Commands
from collector.commands.selection import load_selected, selection_options
from collector.settings import Settings

FORMATS = ("csv", "parquet", "arrow", "excel")
ENDINGS = {".csv": "csv", ".parquet": "parquet", ".arrow": "arrow", ".arrows": "arrow", ".xlsx": "excel"}
"""Format of a file by the ending of its name."""

_log = logging.getLogger("collector")


def add(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add("export", _export, "Write the stored windows to one file.", selection_options())
    parser.add_argument(
        "--format",
        choices=FORMATS,
        help="format of the file (default: by the ending of --out: .csv, .parquet, .arrow or .xlsx; csv without --out)",
    )
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="file to write (default: standard output, for csv only)"
    )


def _export(options: argparse.Namespace, settings: Settings) -> None:
    from collector.exports.tables import export  # noqa: PLC0415 - run does not need pandas

    kind = _format(options)
    frame = load_selected(options, settings, ZoneInfo("UTC"))
    export(frame, kind, options.out)
    if options.out is not None:
        _log.info(line("exported", rows=len(frame), file=options.out))


def _format(options: argparse.Namespace) -> Any:
    """Return the format of an export: --format, else by the ending of --out, else CSV."""
    if options.format is not None or options.out is None:
        return options.format or "csv"
    if options.out.suffix.lower() not in ENDINGS:
        raise SettingsError(f"--out {options.out}: must end in {', '.join(ENDINGS)}, or --format must be given")
    return ENDINGS[options.out.suffix.lower()]
