"""The command ``summary``."""

import argparse
import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from base.errors import SettingsError
from base.logs import line
from collector.commands.parsers import Commands, add_form
from collector.commands.selection import load_selected, local_store, page_zone, selected_span, selection_options
from collector.settings import Settings

if TYPE_CHECKING:
    import pandas as pd

    from collector.store.workers import Workers

MAX_BUCKETS = {"hour": (timedelta(hours=1), 50_000), "day": (timedelta(days=1), 20_000)}
"""Length of a bucket, and how many a summary may have."""

_log = logging.getLogger("collector")


def add(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add("summary", _summary, "Print visits by time, site or device.", selection_options())
    parser.add_argument(
        "--by",
        default="day",
        metavar="NAME[,NAME...]",
        help="what each row stands for (default: day): at most one of hour, day, week, month and weekday, or"
        " weekday,hour; site or device; label for one row per label; or total",
    )
    parser.add_argument(
        "--corrected", action="store_true", help="add corrected shares with 90 %% intervals, one row per label"
    )
    parser.add_argument("--zone", help="time zone of hours and days, instead of page.zone")
    parser.add_argument("--chart", type=Path, metavar="PNG", help="also draw visits over time into this file")
    add_form(parser)


def _summary(options: argparse.Namespace, settings: Settings) -> None:
    from collector.scale.cluster import workers  # noqa: PLC0415 - run does not need pandas

    zone = page_zone(options, settings)
    with local_store(options, settings, zone) as local, workers(options.scheduler) as working:
        _print_summary(options, local, zone, working)


def _print_summary(options: argparse.Namespace, settings: Settings, zone: ZoneInfo, workers: "Workers") -> None:
    from collector.analysis.command_summary import summary_table  # noqa: PLC0415 - run does not need pandas
    from collector.devices.registry_file import damages  # noqa: PLC0415
    from collector.exports import tables  # noqa: PLC0415
    from collector.rollups.rollup import damaged_files  # noqa: PLC0415

    frame = load_selected(options, settings, zone, workers, sums_suffice=True)
    span = selected_span(options, zone, frame)
    by = options.by.split(",")
    _check_buckets(by, frame, span)
    for damage in (*damaged_files(settings.store.path), *damages(settings.store.path)):
        _log.warning(line("left_out", file=damage.file, rows="all", reason=damage.reason))
    corrected_by = settings.store.path if options.corrected else None
    table = summary_table(frame, by, zone, span, corrected_by=corrected_by, workers=workers)
    unsynced = frame[frame["clock"] == "unsynced"]
    if "begin" in unsynced:  # cells; a window is counted by the cell in which it began
        without_time = int(unsynced.loc[unsynced["begin"] == unsynced["start"], "windows"].sum())
    else:
        without_time = len(unsynced)
    if without_time and not {"hour", "day", "week", "month", "weekday"}.isdisjoint(by):
        _log.warning(line("left_out", windows=without_time, reason="the device's clock was never synchronised"))
    tables.write_stdout(lambda out: out.write(tables.format_table(table, options.form)))
    if options.chart is not None:
        from collector.exports.chart import draw  # noqa: PLC0415 - only a chart needs matplotlib

        draw(frame, options.chart, zone, span)


def _check_buckets(by: Sequence[str], frame: "pd.DataFrame", span: tuple[datetime, datetime] | None) -> None:
    """Raise SettingsError if a table by hour or day would have more rows than anyone reads."""
    from collector.analysis.intervals import with_known_time  # noqa: PLC0415 - run does not need pandas

    timed = with_known_time(frame)
    limits = [(name, *MAX_BUCKETS[name]) for name in by if name in MAX_BUCKETS]
    if not limits or timed.empty or "weekday" in by:
        return
    since, until = span or (timed["start"].min(), timed["end"].max())
    since, until = min(since, timed["start"].min()), max(until, timed["end"].max())
    name, length, most = limits[0]
    if (until - since) / length > most:
        raise SettingsError(
            f"--by {','.join(by)}: must give at most {most:,} {name}s, gives {(until - since) // length:,} from"
            f" {since:%Y-%m-%d} to {until:%Y-%m-%d}; choose a shorter range with --since and --until"
        )
