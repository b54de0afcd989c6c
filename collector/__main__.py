"""The command line of the collector: ``facetally-collector run|serve|export|summary|compact|recounts``."""

import argparse
import logging
import re
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from msgspec.structs import replace

from base.errors import FacetallyError, SettingsError
from base.logs import line, log_to_stderr
from base.packaged_file import print_packaged_file
from base.version import installed_version
from collector.receive.receiver import run, utc_now
from collector.settings import Settings, read_settings
from contract.errors import BundleError, TopicError
from contract.topics import ID_PATTERN

if TYPE_CHECKING:
    import pandas as pd

MAX_BUCKETS = {"hour": (timedelta(hours=1), 50_000), "day": (timedelta(days=1), 20_000)}
"""Length of a bucket, and how many a summary may have."""
DEFAULT_COMPACT_DAYS = 2
"""Age in days from which `compact` compacts a day, without an option or setting."""
FORMATS = ("csv", "parquet", "arrow", "excel")
ENDINGS = {".csv": "csv", ".parquet": "parquet", ".arrow": "arrow", ".arrows": "arrow", ".xlsx": "excel"}
"""Format of a file by the ending of its name."""
EPILOG = "Exit status: 0 on success, 2 for wrong settings or arguments, 1 for any other failure."

_log = logging.getLogger("collector")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return the exit status: 0, 2 for wrong settings or arguments, 1 for any other failure."""
    options = _parser().parse_args(arguments)
    _configure_logging()
    command: Callable[[argparse.Namespace, Settings], None] = options.command
    try:
        settings = read_settings(options.config, tuple(options.set))
        if options.root is not None:
            settings = replace(settings, store=replace(settings.store, root=str(options.root)))
        command(options, settings)
    except (SettingsError, TopicError, BundleError) as error:
        _log.error(line("settings", reason=error))
        return 2
    except FacetallyError as error:
        _log.error(line("stopped", reason=error))
        return 1
    except Exception:  # noqa: BLE001 - the last resort: log one line and exit with 1
        _log.exception(line("stopped", reason="unexpected"))
        return 1
    return 0


def _config(_options: argparse.Namespace, _settings: Settings) -> None:
    print_packaged_file("collector", "samples", "collector.toml")


def _run(_options: argparse.Namespace, settings: Settings) -> None:
    run(settings, _stop_on_signals())


def _serve(options: argparse.Namespace, settings: Settings) -> None:
    from collector.web.serve import serve  # noqa: PLC0415 - run does not need dash

    serve(settings, _page_zone(options, settings), _stop_on_signals(), utc_now)


def _export(options: argparse.Namespace, settings: Settings) -> None:
    from collector.exports.tables import export  # noqa: PLC0415 - run does not need pandas

    kind = _format(options)
    frame = _load(options, settings, ZoneInfo("UTC"))
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


def _summary(options: argparse.Namespace, settings: Settings) -> None:
    from collector.analysis.command_summary import summary_table  # noqa: PLC0415 - run does not need pandas
    from collector.devices.registry_file import damages  # noqa: PLC0415
    from collector.exports import tables  # noqa: PLC0415
    from collector.store.rollup import damaged_files  # noqa: PLC0415

    zone = _page_zone(options, settings)
    frame = _load(options, settings, zone)
    span = _span(options, zone, frame)
    by = options.by.split(",")
    _check_buckets(by, frame, span)
    for damage in (*damaged_files(settings.store.path), *damages(settings.store.path)):
        _log.warning(line("left_out", file=damage.file, rows="all", reason=damage.reason))
    table = summary_table(frame, by, zone, span, corrected_by=settings.store.path if options.corrected else None)
    without_time = int((frame["clock"] == "unsynced").sum())
    if without_time and not {"hour", "day", "week", "month", "weekday"}.isdisjoint(by):
        _log.warning(line("left_out", windows=without_time, reason="the device's clock was never synchronised"))
    tables.write_stdout(lambda out: out.write(tables.format_table(table, options.form)))
    if options.chart is not None:
        from collector.exports.chart import draw  # noqa: PLC0415 - only a chart needs matplotlib

        draw(frame, options.chart, zone, span)


def _recounts(options: argparse.Namespace, settings: Settings) -> None:
    from collector.exports.tables import write_stdout  # noqa: PLC0415 - run does not need pandas
    from collector.recount.files import format_recounts, read_recounts  # noqa: PLC0415

    _check_store(settings)
    _check_site(options)
    found = [each for each in read_recounts(settings.store.path) if options.site in (None, each.site)]
    write_stdout(lambda out: out.write(format_recounts(found, options.form)))


def _compact(options: argparse.Namespace, settings: Settings) -> None:
    from collector.store.compaction import Compacted, compact, log_compacted  # noqa: PLC0415 - run does not need pyarrow

    _check_store(settings)
    days = options.days or settings.store.compact_after_days or DEFAULT_COMPACT_DAYS
    total = Compacted()
    for day, done in compact(
        settings.store.path, utc_now().date() - timedelta(days=days), keep_csv=settings.store.keep_csv
    ):
        log_compacted(day, done)
        total += done
    print(
        f"{total.files} CSV files ({total.csv_bytes} bytes) became {total.parquet_bytes} bytes of Parquet; "
        f"{total.left} stay"
    )


def _load(options: argparse.Namespace, settings: Settings, zone: ZoneInfo) -> "pd.DataFrame":
    """Load the windows selected by --since, --until and --site."""
    from collector.store.load import load  # noqa: PLC0415 - run does not need pandas

    _check_store(settings)
    since, until = _range(options, zone)
    if since is not None and until is not None and until <= since:
        raise SettingsError(f"--until: must be after --since {options.since}, is {options.until}")
    _check_site(options)
    sites = [] if options.site is None else options.site.split(",")
    frame = load(settings.store.path, since, until, sites[0] if len(sites) == 1 else None)
    return frame[frame["site"].isin(sites)].reset_index(drop=True) if len(sites) > 1 else frame


def _check_store(settings: Settings) -> None:
    if not settings.store.path.is_dir():
        raise SettingsError(f"store.root: must be an existing folder, is {settings.store.root}")


def _check_site(options: argparse.Namespace) -> None:
    sites = [] if options.site is None else options.site.split(",")
    if not all(re.search(ID_PATTERN, site) for site in sites):
        raise SettingsError(
            f"--site: must be 1 to 64 letters, digits, '.', '_' or '-', beginning with a letter or digit,"
            f" is {options.site!r}"
        )


def _span(options: argparse.Namespace, zone: ZoneInfo, frame: "pd.DataFrame") -> tuple[datetime, datetime] | None:
    """Return the range given; an end that was not given is that of the data. None if neither was given."""
    since, until = _range(options, zone)
    if frame.empty and (since is None or until is None):
        return None
    if since is None and until is None:
        return None
    return since or frame["start"].min(), until or frame["end"].max()


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


def _page_zone(options: argparse.Namespace, settings: Settings) -> ZoneInfo:
    """Return the zone of --zone, else that of the settings."""
    key, name = ("--zone", options.zone) if options.zone else ("page.zone", settings.page.zone)
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise SettingsError(
            f"{key}: must be a name of the IANA time zone database such as Europe/Berlin, is {name!r}"
        ) from None


def _range(options: argparse.Namespace, zone: ZoneInfo) -> tuple[datetime | None, datetime | None]:
    """Return --since and --until, None where not given."""
    return _moment("--since", options.since, zone), _moment("--until", options.until, zone)


def _moment(option: str, text: str | None, zone: ZoneInfo) -> datetime | None:
    """Parse ``2026-03-29``, ``2026-03-29T10:00`` (both in the zone) or ``2026-03-29T08:00Z``; None stays None."""
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
        return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(timezone.utc)
    except (ValueError, OverflowError):
        raise SettingsError(
            f"{option}: must be a time such as 2026-03-29, 2026-03-29T10:00 or 2026-03-29T08:00Z, is {text!r}"
        ) from None


def _stop_on_signals() -> threading.Event:
    """Return an event that SIGTERM and SIGINT set."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return stop


