"""Windows -> what their numbers say of each device: windows that have not come, and two units with one name."""

import pandas as pd

UNIT = ["site", "device"]


def sequences(frame: pd.DataFrame) -> pd.DataFrame:
    """A table of `collector.load.load` -> one row a site and device, in alphabetical order.

    ``missing``: numbers between the first and the last of each boot that no window has; they may still come.
    ``clones``: windows of two boots alternate, so two units have the name: after a restart a boot never comes again.
    """
    boots = frame.groupby([*UNIT, "boot"])["seq"].agg(["min", "max", "nunique"])
    missing = (boots["max"] - boots["min"] + 1 - boots["nunique"]).groupby(UNIT).sum()
    ordered = frame.sort_values([*UNIT, "start", "seq"])
    begins = (ordered[[*UNIT, "boot"]] != ordered[[*UNIT, "boot"]].shift()).any(axis=1)
    runs = begins.groupby([ordered[name] for name in UNIT]).sum()
    return pd.DataFrame({"missing": missing, "clones": runs > boots.groupby(UNIT).size()})
