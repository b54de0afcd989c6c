"""The command ``rollup``."""

import argparse
import logging

from base.logs import line
from collector.commands.parsers import Commands
from collector.commands.selection import add_scheduler, check_store, page_zone
from collector.receive.receiver import utc_now
from collector.settings import Settings

_log = logging.getLogger("collector")


def add(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add("rollup", _rollup, "Bring the roll-ups up to date, from which the page shows long ranges.")
    parser.add_argument("--zone", help="time zone of the page's hours and days, instead of page.zone")
    add_scheduler(parser)


def _rollup(options: argparse.Namespace, settings: Settings) -> None:
    from collector.scale.build_rollups import build_rollups  # noqa: PLC0415 - run does not need pandas
    from collector.scale.cluster import workers  # noqa: PLC0415

    check_store(settings)
    zone, months, cells = page_zone(options, settings), 0, 0
    with workers(options.scheduler) as working:
        for month in build_rollups(settings.store.path, zone, utc_now, working):
            _log.info(line("rolled_up", month=month.name, cells=month.cells))
            months, cells = months + 1, cells + month.cells
    print(f"the roll-ups of {months} months have {cells} cells")
