"""The receipt of a figure: from which windows, devices and models it comes, and what may be missing."""

from collections.abc import Iterable, Set
from dataclasses import dataclass
from datetime import timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from collector.analysis.breakdown import break_down
from collector.analysis.confusion import Matrices, classifier_groups
from collector.analysis.fleet_period import FleetPeriod
from collector.analysis.headline import Period
from collector.analysis.intervals import visits_without_time, with_known_time
from collector.analysis.summarise import by_total
from collector.devices.device import Device
from collector.store.columns import DOUBTFUL_COLUMNS
from collector.store.load import labels

LONGEST_READ = timedelta(days=31)
"""Rows of longer periods are not read for a receipt: joined windows are then not listed."""
HOUR_S = 3600


@dataclass(frozen=True, slots=True)
class Classifier:
    """What one classifier has counted."""

    name: str
    """``name@0123456789ab``."""
    visits: float
    matrix: str | None
    """What its confusion matrix was measured on: ``visits`` or ``faces``; None if no device reports one."""
    measured: int
    """How many visits or faces the matrix was measured on."""


@dataclass(frozen=True, slots=True)
class Joined:
    """Windows that were joined under the privacy rule, of the rows that were read."""

    rows: int
    joined_rows: int
    """Rows that stand for more than one window."""
    longest: timedelta
    k: tuple[int, ...]
    """Values of the privacy rule, ``k``."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """Derivation of the figures of a period."""

    visits: float
    doubtful: tuple[float, float]
    """Visits that may be none, and that may be two."""
    without_time: float
    """Visits of devices whose clock was never set: in the totals, in no chart over time."""
    windows: int
    devices: int
    coverage: float
    gap_hours: float | None
    """Hours without a window, over all devices that have any; None where they were not counted."""
    device_hours: float
    """Length of the period times the number of devices."""
    joined: Joined | None
    """None for a period whose rows were not read."""
    classifiers: tuple[Classifier, ...]
    versions: tuple[str, ...]
    """Versions of the daemon that the devices report now."""


def receipt(
    period: Period, windows: pd.DataFrame | None, matrices: Matrices, devices: Iterable[Device], zone: ZoneInfo
) -> Receipt:
    """Return the derivation of the figures of the cells of a period; ``windows`` are its rows, if they were read."""
    frame = period.frame
    senders = set(frame[["site", "device"]].drop_duplicates().itertuples(index=False, name=None))
    joined = None if windows is None else _joined(windows)
    return _receipt(period, matrices, senders, devices, (_gap_hours(period, zone), joined))


def fleet_receipt(period: FleetPeriod, devices: Iterable[Device]) -> Receipt:
    """Return the derivation of the figures of all sites, in which gaps and joined windows are not counted."""
    return _receipt(Period(period.frame, period.span), period.matrices, period.senders(), devices, (None, None))


def _receipt(
    period: Period,
    matrices: Matrices,
    senders: Set[tuple[str, str]],
    devices: Iterable[Device],
    counted: tuple[float | None, Joined | None],
) -> Receipt:
    """Return a receipt of windows of these devices; ``counted`` are gap hours and joined windows."""
    frame, number = period.frame, len(senders)
    total = by_total(frame, period.span, number).iloc[0]
    own = [device for device in devices if (device.site, device.device) in senders]
    versions = {str(device.health.versions.get("facetally", "")) for device in own if device.health}
    return Receipt(
        visits=float(np.nan_to_num(total["visits"])),
        doubtful=(float(np.nan_to_num(total[DOUBTFUL_COLUMNS[0]])), float(np.nan_to_num(total[DOUBTFUL_COLUMNS[1]]))),
        without_time=visits_without_time(frame),
        windows=int(total["windows"]),
        devices=number,
        coverage=float(total["coverage"]),
        gap_hours=counted[0],
        device_hours=number * float(total["seconds"]) / HOUR_S,
        joined=counted[1],
        classifiers=_classifiers(frame, matrices),
        versions=tuple(sorted(versions - {""})),
    )


def _gap_hours(period: Period, zone: ZoneInfo) -> float:
    """Return the hours of the span without a window, summed over the devices."""
    frame = with_known_time(period.frame)
    if frame.empty:
        return 0.0
    table = break_down(frame, ["device", "hour"], zone, period.span)
    starts = table.index.get_level_values("hour")
    empty = (table["windows"] == 0) & (starts < period.span[1])
    return float(table.loc[empty, "seconds"].sum() / HOUR_S)


def _joined(windows: pd.DataFrame) -> Joined:
    joined = windows[windows["merged"] > 1]
    longest = (joined["end"] - joined["start"]).max() if len(joined) else timedelta(0)
    return Joined(
        len(windows), len(joined), pd.Timedelta(longest).to_pytimedelta(), tuple(sorted(set(windows["privacy_k"])))
    )


def _classifiers(frame: pd.DataFrame, matrices: Matrices) -> tuple[Classifier, ...]:
    """Return the classifiers of a table, the one with the most visits first."""
    found = []
    for group in classifier_groups(frame, matrices):
        matrix = group.matrix
        visits = float(np.nansum(group.frame[labels(group.frame)].to_numpy(np.float64)))
        of, measured = (None, 0) if matrix is None else (matrix.of, int(matrix.counts.sum()))
        found.append(Classifier(group.key[0], visits, of, measured))
    return tuple(sorted(found, key=lambda each: (-each.visits, each.name)))
