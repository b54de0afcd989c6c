"""The command ``report``."""

import argparse
import logging
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from base.durable_file import replace_file
from base.errors import SettingsError
from base.logs import line
from collector.commands.parsers import Commands
from collector.commands.selection import check_store, page_zone, selected_sites
from collector.receive.receiver import utc_now
from collector.settings import Settings

if TYPE_CHECKING:
    from collector.language.language import Language
    from collector.page.controls.selection import Selection
    from collector.reading.reader import Reader

FORMS = ("html", "pdf")

_log = logging.getLogger("collector")


def add(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add("report", _report, "Write the report of a week as HTML or PDF, or send it by mail.")
    when = parser.add_argument_group("period", "the last week that has ended, unless given")
    when.add_argument("--week", metavar="WEEK", help="a week such as 2026-W13, or last")
    when.add_argument("--since", metavar="DAY", help="first day, for example 2026-03-01, with --until")
    when.add_argument("--until", metavar="DAY", help="the day after the last day")
    parser.add_argument("--site", help="only this site, or these, separated by commas")
    parser.add_argument("--lang", metavar="CODE", help="language, such as de (default: page.language, else en)")
    parser.add_argument("--zone", help="time zone of days, instead of page.zone")
    parser.add_argument(
        "--out", type=Path, metavar="PATH",
        help="file that ends in .html or .pdf; or folder for both, of all sites together and of each site",
    )  # fmt: skip
    parser.add_argument("--mail", action="store_true", help="send what is due to the recipients in [mail]")


def _report(options: argparse.Namespace, settings: Settings) -> None:
    from collector.language.language import language  # noqa: PLC0415
    from collector.reading.reader import Reader  # noqa: PLC0415 - run does not need pandas

    check_store(settings)
    sites = selected_sites(options)
    zone, now = page_zone(options, settings), utc_now()
    words = language(options.lang or settings.page.language or "en")
    reader = Reader(settings.store.path, utc_now, settings.page.label_map)
    if options.mail:
        _mail(options, settings, reader, (zone, now), words)
        return
    if options.out is None:
        raise SettingsError("report: --out PATH or --mail must be given")
    selection = _selection(options, sites, zone, now)
    form = options.out.suffix.lower().removeprefix(".")
    if form in FORMS:
        _write_document(reader, selection, now, words, {form: options.out})
    elif form and not options.out.is_dir():
        raise SettingsError(f"--out {options.out}: must end in .html or .pdf, or be a folder")
    else:
        _write_all(reader, selection, now, words, options.out)


def _mail(
    options: argparse.Namespace,
    settings: Settings,
    reader: "Reader",
    when: tuple[ZoneInfo, datetime],
    words: "Language",
) -> None:
    """Send what is due, or the week that is given."""
    from collector.report.deliver import Delivery  # noqa: PLC0415
    from collector.report.week import parse_week  # noqa: PLC0415

    for name in ("since", "until", "site", "out"):
        if getattr(options, name) is not None:
            raise SettingsError(
                f"--{name}: must not be given with --mail, which sends weeks to those in mail.recipients"
            )
    zone, now = when
    week = None if options.week is None else parse_week(options.week, now, zone)
    number = Delivery(reader, settings.mail, zone, now, words.code).send(week)
    if not number:
        _log.info(line("nothing_due", recipients=len(settings.mail.recipients)))


def _selection(options: argparse.Namespace, sites: tuple[str, ...], zone: ZoneInfo, now: datetime) -> "Selection":
    """Return the days of --since and --until, else those of --week, else those of the last week."""
    from collector.report.week import DAY, LAST, parse_day, parse_week, select_days, select_week  # noqa: PLC0415

    if options.since is None and options.until is None:
        return select_week(parse_week(options.week or LAST, now, zone), sites, zone, now)
    if options.since is None or options.until is None or options.week is not None:
        raise SettingsError("--since and --until: must both be given, without --week")
    first, past = parse_day("--since", options.since), parse_day("--until", options.until)
    if past <= first:
        raise SettingsError(f"--until: must be after --since {options.since}, is {options.until}")
    return select_days(first, past - DAY, sites, zone, now)


def _write_all(reader: "Reader", selection: "Selection", now: datetime, words: "Language", folder: Path) -> None:
    """Write both forms of the selection, and of each of its sites if it has several."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsError(f"--out {folder}: {error.strerror or error}") from error
    sites = selection.sites or tuple(reader.sites())
    parts = [selection, *(replace(selection, sites=(site,)) for site in sites if (site,) != selection.sites)]
    for part in parts:
        _write_document(reader, part, now, words, dict.fromkeys(FORMS, folder))


def _write_document(
    reader: "Reader", selection: "Selection", now: datetime, words: "Language", out: dict[str, Path]
) -> None:
    """Write the forms of one report to files, or to a folder under its own name."""
    from collector.page.controls.selection import InvalidSelection  # noqa: PLC0415
    from collector.report.contents import gather  # noqa: PLC0415
    from collector.report.document import make_document  # noqa: PLC0415
    from collector.report.pdf import make_pdf  # noqa: PLC0415

    try:
        document = make_document(gather(reader, selection, now, words), words)
    except InvalidSelection as error:
        raise SettingsError(f"--site: {error}") from error
    for form, path in out.items():
        file = path / f"{document.name}.{form}" if path.is_dir() else path
        data = document.html.encode() if form == "html" else make_pdf(document.html)
        try:
            replace_file(file, data)
        except OSError as error:
            raise SettingsError(f"--out {file}: {error.strerror or error}") from error
        _log.info(line("report_written", file=file, bytes=len(data)))
