"""The command ``upload``."""

import argparse
from zoneinfo import ZoneInfo

from base.errors import SettingsError
from collector.commands.parsers import Commands
from collector.commands.selection import check_store, selected_range
from collector.settings import Settings


def add(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add("upload", _upload, "Copy the Parquet files of compacted days to S3-compatible storage.")
    parser.add_argument("url", metavar="URL", help="where to, for example s3://counts/store")
    parser.add_argument("--since", metavar="TIME", help="only days that end after this time, for example 2026-03-29")
    parser.add_argument("--until", metavar="TIME", help="only days that begin before this time")


def _upload(options: argparse.Namespace, settings: Settings) -> None:
    from collector.scale.object_store import is_url, upload_store  # noqa: PLC0415 - run does not need pyarrow

    check_store(settings)
    if not is_url(options.url):
        raise SettingsError(f"URL: must begin with s3://, is {options.url!r}")
    done = upload_store(settings.store.path, options.url, *selected_range(options, ZoneInfo("UTC")))
    print(f"{done.files} files ({done.size} bytes) copied to {options.url}; {done.present} were there already")
