"""The command ``compact``."""

import argparse
from datetime import timedelta

from collector.commands.parsers import Commands, whole_number
from collector.commands.selection import add_scheduler, check_store
from collector.receive.receiver import utc_now
from collector.settings import Settings

DEFAULT_COMPACT_DAYS = 2
"""Age in days from which `compact` compacts a day, without an option or setting."""
LONGEST_DAYS = 99_999


def add(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add("compact", _compact, "Turn the CSV files of closed days into Parquet files.")
    parser.add_argument(
        "--days",
        type=whole_number(LONGEST_DAYS),
        help="only days that ended this many days ago (default: store.compact_after_days, else 2)",
    )
    add_scheduler(parser)


def _compact(options: argparse.Namespace, settings: Settings) -> None:
    from collector.scale.cluster import workers  # noqa: PLC0415
    from collector.store.compaction import Compacted, compact, log_compacted  # noqa: PLC0415 - run does not need pyarrow

    check_store(settings)
    days = options.days or settings.store.compact_after_days or DEFAULT_COMPACT_DAYS
    total, before = Compacted(), utc_now().date() - timedelta(days=days)
    with workers(options.scheduler) as working:
        for day, done in compact(settings.store.path, before, keep_csv=settings.store.keep_csv, workers=working):
            log_compacted(day, done)
            total += done
    print(
        f"{total.files} CSV files ({total.csv_bytes} bytes) became {total.parquet_bytes} bytes of Parquet; "
        f"{total.left} stay"
    )
