"""The analyst's functions: a store of counts as a DataFrame, summaries, and corrected shares of expressions."""

from __future__ import annotations

from datetime import datetime, tzinfo
from os import PathLike
from typing import TYPE_CHECKING, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from base.errors import FacetallyError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from collector.analysis.correction import Matrices

By = Literal["total", "hour", "day", "week", "month", "weekday", "site", "device"]
PERIODS: tuple[By, ...] = ("total", "hour", "day", "week", "month", "weekday", "site", "device")
STORE = "facetally_store"
"""Key of ``DataFrame.attrs`` under which `load` keeps the folder of the store."""


def load(
    store: str | PathLike[str],
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    site: str | None = None,
) -> pd.DataFrame:
    """Load the windows of a store.

    Args:
        store: Folder that ``facetally-collector`` writes, or ``s3://BUCKET/PREFIX`` to which it has copied one.
        since: First start of a window, with a time zone; None for no limit.
        until: Windows that start at this time or later are left out; with a time zone; None for no limit.
        site: Name of one site; None for all.

    Returns:
        One row a window, ordered by ``start``, ``site`` and ``device``. ``start`` and ``end`` are UTC datetimes,
        ``coverage`` is the fraction of the window that was watched, 0 to 1. One float64 column a label follows
        ``model_expression``: the visits counted under it, NaN if the device's model does not have this label.
        Rows and files that are damaged are left out and logged.

    Raises:
        FacetallyError: The folder does not exist, or a time is no datetime or has no time zone.
    """
    with_collector = _collector()
    for name, moment in (("since", since), ("until", until)):
        if moment is not None and not isinstance(moment, datetime):
            raise FacetallyError(f"{name}: must be a datetime with a time zone, is {moment!r}")
        if moment is not None and moment.tzinfo is None:
            raise FacetallyError(f"{name}: must have a time zone, is {moment.isoformat()}")
    with with_collector.local(str(store), since, until, () if site is None else (site,)) as folder:
        if not folder.is_dir():
            raise FacetallyError(f"store: must be a folder that facetally-collector writes, is {str(store)!r}")
        counts = with_collector.load(folder, since, until, site)
    counts.attrs[STORE] = str(store)
    return counts


def summarise(
    counts: pd.DataFrame,
    by: By = "day",
    *,
    zone: str | tzinfo = "UTC",
    since: datetime | None = None,
    until: datetime | None = None,
) -> pd.DataFrame:
    """Sum visits by hour, day, week, month, weekday, site or device, or all of them.

    Args:
        counts: A table of `load`.
        by: What one row of the result is.
        zone: Time zone in which hours and days begin, by name or as a `zoneinfo.ZoneInfo`.
        since: First time that the result covers; with ``until``. None for the range of the data.
        until: Last time that the result covers; with ``since``.

    Returns:
        One float64 column a label, then ``visits``, ``windows``, ``coverage``, ``degraded``, ``seconds`` and, if any
        visit is doubtful, its range. An hour in which nobody came has ``visits`` 0; an hour that nobody watched is a
        gap and has NaN.

    Raises:
        FacetallyError: ``by`` or ``zone`` is not known, or only one of ``since`` and ``until`` is given.
    """
    with_collector = _collector()
    if by not in PERIODS:
        raise FacetallyError(f"by: must be one of {', '.join(PERIODS)}, is {by!r}")
    if (since is None) != (until is None):
        raise FacetallyError("since, until: must be given together")
    span = None if since is None or until is None else (since, until)
    return with_collector.summarise(counts, by, _zone(zone), span)


def shares(counts: pd.DataFrame, *, store: str | PathLike[str] | None = None, seed: int = 0) -> pd.DataFrame:
    """Estimate the share of each expression, corrected for how the model confuses expressions.

    The correction uses the confusion matrix that each device publishes with its model; see
    `collector.analysis.correction` for the method and its sources.

    Args:
        counts: A table of `load`.
        store: Folder of the store, for the matrices; by default the folder that ``counts`` was loaded from.
        seed: Seed of the bootstrap; the same seed gives the same intervals.

    Returns:
        One row a label: ``visits`` counted, ``share`` as counted, ``corrected`` share, and ``low`` and ``high``, its
        90 % interval. Shares are 0 to 1. The corrected columns are NaN where no device published a matrix.

    Raises:
        FacetallyError: The store is not known.
    """
    with_collector = _collector()
    return with_collector.shares(counts, _matrices(store, counts), _rng(seed))


def compare(
    one: pd.DataFrame, other: pd.DataFrame, *, store: str | PathLike[str] | None = None, seed: int = 0
) -> pd.DataFrame:
    """Compare the corrected shares of two tables, such as two weeks or two sites.

    Args:
        one: A table of `load`.
        other: Another one.
        store: Folder of the store, for the matrices; by default the folder that ``one`` was loaded from.
        seed: Seed of the bootstrap.

    Returns:
        One row a label with the columns of `shares` for both tables, named ``..._one`` and ``..._other``, and
        ``change``: ``more`` or ``less`` in the other table, or ``no clear change`` where the intervals overlap or one
        of them is not known.

    Raises:
        FacetallyError: The store is not known.
    """
    with_collector = _collector()
    return with_collector.compare(one, other, _matrices(store, one, other), _rng(seed))


class _Collector:
    """The collector's functions, imported when they are first needed."""

    def __init__(self) -> None:
        from collector.analysis.correction import compare, shares  # noqa: PLC0415 - pandas is heavy
        from collector.analysis.summarise import summarise  # noqa: PLC0415
        from collector.scale.object_store import local_folder  # noqa: PLC0415
        from collector.store.load import load  # noqa: PLC0415

        self.local = local_folder
        self.load, self.summarise, self.shares, self.compare = load, summarise, shares, compare


def _collector() -> _Collector:
    try:
        return _Collector()
    except ModuleNotFoundError as error:
        raise FacetallyError(f"{error.name} is missing: pip install 'facetally[collector]'") from error


def _matrices(store: str | PathLike[str] | None, *tables: pd.DataFrame) -> Matrices:
    """The confusion matrices of the devices of a store."""
    from collector.analysis.correction import confusions  # noqa: PLC0415
    from collector.devices.registry import read_devices  # noqa: PLC0415
    from collector.scale.object_store import local_folder  # noqa: PLC0415

    known = [store, *(table.attrs.get(STORE) for table in tables)]
    folder = next((each for each in known if each is not None), None)
    if folder is None:
        raise FacetallyError("store: must be given, as the table does not come from facetally.load")
    with local_folder(str(folder), windows=False) as local:
        return confusions(read_devices(local))


def _zone(zone: str | tzinfo) -> ZoneInfo:
    if isinstance(zone, ZoneInfo):
        return zone
    try:
        return ZoneInfo(str(zone))
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise FacetallyError(f"zone: must be a time zone such as Europe/Berlin, is {str(zone)!r}") from error


def _rng(seed: int) -> np.random.Generator:
    import numpy as np  # noqa: PLC0415

    return np.random.default_rng(seed)
