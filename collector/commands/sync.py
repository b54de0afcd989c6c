"""The command ``sync``, which keeps a store's tables in PostgreSQL."""

import argparse
import importlib.util
import random
from typing import TYPE_CHECKING

from base.errors import SettingsError
from collector.commands.parsers import Commands, whole_number
from collector.commands.selection import check_store, page_zone
from collector.commands.services import stop_on_signals
from collector.errors import StoreUnreadable
from collector.settings import Settings

if TYPE_CHECKING:
    from collector.postgresql.synchronise import Target

LONGEST_EVERY_S = 86_400
MAX_NAMED = 10
"""Files and folders that an error names; the log has all."""


def add(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add("sync", _sync, "Keep tables and views of the store in PostgreSQL, for BI tools.")
    parser.add_argument(
        "url",
        nargs="?",
        metavar="URL",
        help="database, such as postgresql://user@host/name, without a password (default: sync.url)",
    )
    parser.add_argument("--password-file", metavar="FILE", help="file whose first line is the password")
    every = whole_number(LONGEST_EVERY_S)
    parser.add_argument("--every", type=every, metavar="SECONDS", help="repeat until SIGTERM or SIGINT")
    parser.add_argument("--zone", help="time zone of the shares' days, weeks and months, instead of page.zone")
    parser.add_argument(
        "--follow-retention", action="store_true", help="also delete windows of days that the store has deleted"
    )
    parser.add_argument(
        "--read-again", action="store_true", help="read all files from their start; nothing is counted twice"
    )


def _sync(options: argparse.Namespace, settings: Settings) -> None:
    check_store(settings)
    if importlib.util.find_spec("psycopg") is None:
        raise SettingsError("sync: psycopg is missing: pip install 'facetally[collector,sync]'")
    from collector.postgresql.repeat import log_done, repeat  # noqa: PLC0415 - run needs no PostgreSQL
    from collector.postgresql.synchronise import Synchroniser  # noqa: PLC0415

    stop = stop_on_signals()
    synchroniser = Synchroniser(_target(options, settings), stop.is_set)
    if options.every is None or options.read_again:
        done = synchroniser.run(read_again=options.read_again)
        log_done(done)
        if done.unreadable and options.every is None:
            raise StoreUnreadable(f"not copied, the rest was: {'; '.join(map(str, done.unreadable[:MAX_NAMED]))}")
    if options.every is not None:
        repeat(synchroniser, options.every, stop, random.Random())  # noqa: S311 - spreads attempts, guards nothing


def _target(options: argparse.Namespace, settings: Settings) -> "Target":
    from collector.postgresql.connection import check_url  # noqa: PLC0415
    from collector.postgresql.synchronise import Target  # noqa: PLC0415

    url, source = (options.url, "URL") if options.url is not None else (settings.sync.url, "key 'sync.url'")
    if url is None:
        raise SettingsError("URL: must be given, or sync.url must be set, such as postgresql://user@host/database")
    return Target(
        settings.store.path,
        check_url(url, source),
        options.password_file or settings.sync.password_file,
        page_zone(options, settings),
        settings.page.label_map,
        options.follow_retention,
    )
