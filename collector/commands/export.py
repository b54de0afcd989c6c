"""The command ``export``."""

import argparse
import logging
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from zoneinfo import ZoneInfo

from base.errors import SettingsError
from base.logs import line
from collector.commands.parsers import Commands
from collector.commands.selection import load_selected, local_store, selection_options
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
        "--out", metavar="FILE", help="file or s3://... to write (default: standard output, for csv only)"
    )


def _export(options: argparse.Namespace, settings: Settings) -> None:
    from collector.exports.tables import export  # noqa: PLC0415 - run does not need pandas
    from collector.scale.cluster import workers  # noqa: PLC0415
    from collector.scale.object_store import is_url, upload_file  # noqa: PLC0415

    kind, utc = _format(options), ZoneInfo("UTC")
    with local_store(options, settings, utc) as local, workers(options.scheduler) as working:
        frame = load_selected(options, local, utc, working)
    if is_url(options.out):
        with TemporaryDirectory(prefix="facetally-") as folder:
            draft = Path(folder) / "export"
            export(frame, kind, draft)
            upload_file(draft, options.out)
    else:
        export(frame, kind, None if options.out is None else Path(options.out))
    if options.out is not None:
        _log.info(line("exported", rows=len(frame), file=options.out))


def _format(options: argparse.Namespace) -> Any:
    """Return the format of an export: --format, else by the ending of --out, else CSV."""
    if options.format is not None or options.out is None:
        return options.format or "csv"
    ending = Path(options.out).suffix.lower()
    if ending not in ENDINGS:
        raise SettingsError(f"--out {options.out}: must end in {', '.join(ENDINGS)}, or --format must be given")
    return ENDINGS[ending]
