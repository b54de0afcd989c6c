"""The command line: ``facetally-collector run|serve|export|summary``."""

import argparse
import logging
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
from base.logs import LineFormatter, line
from collector.receive.receiver import run, utc_now
from collector.settings import Settings, read_settings
from contract.errors import BundleError, TopicError

if TYPE_CHECKING:
    import pandas as pd

BY = ("hour", "day", "weekday", "site", "device")
MOST_BUCKETS = {"hour": (timedelta(hours=1), 50_000), "day": (timedelta(days=1), 20_000)}
FORMATS = ("csv", "parquet", "excel")

_log = logging.getLogger("collector")


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the arguments say -> exit status: 0, 2 for wrong settings or arguments, 1 for all else."""
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
    except Exception:  # noqa: BLE001 - the last resort: say it in one line, exit 1
        _log.exception(line("stopped", reason="unexpected"))
        return 1
    return 0


def _run(_options: argparse.Namespace, settings: Settings) -> None:
    run(settings, _stop_on_signals())


def _serve(options: argparse.Namespace, settings: Settings) -> None:
    from collector.web.serve import serve  # noqa: PLC0415 - run needs no dash

    serve(settings, _zone(options.zone or settings.page.zone), _stop_on_signals(), utc_now)


def _export(options: argparse.Namespace, settings: Settings) -> None:
    from collector.exports.tables import export  # noqa: PLC0415 - run needs no pandas

    frame = _load(options, settings, _zone("UTC"))
    export(frame, options.format, options.out)
    if options.out is not None:
        _log.info(line("exported", rows=len(frame), file=options.out))


def _summary(options: argparse.Namespace, settings: Settings) -> None:
    from collector.analysis import summarise  # noqa: PLC0415 - run needs no pandas
    from collector.devices.registry_file import damages  # noqa: PLC0415
    from collector.exports import tables  # noqa: PLC0415 - run needs no pandas
    from collector.store.rollup import damaged_files  # noqa: PLC0415

    zone = _zone(options.zone or settings.page.zone)
    frame = _load(options, settings, zone)
    span = _span(options, zone, frame)
    _check_buckets(options.by, frame, span)
    for damage in (*damaged_files(settings.store.path), *damages(settings.store.path)):
        _log.warning(line("left_out", file=damage.file, rows="all", reason=damage.reason))
    table = summarise.summarise(frame, options.by, zone, span)
    unplaced = int((frame["clock"] == "unsynced").sum())
    if unplaced and options.by in ("hour", "day", "weekday"):
        _log.warning(line("left_out", windows=unplaced, reason="their clock was never set"))
    tables.show(lambda out: out.write(tables.text(table, options.form)))
    if options.chart is not None:
        from collector.exports.chart import draw  # noqa: PLC0415 - only a chart needs matplotlib

        draw(frame, options.chart, zone, span)


def _load(options: argparse.Namespace, settings: Settings, zone: ZoneInfo) -> "pd.DataFrame":
    from collector.store.load import load  # noqa: PLC0415 - run needs no pandas

    if not settings.store.path.is_dir():
        raise SettingsError(f"store.root {settings.store.root}: there is no such folder")
    since, until = _moment(options.since, zone), _moment(options.until, zone)
    if since is not None and until is not None and until <= since:
        raise SettingsError(f"--until {options.until}: not after --since {options.since}")
    return load(settings.store.path, since, until, options.site)


def _span(options: argparse.Namespace, zone: ZoneInfo, frame: "pd.DataFrame") -> tuple[datetime, datetime] | None:
    """The range asked for; an end that was not said is that of the data."""
    since, until = _moment(options.since, zone), _moment(options.until, zone)
    if frame.empty and (since is None or until is None):
        return None
    if since is None and until is None:
        return None
    return since or frame["start"].min(), until or frame["end"].max()


def _check_buckets(by: str, frame: "pd.DataFrame", span: tuple[datetime, datetime] | None) -> None:
    """SettingsError if a table by hour or day would have more lines than anybody reads."""
    timed = frame[frame["clock"] != "unsynced"]
    if by not in MOST_BUCKETS or timed.empty:
        return
    since, until = span or (timed["start"].min(), timed["end"].max())
    since, until = min(since, timed["start"].min()), max(until, timed["end"].max())
    length, most = MOST_BUCKETS[by]
    if (until - since) / length > most:
        raise SettingsError(
            f"--by {by}: at most {most:,} {by}s, from {since:%Y-%m-%d} to {until:%Y-%m-%d} there are"
            f" {(until - since) // length:,}; choose with --since and --until"
        )


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise SettingsError(f"zone {name!r}: a name of the IANA time zone database, such as Europe/Berlin") from None


def _moment(text: str | None, zone: ZoneInfo) -> datetime | None:
    """``2026-03-29``, ``2026-03-29T10:00`` (in the zone) or ``2026-03-29T08:00Z`` -> a time; None stays None."""
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
        return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(timezone.utc)
    except (ValueError, OverflowError):
        raise SettingsError(f"time {text!r}: such as 2026-03-29, 2026-03-29T10:00 or 2026-03-29T08:00Z") from None


def _stop_on_signals() -> threading.Event:
    """An event that SIGTERM and SIGINT set."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return stop


def _configure_logging() -> None:
    to_stderr = logging.StreamHandler(sys.stderr)
    to_stderr.setFormatter(LineFormatter())
    logging.basicConfig(level=logging.INFO, handlers=[to_stderr], force=True)
    logging.getLogger("matplotlib").setLevel(logging.WARNING)  # a line when it first draws on a machine
    logging.getLogger("waitress").setLevel(logging.WARNING)  # a line for each browser that hangs up
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)  # a line for each request that waits for a thread


def _parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--config", type=Path, metavar="FILE", help="TOML; every setting has a default")
    common.add_argument("--root", type=Path, metavar="FOLDER", help="the store, in place of store.root")
    common.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="such as broker.port=1884")
    chosen = argparse.ArgumentParser(add_help=False)
    chosen.add_argument("--since", metavar="TIME", help="windows that start then or later, such as 2026-03-29")
    chosen.add_argument("--until", metavar="TIME", help="windows that start earlier")
    chosen.add_argument("--site", help="of this site only")

    parser = argparse.ArgumentParser(prog="facetally-collector", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, command: Callable[..., None], says: str, *parents: Any) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=says, description=says, parents=[common, *parents])
        sub.set_defaults(command=command)
        return sub

    add("run", _run, "Receive counts over MQTT and store them, until SIGTERM or SIGINT.")
    serving = add("serve", _serve, "Serve the page, until SIGTERM or SIGINT.")
    serving.add_argument("--zone", help="time zone of the page, in place of page.zone")
    exporting = add("export", _export, "Write the windows into one file.", chosen)
    exporting.add_argument("--format", choices=FORMATS, default="csv")
    exporting.add_argument("--out", type=Path, metavar="FILE", help="standard output if it is not said (CSV only)")
    summing = add("summary", _summary, "Print visits by time, site or device.", chosen)
    summing.add_argument("--by", choices=BY, default="day")
    summing.add_argument("--zone", help="time zone of hours and days, in place of page.zone")
    summing.add_argument("--chart", type=Path, metavar="PNG", help="also draw visits over time into this file")
    form = summing.add_mutually_exclusive_group()
    form.add_argument("--json", dest="form", action="store_const", const="json", default="text")
    form.add_argument("--csv", dest="form", action="store_const", const="csv")
    return parser


if __name__ == "__main__":
    sys.exit(main())
