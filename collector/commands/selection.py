"""What a command reads of the store: ``--since``, ``--until``, ``--site`` and the time zone."""

import argparse
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from msgspec.structs import replace

from base.errors import SettingsError
from collector.settings import Settings, named_zone
from contract.topics import ID_PATTERN

if TYPE_CHECKING:
    import pandas as pd

    from collector.store.workers import Workers


def selection_options() -> argparse.ArgumentParser:
    """Return the options that select windows, as a parent of a command's parser."""
    selection = argparse.ArgumentParser(add_help=False)
    selection.add_argument(
        "--since", metavar="TIME", help="only windows that start at this time or later, for example 2026-03-29"
    )
    selection.add_argument("--until", metavar="TIME", help="only windows that start before this time")
    selection.add_argument("--site", help="only windows of this site, or of these, separated by commas")
    add_scheduler(selection)
    return selection


def add_scheduler(parser: argparse.ArgumentParser) -> None:
    """Add the option that leaves the work to a cluster."""
    parser.add_argument(
        "--scheduler",
        metavar="ADDRESS",
        help="scheduler of a dask.distributed cluster, for example tcp://10.0.0.5:8786; its workers must have the store"
        " at the same path",
    )


def load_selected(
    options: argparse.Namespace,
    settings: Settings,
    zone: ZoneInfo,
    workers: "Workers",
    *,
    sums_suffice: bool = False,
) -> "pd.DataFrame":
    """Load the windows selected by --since, --until and --site.

    With ``sums_suffice`` and --scheduler the table has cells of whole hours or quarters of an hour of the zone instead.
    """
    from collector.scale.load_cells import load_cells  # noqa: PLC0415 - run does not need pandas
    from collector.store.load import load  # noqa: PLC0415

    since, until = selected_range(options, zone)
    sites = selected_sites(options)
    root, site = settings.store.path, sites[0] if len(sites) == 1 else None
    if sums_suffice and options.scheduler:
        frame = load_cells(root, since, until, site, zone, workers)
    else:
        frame = load(root, since, until, site, workers=workers)
    return frame[frame["site"].isin(sites)].reset_index(drop=True) if len(sites) > 1 else frame


@contextmanager
def local_store(options: argparse.Namespace, settings: Settings, zone: ZoneInfo) -> Iterator[Settings]:
    """Yield settings whose store is a folder: a temporary copy of what is selected if it is in object storage.

    Raises SettingsError if there is no store, or what is selected cannot be.
    """
    from collector.scale.object_store import is_url, local_folder  # noqa: PLC0415 - run does not need pandas

    url, chosen = settings.store.root, selected_range(options, zone)
    if not is_url(url):
        check_store(settings)
        yield settings
        return
    if options.scheduler is not None:
        raise SettingsError(f"--scheduler: store.root must be a folder that all workers have, is {url}")
    with local_folder(url, *chosen, selected_sites(options)) as folder:
        yield replace(settings, store=replace(settings.store, root=str(folder)))


def check_store(settings: Settings) -> None:
    """Raise SettingsError if there is no store, or its folder cannot be read."""
    if not settings.store.path.is_dir():
        raise SettingsError(f"store.root: must be an existing folder, is {settings.store.root}")
    if not os.access(settings.store.path, os.R_OK | os.X_OK, effective_ids=True):
        raise SettingsError(f"store.root: must be a folder that this user may read, is {settings.store.root}")


def selected_sites(options: argparse.Namespace) -> tuple[str, ...]:
    """Return the sites of --site; none for all. Raise SettingsError if one is no name of a site."""
    sites = () if options.site is None else tuple(options.site.split(","))
    if not all(re.search(ID_PATTERN, site) for site in sites):
        raise SettingsError(
            f"--site: must be 1 to 64 letters, digits, '.', '_' or '-', beginning with a letter or digit,"
            f" is {options.site!r}"
        )
    return sites


def selected_span(
    options: argparse.Namespace, zone: ZoneInfo, frame: "pd.DataFrame"
) -> tuple[datetime, datetime] | None:
    """Return the range given; an end that was not given is that of the data. None if neither was given."""
    since, until = selected_range(options, zone)
    if frame.empty and (since is None or until is None):
        return None
    if since is None and until is None:
        return None
    return since or frame["start"].min(), until or frame["end"].max()


def page_zone(options: argparse.Namespace, settings: Settings) -> ZoneInfo:
    """Return the zone of --zone, else that of the settings."""
    return named_zone("--zone", options.zone) if options.zone else settings.page.time_zone()


def selected_range(options: argparse.Namespace, zone: ZoneInfo) -> tuple[datetime | None, datetime | None]:
    """Return --since and --until, None where not given; SettingsError unless they are times in their order."""
    since, until = parse_moment("--since", options.since, zone), parse_moment("--until", options.until, zone)
    if since is not None and until is not None and until <= since:
        raise SettingsError(f"--until: must be after --since {options.since}, is {options.until}")
    return since, until


def parse_moment(option: str, text: str | None, zone: ZoneInfo) -> datetime | None:
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
