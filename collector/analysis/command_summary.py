"""The table of ``facetally-collector summary``: the same words as those of the HTTP API."""

from collections.abc import Sequence
from pathlib import Path
from zoneinfo import ZoneInfo

import pandas as pd

from base.errors import SettingsError
from collector.analysis.breakdown import Dimension, break_down, check_dimensions
from collector.analysis.by_label import LABEL, per_label, with_shares
from collector.analysis.correction import confusions
from collector.analysis.intervals import Span
from collector.analysis.label_sets import label_sets
from collector.devices.registry import read_devices
from collector.store.workers import Workers

NAMES: tuple[Dimension, ...] = ("total", "hour", "day", "week", "month", "weekday", "site", "device")


def summary_table(
    frame: pd.DataFrame,
    by: Sequence[str],
    zone: ZoneInfo,
    span: Span | None,
    *,
    corrected_by: Path | None,
    workers: Workers | None = None,
) -> pd.DataFrame:
    """Return one row per combination of the names in ``by``, with corrected shares if the store is given.

    ``workers`` draw the intervals of the shares; by default this process does.
    Raises SettingsError for names that cannot be combined, and for corrected shares of several label sets.
    """
    wrong = [name for name in by if name not in (*NAMES, LABEL)]
    if wrong:
        raise SettingsError(f"--by: must be of {', '.join((*NAMES, LABEL))}, is {','.join(wrong)}")
    dimensions = [name for name in NAMES if name in by]
    dimensions.sort(key=list(by).index)
    if not dimensions:
        dimensions = ["total"]
    try:
        check_dimensions(dimensions)
    except ValueError as error:
        raise SettingsError(f"--{error}") from error
    table = break_down(frame, dimensions, zone, span)
    if LABEL not in by and corrected_by is None:
        return table
    table = per_label(table)
    if corrected_by is None:
        return table
    sets = label_sets(frame)
    if len(sets) > 1:
        names = "; ".join(str(each) for each in sets)
        raise SettingsError(f"--corrected: the range has {len(sets)} label sets, which have no common total: {names}")
    matrices = confusions(read_devices(corrected_by))
    return with_shares(table, frame, lambda part: break_down(part, dimensions, zone, span), matrices, workers)
