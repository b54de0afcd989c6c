"""Counted answers and how a model confuses its labels -> corrected shares of visits, with 90 % intervals.

A model that takes a third of the sad for neutral makes a sad shop look neutral. How it confuses labels was measured
(`Confusion`), so the shares of the truth can be estimated from the shares of the answers: the mix of rows of the matrix
that makes the answers most likely, found by expectation-maximisation on the simplex, so that no share is negative
(Saerens, Latinne and Decaestecker 2002, "Adjusting the outputs of a classifier to new a priori probabilities"; of
counts alone it is the adjusted count of Forman 2008, "Quantifying counts and costs via classification", kept within
bounds). It holds as far as visitors of one expression look like those the matrix was measured on.

The interval is a Bayesian bootstrap (Rubin 1981) over both things that are uncertain, the answers and the rows of the
matrix: each is drawn again from a Dirichlet distribution of its counts. It is one of the mix of visitors that come to
the shop, of which those counted are a sample; of these alone it would be narrower. ``unknown`` is not a truth: a visit
without a verdict is taken to be as likely as the matrix says for each label, up to a factor that all labels share, so
that a camera that sees everybody badly biases nothing.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
from msgspec import UNSET

from collector.load import labels
from collector.summarise import by_time
from contract.labels import UNKNOWN
from contract.message import Bundle

DRAWS = 300
BETWEEN = (0.05, 0.95)
STEPS = 40
"""Rounds of expectation-maximisation, from the inverse on: more were seen to change no share by as much as 0.002."""
FLOOR = 0.002
"""Where the rounds begin for a label of which the inverse has nothing, over the number of labels."""
PRIOR = 1.0
"""Visits that each row of a matrix is taken to have more, spread evenly over its answers: an answer that was never seen
is rare, not impossible."""
PRIOR_ANSWERS = 0.3
"""Visits that each answer is taken to have more when it is drawn again: with none, as in the plain bootstrap, what was
not answered never would be, and intervals of a hundred visits held the truth 81 times in 100 in place of 90."""
HALF = 0.5
"""An interval that begins below half a visit begins at none."""
SHARES = ("visits", "share", "corrected", "low", "high")
"""Columns of the tables of `shares`."""
AT_ONCE = 64
"""Buckets whose draws are in memory together."""
Floats = np.ndarray[Any, np.dtype[np.float64]]
Span = tuple[datetime, datetime]


@dataclass(frozen=True, slots=True)
class Confusion:
    """How a bundle answers: ``counts`` float64 (labels, labels + 1), rows are the truth, columns the answer,
    ``unknown`` last; measured on whole visits, or on single faces, which says nothing of ``unknown``.
    """

    labels: tuple[str, ...]
    counts: Floats
    of: Literal["visits", "faces"]


def confusions(bundles: Iterable[Bundle]) -> dict[str, Confusion]:
    """What devices said of their classifiers -> the matrix of each, by its name in the store, ``name@0123456789ab``.

    That of visits where there is one, else that of faces; a bundle without a matrix is left out.
    """
    found = {}
    for bundle in bundles:
        if bundle.confusion:
            matrix = Confusion(bundle.labels, np.pad(np.asarray(bundle.confusion, float), ((0, 0), (0, 1))), "faces")
            if bundle.visits is not UNSET:
                matrix = Confusion(bundle.labels, np.asarray(bundle.visits, float), "visits")
            found[f"{bundle.name}@{bundle.sha256[:12]}"] = matrix
    return found


def shares(
    frame: pd.DataFrame, matrices: dict[str, Confusion], chance: np.random.Generator, draws: int = DRAWS
) -> pd.DataFrame:
    """Windows or cells -> one row a label, ``unknown`` left out, over all of the table.

    Columns: ``visits`` as counted; ``share`` of these among visits with a verdict; ``corrected``, ``low`` and ``high``,
    the share after correction and its 90 % interval, NaN where no bundle with that label has a known matrix. Shares are
    0 to 1, of the visits of bundles that have the label.
    """
    answers = {name: _sums(frame, name) for name in _bundles(frame)}
    return _tables(answers, matrices, chance, draws)[0]


def shares_over(
    frame: pd.DataFrame,
    step_s: int | None,
    zone: ZoneInfo,
    span: Span,
    matrices: dict[str, Confusion],
    chance: np.random.Generator,
) -> pd.DataFrame:
    """As `shares`, for each bucket of `collector.summarise.by_time`: indexed by start and label, in order.

    Buckets with no visit have NaN shares; without any window there is no label, and so no row.
    """
    answers = {}
    for name in _bundles(frame):
        of_bundle = frame[frame["model_expression"] == name]
        answers[name] = by_time(of_bundle.dropna(axis=1, how="all"), step_s, zone, span)
    starts = by_time(frame, step_s, zone, span).index
    if not answers:
        nobody = pd.MultiIndex.from_arrays([starts[:0], pd.Index([], dtype=object)], names=["start", "label"])
        return pd.DataFrame(columns=list(SHARES), index=nobody, dtype=np.float64)
    answers = {name: table.reindex(starts)[labels_of(table)].fillna(0.0) for name, table in answers.items()}
    tables = _tables(answers, matrices, chance, DRAWS)
    return pd.concat(tables, keys=starts, names=["start", "label"])


def compare(
    one: pd.DataFrame, other: pd.DataFrame, matrices: dict[str, Confusion], chance: np.random.Generator
) -> pd.DataFrame:
    """Two tables of windows or cells, of two periods or two sites -> one row a label.

    Columns of `shares` with ``_one`` and ``_other``, then ``change``: ``more`` or ``less`` in the other, and ``no clear
    change`` where the two intervals overlap or one of them is not known.
    """
    first, second = (shares(frame, matrices, chance) for frame in (one, other))
    table = pd.concat([first.add_suffix("_one"), second.add_suffix("_other")], axis=1)
    more, less = table["low_other"] > table["high_one"], table["high_other"] < table["low_one"]
    table["change"] = np.select([more, less], ["more", "less"], "no clear change")
    return table


def left_out(frame: pd.DataFrame, matrices: dict[str, Confusion]) -> float:
    """Visits whose bundle has no known matrix, which no corrected share speaks of."""
    unmatched = frame[~frame["model_expression"].isin(list(matrices))]
    return float(np.nansum(unmatched[labels(frame)].to_numpy(np.float64)))


def estimate(answers: Floats, matrix: Floats) -> Floats:
    """Answers (..., n, labels) and matrices (..., labels, labels + 1) of probabilities -> shares (..., n, labels).

    The maximum of the likelihood of the answers that are labels. NaN where there is none.
    """
    named = matrix[..., :-1]
    seen = named.sum(-1, keepdims=True)
    given = named / seen
    whole = answers.sum(-1, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        observed = answers / whole
        start = np.clip(observed @ np.linalg.pinv(given), FLOOR / answers.shape[-1], None)
        mix = start / start.sum(-1, keepdims=True)
        for _ in range(STEPS):
            mix = mix * ((observed / (mix @ given)) @ np.swapaxes(given, -1, -2))
        shares_of_all = mix / np.swapaxes(seen, -1, -2)
        estimated: Floats = shares_of_all / shares_of_all.sum(-1, keepdims=True)
    return estimated


def labels_of(table: pd.DataFrame) -> list[str]:
    """The label columns of a table of `collector.summarise`."""
    return labels(table.drop(columns=["visits", "windows", "coverage", "degraded", "seconds"]))


def _bundles(frame: pd.DataFrame) -> list[str]:
    return sorted(str(name) for name in frame["model_expression"].unique())


def _sums(frame: pd.DataFrame, bundle: str) -> pd.DataFrame:
    """All visits of a bundle, one row; only labels that it has."""
    of_bundle = frame[frame["model_expression"] == bundle]
    return of_bundle[labels(frame)].dropna(axis=1, how="all").sum().to_frame().T


def _tables(
    answers: dict[str, pd.DataFrame], matrices: dict[str, Confusion], chance: np.random.Generator, draws: int
) -> list[pd.DataFrame]:
    """Counted visits of each bundle, one row a bucket -> the table of `shares` for each bucket."""
    names = list(dict.fromkeys(name for table in answers.values() for name in table.columns if name != UNKNOWN))
    size = max((len(table) for table in answers.values()), default=1)
    counted = np.zeros((size, len(names)))
    for table in answers.values():
        counted += table.reindex(columns=names, fill_value=0.0).to_numpy(np.float64)
    matched = {name: table for name, table in answers.items() if name in matrices and _fits(matrices[name], table)}
    drawn = {name: _matrices(_ordered(matrices[name], names), chance, draws) for name in matched}
    parts = [_corrected(names, matched, drawn, slice(at, at + AT_ONCE), chance) for at in range(0, size, AT_ONCE)]
    best, low, high = (np.concatenate(part) for part in zip(*parts, strict=True))
    with np.errstate(invalid="ignore"):
        share = counted / counted.sum(1, keepdims=True)
    columns = dict(zip(SHARES, (counted, share, best, low, high), strict=True))
    index = pd.Index(names, name="label")
    return [pd.DataFrame({key: each[at] for key, each in columns.items()}, index=index) for at in range(size)]


def _fits(confusion: Confusion, table: pd.DataFrame) -> bool:
    """Whether the labels in the store are those of the matrix: what a device says of its bundle may be anything."""
    return set(table.columns) - {UNKNOWN} == set(confusion.labels)


def _ordered(confusion: Confusion, names: list[str]) -> Confusion:
    """The same with its labels in the order of ``names``, as counts of several bundles are."""
    order = [confusion.labels.index(name) for name in names if name in confusion.labels]
    counts = confusion.counts[np.ix_(order, [*order, len(confusion.labels)])]
    return replace(confusion, labels=tuple(confusion.labels[at] for at in order), counts=counts)


def _matrices(confusion: Confusion, chance: np.random.Generator, draws: int) -> Floats:
    """A matrix of probabilities, and so many that it may be as well -> (1 + draws, labels, labels + 1)."""
    answers = confusion.counts.shape[1] if confusion.of == "visits" else confusion.counts.shape[1] - 1
    weights = confusion.counts[:, :answers] + PRIOR / answers
    rows = np.concatenate([weights[None], chance.standard_gamma(weights, (draws, *weights.shape))])
    rows = np.pad(rows, ((0, 0), (0, 0), (0, confusion.counts.shape[1] - answers)))
    probabilities: Floats = rows / rows.sum(-1, keepdims=True)
    return probabilities


def _corrected(
    names: list[str],
    answers: dict[str, pd.DataFrame],
    drawn: dict[str, Floats],
    part: slice,
    chance: np.random.Generator,
) -> tuple[Floats, Floats, Floats]:
    """Best, low and high of some buckets, (buckets, labels) each; visits of several bundles are added up."""
    visits: Any = 0.0
    whole: Any = 0.0
    for bundle, table in answers.items():
        known = [name for name in names if name in table.columns]
        at = [names.index(name) for name in known]
        counts = table[known].to_numpy(np.float64)[part]
        weights = np.broadcast_to(counts + PRIOR_ANSWERS, (len(drawn[bundle]) - 1, *counts.shape))
        again = chance.standard_gamma(weights)
        mixes = np.nan_to_num(estimate(np.concatenate([counts[None], again]), drawn[bundle]))
        weight = np.nansum(table.to_numpy(np.float64)[part], 1) * (counts.sum(1) > 0)
        added = np.zeros((*mixes.shape[:2], len(names)))
        added[..., at] = mixes * weight[:, None]
        having = np.zeros((len(counts), len(names)))
        having[:, at] = weight[:, None]
        visits, whole = visits + added, whole + having
    if not answers:
        nothing = np.full((part.stop - part.start, len(names)), np.nan)
        return nothing, nothing, nothing
    with np.errstate(invalid="ignore"):
        mixed = visits / np.where(whole > 0, whole, np.nan)
    low, high = np.quantile(mixed[1:], BETWEEN, axis=0)
    return mixed[0], np.where(low * whole < HALF, 0.0, low), high
