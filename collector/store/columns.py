"""Define the columns of the store's tables, and find the label columns of a table by its layout.

| table | made by | columns |
|---|---|---|
| windows | a store file, `collector.store.load.load` | `FIXED_COLUMNS`, maybe `DOUBTFUL_COLUMNS`, labels |
| cells | `collector.rollups.cells.cells`, roll-ups | `CELL_COLUMNS`, `DOUBTFUL_COLUMNS`, labels |
| summary | `collector.analysis.summarise` | labels, ``visits``, further figures |

There is one label column per expression label of the bundles, and one for ``unknown``.
"""

from typing import TYPE_CHECKING

from contract.labels import UNKNOWN

if TYPE_CHECKING:
    import pandas as pd

FIXED_COLUMNS = (
    "schema",
    "site",
    "device",
    "boot",
    "seq",
    "start",
    "end",
    "clock",
    "coverage",
    "degraded",
    "merged",
    "privacy_k",
    "model_detector",
    "model_expression",
)
"""First columns of every table of windows, in the order of the counts message."""

DOUBTFUL_COLUMNS = ("doubtful_low", "doubtful_high")
"""Optional columns of whole numbers from version 2 of the counts message. Without them, no visit is doubtful."""

KEY_COLUMNS = ("site", "device", "boot", "seq")
"""The key of a window. Two rows with the same key are the same window."""

INTEGER_COLUMNS = ("schema", "seq", "merged", "privacy_k")
TIME_COLUMNS = ("start", "end")
TEXT_COLUMNS = ("site", "device", "boot", "clock", "degraded", "model_detector", "model_expression")

SENDER_COLUMNS = ("site", "device", "model_expression", "clock")
"""Columns of a cell that come unchanged from its windows."""

CELL_COLUMNS = (*SENDER_COLUMNS, "begin", "start", "end", "windows", "seconds", "coverage", "degraded")
"""First columns of every table of cells; `collector.rollups.cells.cells` describes them."""

UNSET = "unsynced"
"""Value of ``clock`` of windows whose time is not known."""

VISITS = "visits"
"""First column after the labels of a summary."""

RESERVED_NAMES = frozenset((*FIXED_COLUMNS, *DOUBTFUL_COLUMNS, *CELL_COLUMNS, VISITS, "date", "hour", "day", "weekday"))
"""Names that no label may have: a column is either a label or something else."""

_NOT_IN_SUMMARIES = frozenset(("clock", "model_expression"))
"""Columns of both windows and cells that no summary has."""


def label_columns(frame: "pd.DataFrame") -> list[str]:
    """Return the label columns of a table of windows or cells or of a summary: in order, with ``unknown`` last.

    Labels follow the fixed columns of windows and cells, and precede ``visits`` in a summary. Some of these columns may
    be missing, for example because one is the index. A table without any of them has labels only.
    """
    names = [str(name) for name in frame.columns]
    if not _NOT_IN_SUMMARIES.isdisjoint(names):
        last = max(at for at, name in enumerate(names) if name in FIXED_COLUMNS or name in CELL_COLUMNS)
        names = names[last + 1 :]
    elif VISITS in names:
        names = names[: names.index(VISITS)]
    labels = [name for name in names if name not in RESERVED_NAMES]
    return [name for name in labels if name != UNKNOWN] + [UNKNOWN] * (UNKNOWN in labels)
