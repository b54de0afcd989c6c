"""The command ``recounts``."""

import argparse

from collector.commands.parsers import Commands, add_form
from collector.commands.selection import check_site, check_store
from collector.settings import Settings


def add(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add("recounts", _recounts, "Print the counts by hand, and what the devices counted.")
    parser.add_argument("--site", help="only recounts of this site")
    add_form(parser)


def _recounts(options: argparse.Namespace, settings: Settings) -> None:
    from collector.exports.tables import write_stdout  # noqa: PLC0415 - run does not need pandas
    from collector.recount.files import format_recounts, read_recounts  # noqa: PLC0415

    check_store(settings)
    check_site(options)
    found = [each for each in read_recounts(settings.store.path) if options.site in (None, each.site)]
    write_stdout(lambda out: out.write(format_recounts(found, options.form)))
