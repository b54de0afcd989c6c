"""Missing sequence numbers, and devices that share one name.

Each boot of a device numbers its messages from 0. A number that is missing although a later one is stored was lost or
is still on its way: after an outage, devices send new windows before the backlog.
"""

import pandas as pd

from collector.analysis.intervals import with_known_time

ALTERNATIONS = 3
"""Changes of boot beyond those of restarts that prove two devices. A restart changes the boot once; one window out of
order (held back, or restamped later) adds two changes."""


def gaps_in_seq(frame: pd.DataFrame) -> pd.DataFrame:
    """Return one row per boot of a device that lacks sequence numbers, from a table of `collector.store.load.load`.

    Columns: ``site``, ``device``, ``boot``; ``first`` and ``last`` are the lowest and highest number stored,
    ``missing`` is how many between them are not stored, ``runs`` in how many runs, ``since`` and ``until`` the starts
    of the first and last window. Numbers below ``first`` may lie before the table's range and are not counted.
    """
    names = ["site", "device", "boot"]
    ordered = frame.sort_values([*names, "seq"])
    step = ordered.groupby(names, sort=False)["seq"].diff().fillna(1) - 1
    ordered = ordered.assign(missing=step, runs=step > 0)
    table = ordered.groupby(names, as_index=False).agg(
        first=("seq", "min"),
        last=("seq", "max"),
        missing=("missing", "sum"),
        runs=("runs", "sum"),
        since=("start", "min"),
        until=("start", "max"),
    )
    lacking = table[table["missing"] > 0].astype({"missing": "int64", "runs": "int64"})
    return lacking.reset_index(drop=True)


def clones(frame: pd.DataFrame) -> pd.DataFrame:
    """Return one row per device name that two devices seem to use, from a table of `collector.store.load.load`.

    A copied memory card gives two devices one name. Their boots alternate in time; the boots of one device follow each
    other. Columns: ``site``, ``device``, ``boots``; ``changes`` counts changes of boot in order of ``start``, ``since``
    and ``until`` are the first and last of them. Windows of a clock that was never synchronised are left out.
    """
    names = ["site", "device"]
    ordered = with_known_time(frame).sort_values([*names, "start", "boot"])
    previous = ordered.groupby(names, sort=False)["boot"].shift()
    changed = ordered[previous.notna() & (previous != ordered["boot"])]
    boots = ordered.groupby(names)["boot"].nunique().rename("boots").reset_index()
    changes = changed.groupby(names, as_index=False).agg(
        changes=("seq", "size"), since=("start", "min"), until=("start", "max")
    )
    table = boots.merge(changes, on=names)
    return table[table["changes"] >= table["boots"] - 1 + ALTERNATIONS].reset_index(drop=True)
