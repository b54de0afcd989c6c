"""Summaries with one row per label, also with corrected shares."""

import numpy as np
import pandas as pd

from collector.analysis.bootstrap import fixed_rng
from collector.analysis.confusion import Matrices
from collector.analysis.correction import SHARE_COLUMNS, Tabulate, shares_by
from collector.analysis.summarise import BUCKET_FIGURES, label_columns
from collector.store.workers import Workers

LABEL = "label"


def per_label(table: pd.DataFrame) -> pd.DataFrame:
    """Return one row per bucket and label of a summary: ``visits`` of the label, and the figures of the bucket."""
    names = label_columns(table)
    bucket = np.repeat(np.arange(len(table)), len(names))
    figures = table[list(BUCKET_FIGURES)].iloc[bucket]
    levels = [table.index.get_level_values(at)[bucket] for at in range(table.index.nlevels)]
    label = pd.Index(names * len(table), dtype=object)
    figures.index = pd.MultiIndex.from_arrays([*levels, label], names=[*table.index.names, LABEL])
    figures.insert(0, "visits", table[names].to_numpy(np.float64).reshape(-1))
    return figures


def with_shares(
    table: pd.DataFrame,
    frame: pd.DataFrame,
    tabulate: Tabulate,
    matrices: Matrices,
    workers: Workers | None = None,
) -> pd.DataFrame:
    """Insert shares into a table of `per_label`; ``tabulate`` gives the summary of ``frame`` that it was made from.

    Columns: ``share`` as counted, ``corrected``, ``low`` and ``high``; NaN for ``unknown``, which is no true label.
    """
    found = shares_by(frame, tabulate, matrices, fixed_rng(), workers).reindex(table.index)
    for at, name in enumerate(SHARE_COLUMNS[1:], 1):
        table.insert(at, name, found[name].to_numpy(np.float64))
    return table