def _configure_logging() -> None:
    log_to_stderr()
    logging.getLogger("matplotlib").setLevel(logging.WARNING)  # logs a line when it first draws on a machine
    logging.getLogger("waitress").setLevel(logging.WARNING)  # logs a line for each browser that hangs up
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)  # logs a line for each request that waits


def _parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "--config", type=Path, metavar="FILE", help="configuration file (TOML); every setting has a default"
    )
    common.add_argument("--root", type=Path, metavar="FOLDER", help="folder of the store, instead of store.root")
    common.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="override one setting, for example broker.port=1884; may be repeated",
    )
    selection = argparse.ArgumentParser(add_help=False)
    selection.add_argument(
        "--since", metavar="TIME", help="only windows that start at this time or later, for example 2026-03-29"
    )
    selection.add_argument("--until", metavar="TIME", help="only windows that start before this time")
    selection.add_argument("--site", help="only windows of this site, or of these, separated by commas")

    parser = argparse.ArgumentParser(
        prog="facetally-collector",
        description="Receive the counts of facetally devices over MQTT, store them, and show them.",
        epilog=EPILOG,
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {installed_version()}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, command: Callable[..., None], text: str, *parents: Any) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text, epilog=EPILOG, parents=[common, *parents])
        sub.set_defaults(command=command)
        return sub

    add("config", _config, "Print a configuration that lists and explains every key.")
    add("run", _run, "Receive counts over MQTT and store them until SIGTERM or SIGINT.")
    serving = add("serve", _serve, "Serve the page and the HTTP API until SIGTERM or SIGINT.")
    serving.add_argument("--zone", help="time zone that the page shows at first, instead of page.zone")
    _add_export(add("export", _export, "Write the stored windows to one file.", selection))
    _add_summary(add("summary", _summary, "Print visits by time, site or device.", selection))
    compacting = add("compact", _compact, "Turn the CSV files of closed days into Parquet files.")
    compacting.add_argument(
        "--days", type=_days, help="only days that ended this many days ago (default: store.compact_after_days, else 2)"
    )
    recounts = add("recounts", _recounts, "Print the counts by hand, and what the devices counted.")
    recounts.add_argument("--site", help="only recounts of this site")
    _add_form(recounts)
    return parser


def _days(text: str) -> int:
    if not re.fullmatch("[0-9]{1,5}", text) or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number from 1 to 99999, is {text!r}")
    return int(text)


def _add_export(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--format",
        choices=FORMATS,
        help="format of the file (default: by the ending of --out: .csv, .parquet, .arrow or .xlsx; csv without --out)",
    )
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="file to write (default: standard output, for csv only)"
    )


def _add_summary(parser: argparse.ArgumentParser) -> None:
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
    _add_form(parser)


def _add_form(parser: argparse.ArgumentParser) -> None:
    form = parser.add_mutually_exclusive_group()
    form.add_argument(
        "--json", dest="form", action="store_const", const="json", default="text", help="print JSON instead of text"
    )
    form.add_argument("--csv", dest="form", action="store_const", const="csv", help="print CSV instead of text")


if __name__ == "__main__":
    sys.exit(main())
