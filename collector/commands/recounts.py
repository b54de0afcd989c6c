"""The command ``recounts``."""

import argparse

from collector.commands.parsers import Commands, add_form
from collector.commands.selection import check_store, selected_sites
from collector.settings import Settings


def add(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add("recounts", _recounts, "Print the counts by hand, and what the devices counted.")
    parser.add_argument("--site", help="only recounts of this site, or of these, separated by commas")
    add_form(parser)


def _recounts(options: argparse.Namespace, settings: Settings) -> None:
    from collector.exports.tables import write_stdout  # noqa: PLC0415 - run does not need pandas
    from collector.recount.files import format_recounts, read_recounts  # noqa: PLC0415

    check_store(settings)
    sites = selected_sites(options)
    found = [each for each in read_recounts(settings.store.path) if not sites or each.site in sites]
    write_stdout(lambda out: out.write(format_recounts(found, options.form)))
