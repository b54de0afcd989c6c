"""Keep the corrected shares of each site by day, week and month: the values of ``summary --corrected --by day,site``.

The counts of a period are summed in PostgreSQL, and corrected by `collector.analysis.correction`. Hours whose shares
must be computed again are in the table ``stale_hours``: an inserted window adds its hours, and so do a new confusion
matrix and a new time zone.
"""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from collector.analysis.bootstrap import fixed_rng
from collector.analysis.confusion import CLASSIFIER_KEY, Matrices
from collector.analysis.correction import SHARE_COLUMNS, shares_by
from collector.postgresql.connection import Connection
from collector.postgresql.periods import Period, periods_of
from collector.store.load import labels

HOURS_AT_ONCE = 1000
"""Stale hours of which the shares are computed in one transaction, about."""
SUM_HOURS = """
SELECT site, device, model_expression, label_set, label, sum(visits) FROM hour_visits
WHERE site = ANY(%s) AND hour >= %s AND hour < %s GROUP BY 1, 2, 3, 4, 5
"""
SUM_WINDOWS = """
SELECT site, device, model_expression, label_set, label, sum(v.visits *
    extract(epoch FROM least(end_time, %(until)s) - greatest(start_time, %(since)s))::float8
    / extract(epoch FROM end_time - start_time)::float8)
FROM windows JOIN window_visits v USING (site, device, boot, seq)
WHERE site = ANY(%(sites)s) AND start_time < %(until)s AND end_time > %(since)s
AND start_time > %(since)s - interval '400 days' AND clock <> 'unsynced'
GROUP BY 1, 2, 3, 4, 5
"""
CLASSIFIERS = """
SELECT DISTINCT site, device, model_expression, label_set FROM hours
WHERE site = ANY(%s) AND hour > %s - interval '1 hour' AND hour < %s
"""


def mark_changes(connection: Connection, zone: ZoneInfo, matrices: Matrices) -> None:
    """Mark the hours whose shares depend on a confusion matrix or time zone that has changed."""
    with connection.transaction():
        known: dict[str, str] = dict(connection.execute("SELECT name, value FROM state").fetchall())
        if known.get("zone") != zone.key:
            connection.execute("DELETE FROM shares")
            connection.execute("INSERT INTO stale_hours SELECT DISTINCT site, hour FROM hours ON CONFLICT DO NOTHING")
            _remember(connection, "zone", zone.key)
        for site, digest in _digests(matrices).items():
            if known.get(f"matrices:{site}") != digest:
                connection.execute(
                    "INSERT INTO stale_hours SELECT DISTINCT site, hour FROM hours WHERE site = %s"
                    " ON CONFLICT DO NOTHING",
                    [site],
                )
                _remember(connection, f"matrices:{site}", digest)
        for name in known:  # once a lost matrix returns, it counts as new
            if name.startswith("matrices:") and name.removeprefix("matrices:") not in _digests(matrices):
                connection.execute("DELETE FROM state WHERE name = %s", [name])


def update_shares(connection: Connection, zone: ZoneInfo, matrices: Matrices, is_stopped: Callable[[], bool]) -> int:
    """Compute the shares of all stale hours again; return the number of periods of sites that were computed."""
    order = _label_order(connection)
    done = 0
    while not is_stopped():
        with connection.transaction():
            stale = connection.execute(
                "WITH oldest AS (SELECT hour FROM stale_hours ORDER BY hour LIMIT %s)"
                " DELETE FROM stale_hours WHERE hour <= (SELECT max(hour) FROM oldest) RETURNING site, hour",
                [HOURS_AT_ONCE],
            ).fetchall()
            if not stale:
                return done
            for period, sites in _periods(stale, zone).items():
                _replace_shares(connection, period, sorted(sites), zone, matrices, order)
                done += len(sites)
    return done


def _periods(stale: Iterable[tuple[str, datetime]], zone: ZoneInfo) -> dict[Period, set[str]]:
    """Return the sites of each period that has a stale hour."""
    by_hour: dict[datetime, set[str]] = defaultdict(set)
    for site, hour in stale:
        by_hour[hour].add(site)
    found: dict[Period, set[str]] = defaultdict(set)
    for hour, sites in by_hour.items():
        for period in periods_of(hour, zone):
            found[period] |= sites
    return found


def _replace_shares(
    connection: Connection,
    period: Period,
    sites: list[str],
    zone: ZoneInfo,
    matrices: Matrices,
    order: dict[str, list[str]],
) -> None:
    """Compute the shares of some sites in a period; sites without windows in PostgreSQL keep what they have."""
    since, until = period.span(zone)
    senders = connection.execute(CLASSIFIERS, [sites, since, until]).fetchall()
    if period.has_whole_hours(zone):
        sums = connection.execute(SUM_HOURS, [sites, since, until]).fetchall()
    else:
        sums = connection.execute(SUM_WINDOWS, {"sites": sites, "since": since, "until": until}).fetchall()
    counted = sorted({row[0] for row in sums})
    connection.execute(
        "DELETE FROM shares WHERE period = %s AND start_date = %s AND site = ANY(%s)",
        [period.kind, period.first, counted],
    )
    rows = []
    for label_set, names in order.items():
        own = [row[:3] for row in senders if row[3] == label_set]
        if own:
            frame = _counts(own, [row for row in sums if row[3] == label_set], names)
            shares = shares_by(frame, _by_site, matrices, fixed_rng())
            rows += [
                (period.kind, period.first, site, label_set, label, *_nulls(values))
                for (site, label), values in zip(shares.index, shares[list(SHARE_COLUMNS)].to_numpy(), strict=True)
                if site in counted
            ]
    with connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO shares (period, start_date, site, label_set, label, visits, share, corrected, low, high)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
            rows,
        )


def _counts(senders: list[tuple[Any, ...]], sums: list[tuple[Any, ...]], names: list[str]) -> pd.DataFrame:
    """Return a table with one row per device and classifier, and one float64 column per label, 0 where none counted."""
    row = {sender: at for at, sender in enumerate(sorted(senders))}
    column = {name: at for at, name in enumerate(names)}
    counts = np.zeros((len(row), len(names)))
    for site, device, model, _, label, visits in sums:
        counts[row[site, device, model], column[label]] = visits
    index = pd.MultiIndex.from_tuples(list(row), names=CLASSIFIER_KEY)
    return pd.DataFrame(counts, index=index, columns=names).reset_index()


def _by_site(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the sum of each label by site."""
    return frame.groupby("site")[labels(frame)].sum()


def _nulls(values: "np.ndarray[tuple[int], np.dtype[np.float64]]") -> list[float | None]:
    return [None if np.isnan(value) else float(value) for value in values]


def _label_order(connection: Connection) -> dict[str, list[str]]:
    """Return the labels of each label set, in order."""
    order: dict[str, list[str]] = defaultdict(list)
    for label_set, label in connection.execute("SELECT label_set, label FROM labels ORDER BY label_set, position"):
        order[label_set].append(label)
    return order


def _remember(connection: Connection, name: str, value: str) -> None:
    connection.execute(
        "INSERT INTO state VALUES (%s, %s) ON CONFLICT (name) DO UPDATE SET value = excluded.value", [name, value]
    )


def _digests(matrices: Matrices) -> dict[str, str]:
    """Return a hash of the confusion matrices of each site."""
    hashes = {key[0]: hashlib.sha256() for key in matrices}
    for key in sorted(matrices):
        matrix = matrices[key]
        hashes[key[0]].update(f"{key} {matrix.of} {matrix.labels} ".encode() + matrix.counts.tobytes())
    return {site: each.hexdigest() for site, each in hashes.items()}
