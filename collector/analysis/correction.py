"""Correct expression shares for the confusions of the model, with 90 % intervals.

A model that takes a third of the sad faces for neutral makes a sad shop look neutral. Its confusion matrix was
measured, so the shares of the true labels can be estimated from the shares of the predictions: Saerens, Latinne and
Decaestecker 2002, "Adjusting the outputs of a classifier to new a priori probabilities". On counts alone this is the
adjusted count of Forman 2008, "Quantifying counts and costs via classification", kept within 0 and 1. The estimate
assumes prior shift: visitors of one expression look like the faces of that expression on which the matrix was measured.

The interval is a Bayesian bootstrap (Rubin 1981) over both uncertain quantities, the predictions and the rows of the
matrix. It describes the mix of visitors who come to the shop, of which the counted visits are a sample; an interval of
the counted visits alone would be narrower. ``unknown`` is not a true label. A visit that was not classified is taken to
be as likely for each label as the matrix says, up to a factor that all labels share. A camera that sees everyone badly
therefore biases nothing.

The draws of a bucket depend on its counts, the matrix and the seed alone. The same visits therefore have the same
interval in every table, whatever else the table holds.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from collector.analysis.bootstrap import Floats, draw_matrices, draw_mixes
from collector.analysis.confusion import (
    ClassifierGroup,
    Confusion,
    DeviceClassifier,
    Matrices,
    classifier_groups,
    conflicts,
    confusions,
)
from collector.analysis.intervals import Span, Step
from collector.analysis.summarise import by_time
from collector.store.load import labels
from collector.store.workers import ThisProcess, Workers
from contract.labels import UNKNOWN

__all__ = [
    "Confusion", "DeviceClassifier", "Matrices", "compare", "conflicts", "confusions", "left_out", "shares",
    "shares_by", "shares_over",
]  # fmt: skip

DRAWS = 300
"""Bootstrap draws per interval."""
QUANTILES = (0.05, 0.95)
HALF_A_VISIT = 0.5
"""An interval whose lower end is below half a visit begins at 0."""
CLEAR_Z = 2.576
"""A change is clear where it exceeds so many standard errors: at random, one figure in a hundred does."""
SHARE_COLUMNS = ("visits", "share", "corrected", "low", "high")
"""Columns of the tables of `shares`."""
BUCKETS_AT_ONCE = 64
"""Buckets of one block, whose draws are in memory together. Without draws one block has all buckets."""
SITE_NUMBER = "site number"
"""Column of the number of the site; no label has a space."""
COUNT_DIGITS = 6
"""Counts are rounded to so many digits before they seed the draws: sums differ in the last bits."""

Tabulate = Callable[[pd.DataFrame], pd.DataFrame]
"""A function of `collector.analysis.summarise`: windows or cells in, one row per bucket out."""


def shares(frame: pd.DataFrame, matrices: Matrices, rng: np.random.Generator, draws: int = DRAWS) -> pd.DataFrame:
    """Return one row per label, ``unknown`` left out, over all rows of a table of windows or cells.

    Columns: ``visits`` as counted; ``share``, their share of all classified visits; ``corrected``, ``low`` and
    ``high``, the corrected share and its 90 % interval, among the visits of bundles that have the label. The last three
    are NaN where no bundle with that label has a known matrix. Shares are 0 to 1.
    """
    groups = classifier_groups(frame, matrices)
    counts = [group.frame[group.labels()].sum().to_frame().T for group in groups]
    buckets = _buckets(groups, counts, rng, draws)
    return _table(buckets, ThisProcess()).set_axis(pd.Index(buckets.names, name="label"))


def shares_by(
    frame: pd.DataFrame,
    tabulate: Tabulate,
    matrices: Matrices,
    rng: np.random.Generator,
    workers: Workers | None = None,
) -> pd.DataFrame:
    """Return `shares` of each row of a summary, indexed as the summary is, and by label.

    Shares are NaN in buckets without a visit, and for labels that no bundle counted in the bucket has. A table without
    windows has no labels, and so no rows. ``workers`` draw the intervals; by default this process does.
    """
    groups = classifier_groups(frame, matrices)
    tables = [tabulate(group.frame) for group in groups]
    index = tables[0].index if len(groups) == 1 else tabulate(frame).index
    names = [*index.names, "label"]
    if not groups:
        levels = [index[:0].get_level_values(at) for at in range(index.nlevels)]
        no_rows = pd.MultiIndex.from_arrays([*levels, pd.Index([], dtype=object)], names=names)
        return pd.DataFrame(columns=list(SHARE_COLUMNS), index=no_rows, dtype=np.float64)
    counts = [table.reindex(index)[group.labels()].fillna(0.0) for group, table in zip(groups, tables, strict=True)]
    buckets = _buckets(groups, counts, rng, DRAWS)
    levels = [index.get_level_values(at).repeat(len(buckets.names)) for at in range(index.nlevels)]
    label = pd.Index(buckets.names * len(index))
    return _table(buckets, workers or ThisProcess()).set_axis(pd.MultiIndex.from_arrays([*levels, label], names=names))


def shares_over(
    frame: pd.DataFrame,
    step: Step,
    zone: ZoneInfo,
    span: Span,
    matrices: Matrices,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """Return `shares_by` of each bucket of `collector.analysis.summarise.by_time`, indexed by start and label."""
    return shares_by(frame, lambda part: by_time(part, step, zone, span), matrices, rng)


def compare(one: pd.DataFrame, other: pd.DataFrame, matrices: Matrices, rng: np.random.Generator) -> pd.DataFrame:
    """Compare two tables of windows or cells, of two periods or two sites: one row per label.

    Columns of `shares` with ``_one`` and ``_other``; ``difference`` of the corrected shares, other minus one, and its
    standard error ``error``; then ``change``: ``more`` or ``less`` in the other, or ``no clear change`` where the
    difference is below `CLEAR_Z` standard errors or unknown. Both sides share the drawn matrices, so that the
    uncertainty of a matrix that corrects both cancels where it should.
    """
    sides = [{group.key: group for group in classifier_groups(frame, matrices)} for frame in (one, other)]
    keys = sorted({*sides[0], *sides[1]})
    groups = [sides[0].get(key) or sides[1][key] for key in keys]
    counts = []
    for key in keys:
        sums = [side[key].frame[side[key].labels()].sum() if key in side else pd.Series(dtype=float) for side in sides]
        counts.append(pd.DataFrame(sums).fillna(0.0).reset_index(drop=True))
    buckets = _buckets(groups, counts, rng, DRAWS)
    found, index = _table(buckets, ThisProcess()), pd.Index(buckets.names, name="label")
    halves = (found[: len(index)].set_axis(index), found[len(index) :].set_axis(index))
    table: pd.DataFrame = pd.concat([halves[0].add_suffix("_one"), halves[1].add_suffix("_other")], axis=1)
    table["difference"] = table["corrected_other"] - table["corrected_one"]
    drawn = _mixes(buckets.block(slice(0, 2)))[1:]
    table["error"] = np.diff(drawn, axis=1).sum(1).std(0)  # of one difference, or of none without a group
    more = table["difference"] > CLEAR_Z * table["error"]
    less = table["difference"] < -CLEAR_Z * table["error"]
    table["change"] = np.select([more, less], ["more", "less"], "no clear change")
    return table


@dataclass(frozen=True, slots=True)
class LabelShares:
    """Corrected shares of one label in two periods, as `compare` has them, of several sites: one value each."""

    one: Floats
    other: Floats
    low: Floats
    """Of the other period; NaN without draws, as ``high`` and ``error``."""
    high: Floats
    error: Floats
    """Standard error of the difference."""


def label_shares(
    sides: tuple[pd.DataFrame, pd.DataFrame],
    sites: Sequence[str],
    label: str | None,
    matrices: Matrices,
    rng: np.random.Generator,
    draws: int = DRAWS,
) -> LabelShares:
    """Return the shares of a label at some sites, without intervals if ``draws`` is 0.

    ``sides`` have one label set: sums of the sites by group of devices, as cells. The matrices are those of the groups.
    """
    found = [{group.key: group for group in classifier_groups(_of_sites(each, sites), matrices)} for each in sides]
    keys = sorted({*found[0], *found[1]})
    groups = [found[0].get(key) or found[1][key] for key in keys]
    counts = []
    for group in groups:
        names = group.labels()
        table = np.zeros((2 * len(sites), len(names)))
        for side, members in enumerate(found):
            if group.key in members:
                rows = members[group.key].frame
                sums = rows[names].fillna(0.0).to_numpy(np.float64)
                np.add.at(table, 2 * rows[SITE_NUMBER].to_numpy(np.int64) + side, sums)
        counts.append(pd.DataFrame(table, columns=names))
    buckets = _buckets(groups, counts, rng, draws)
    unknown = np.full(len(sites), np.nan)
    if label not in buckets.names:
        return LabelShares(unknown, unknown, unknown, unknown, unknown)
    at = buckets.names.index(label)
    mixes = np.concatenate([_mixes(block)[:, :, at] for block in buckets.blocks()], axis=1)
    if not draws:
        return LabelShares(mixes[0, ::2], mixes[0, 1::2], unknown, unknown, unknown)
    possible = np.concatenate([block.possible[1::2, at] for block in buckets.blocks()])
    low, high = np.quantile(mixes[1:, 1::2], QUANTILES, axis=0)
    low = np.where(low * possible < HALF_A_VISIT, 0.0, low)
    return LabelShares(mixes[0, ::2], mixes[0, 1::2], low, high, (mixes[1:, 1::2] - mixes[1:, ::2]).std(0))


def _of_sites(sums: pd.DataFrame, sites: Sequence[str]) -> pd.DataFrame:
    """Return the sums of some sites, with the number of the site in front and no site: their matrices have none."""
    number = sums["site"].map({site: at for at, site in enumerate(sites)})
    frame = sums[number.notna()].assign(site="")
    frame.insert(0, SITE_NUMBER, number[number.notna()].astype(np.int64))
    return frame


def left_out(frame: pd.DataFrame, matrices: Matrices) -> float:
    """Return the number of visits that no corrected share covers: their device reports no matrix of the classifier."""
    uncorrected = [group.frame for group in classifier_groups(frame, matrices) if group.matrix is None]
    return float(sum(np.nansum(part[labels(part)].to_numpy(np.float64)) for part in uncorrected))


@dataclass(frozen=True, slots=True)
class _Correctable:
    """Counts of one group, and the matrices drawn for it."""

    columns: list[int]
    """Position of each label of the group among all labels."""
    counts: Floats
    """Visits by prediction, (buckets, labels of the group)."""
    visits: Floats
    """All visits, unknown ones too, (buckets,); 0 where none was classified."""
    matrices: Floats
    """See `collector.analysis.bootstrap.draw_matrices`."""
    seed: list[int]
    """Seed of the draws of the group; `_rng_of` adds the counts of the bucket."""


@dataclass(frozen=True, slots=True)
class _Block:
    """Some buckets, which are corrected together."""

    parts: list[_Correctable]
    possible: Floats
    """Visits whose bundle has the label and a matrix, (buckets, labels)."""
    draws: int


@dataclass(frozen=True, slots=True)
class _Buckets:
    """Counts of all labels in some buckets."""

    names: list[str]
    visits: Floats
    """(buckets, labels)."""
    share: Floats
    """As counted, (buckets, labels), NaN where no bundle of the bucket has the label."""
    parts: list[_Correctable]
    draws: int

    def blocks(self) -> "list[_Block]":
        """Return what corrects all buckets, in order. A block has an even number of buckets, unless it is the last."""
        number = len(self.visits)
        size = BUCKETS_AT_ONCE if self.draws else max(number, 1)
        return [self.block(slice(at, min(at + size, number))) for at in range(0, number, size)]

    def block(self, buckets: slice) -> _Block:
        """Return what corrects some of the buckets."""
        parts = [replace(part, counts=part.counts[buckets], visits=part.visits[buckets]) for part in self.parts]
        possible = np.zeros(self.visits[buckets].shape)
        for part in parts:
            possible[:, part.columns] += part.visits[:, None]
        return _Block([part for part in parts if part.visits.any()], possible, self.draws)


def _table(buckets: _Buckets, workers: Workers) -> pd.DataFrame:
    """Return the columns of `shares`, one row per bucket and label in their order."""
    found = [np.zeros((3, 0, len(buckets.names))), *workers.map(_intervals, buckets.blocks())]
    columns = (buckets.visits, buckets.share, *np.concatenate(found, axis=1))
    return pd.DataFrame({name: each.reshape(-1) for name, each in zip(SHARE_COLUMNS, columns, strict=True)})


def _intervals(block: _Block) -> Floats:
    """Return the corrected shares of a block, and both ends of their intervals: (3, buckets, labels)."""
    mixes = _mixes(block)
    low, high = np.quantile(mixes[1:], QUANTILES, axis=0)
    return np.stack([mixes[0], np.where(low * block.possible < HALF_A_VISIT, 0.0, low), high])


def _buckets(
    groups: Sequence[ClassifierGroup], counts: Sequence[pd.DataFrame], rng: np.random.Generator, draws: int
) -> _Buckets:
    """Gather what corrects some buckets. ``counts`` has the visits of each group, one row per bucket."""
    names = list(dict.fromkeys(name for table in counts for name in table.columns if name != UNKNOWN))
    size = max((len(table) for table in counts), default=1)
    visits, has_label = np.zeros((size, len(names))), np.zeros((size, len(names)), bool)
    for table in counts:
        visits += table.reindex(columns=names, fill_value=0.0).to_numpy(np.float64)
        has_label |= np.outer(table.to_numpy(np.float64).sum(1) > 0, [name in table.columns for name in names])
    seed = int(rng.integers(2**63))
    parts = [
        _correctable(group, table, names, seed, draws)
        for group, table in zip(groups, counts, strict=True)
        if group.fits(table)
    ]
    with np.errstate(invalid="ignore"):
        share = np.where(has_label, visits / visits.sum(1, keepdims=True), np.nan)
    return _Buckets(names, visits, share, parts, draws)


def _correctable(group: ClassifierGroup, counts: pd.DataFrame, names: list[str], seed: int, draws: int) -> _Correctable:
    """Draw the matrices of a group. Each group has its own rng, so that no other matrix changes its interval."""
    assert group.matrix is not None
    group_seed = [seed, int.from_bytes(group.key[1], "big")]
    known = [name for name in names if name in counts.columns]
    matrix = _in_order(group.matrix, known)
    predicted = counts[known].to_numpy(np.float64)
    visits = np.nansum(counts.to_numpy(np.float64), 1) * (predicted.sum(1) > 0)
    rng = np.random.default_rng(group_seed)
    drawn = draw_matrices(matrix.counts, unknown_measured=matrix.of == "visits", rng=rng, draws=draws)
    return _Correctable([names.index(name) for name in known], predicted, visits, drawn, group_seed)


def _in_order(confusion: Confusion, names: list[str]) -> Confusion:
    """Return the matrix with its labels in the order of ``names``."""
    order = [confusion.labels.index(name) for name in names]
    counts = confusion.counts[np.ix_(order, [*order, len(confusion.labels)])]
    return replace(confusion, labels=tuple(names), counts=counts)


def _mixes(block: _Block) -> Floats:
    """Return the corrected shares, the estimate first, then the draws, (1 + draws, buckets, labels)."""
    visits = np.zeros((1 + block.draws, *block.possible.shape))
    for part in block.parts:
        rows = np.flatnonzero(part.visits > 0)
        counts = part.counts[rows].round(COUNT_DIGITS) + 0.0  # -0.0 becomes 0.0
        rngs = [_rng_of(part.seed, row) for row in counts] if block.draws else []
        found = draw_mixes(counts, part.matrices, rngs) * part.visits[rows, None]
        visits[:, rows[:, None], part.columns] += found
    mixes: Floats = visits / np.where(block.possible > 0, block.possible, np.nan)
    return mixes


def _rng_of(seed: list[int], counts: Floats) -> np.random.Generator:
    """Return the generator of a bucket with these counts."""
    digest = hashlib.sha256(counts.tobytes()).digest()
    return np.random.default_rng([*seed, int.from_bytes(digest[:8], "big")])
