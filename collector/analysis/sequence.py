"""Windows -> numbers that are missing, and devices that are two.

Each start of a device's program (``boot``) numbers its messages from 0 on. A number that is not there while a later one
is, was lost, or is still on its way: devices send new windows before the backlog of an outage.
"""

import pandas as pd

ALTERNATIONS = 3
"""A restart changes the boot once; one window out of turn, held back or put right later, adds two changes."""


def gaps_in_seq(frame: pd.DataFrame) -> pd.DataFrame:
    """A table of `collector.store.load.load` -> one row for each start of a device that lacks numbers.

    Columns: ``site``, ``device``, ``boot``; ``first`` and ``last`` number seen, ``missing`` how many between them are
    not there, ``runs`` in how many pieces, ``since`` and ``until`` the start of the windows seen first and last. What
    lies before ``first`` may be outside the table's range, and is not counted.
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
    """A table of `collector.store.load.load` -> one row for each device that seems to be two of one name.

    A card that was copied gives two units one name: their boots alternate in time, while those of one unit follow each
    other. Columns: ``site``, ``device``, ``boots``, ``changes`` from one boot to another in the order of ``start``,
    ``since`` and ``until`` the first and last such change. Windows whose clock was never set are left out.
    """
    names = ["site", "device"]
    timed = frame[frame["clock"] != "unsynced"].sort_values([*names, "start", "boot"])
    before = timed.groupby(names, sort=False)["boot"].shift()
    changed = timed[before.notna() & (before != timed["boot"])]
    boots = timed.groupby(names)["boot"].nunique().rename("boots").reset_index()
    changes = changed.groupby(names, as_index=False).agg(
        changes=("seq", "size"), since=("start", "min"), until=("start", "max")
    )
    table = boots.merge(changes, on=names)
    return table[table["changes"] >= table["boots"] - 1 + ALTERNATIONS].reset_index(drop=True)
