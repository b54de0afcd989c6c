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

What a device says of its model corrects the device's own counts and no others: whoever tells a false matrix falsifies
nothing but their own shares.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
from msgspec import UNSET

from collector.analysis.summarise import by_time
from collector.devices.device import Device
from collector.store.load import labels
from contract.labels import UNKNOWN
from contract.message import BundleIdentity

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
TELLER = ("site", "device", "model_expression")
"""Columns of windows and cells that say whose matrix corrects them."""
SHARES = ("visits", "share", "corrected", "low", "high")
"""Columns of the tables of `shares`."""
AT_ONCE = 64
"""Buckets whose draws are in memory together."""
Key = tuple[str, bytes]
"""A classifier's name, and a digest of it and its matrix."""
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


Teller = tuple[str, str, str]
"""Site, device, and the name of a classifier in the store, ``name@0123456789ab``."""
Matrices = Mapping[Teller, Confusion]
"""What each device said of the classifiers that it runs and ran: it holds for the device's own counts alone."""


def confusions(devices: Iterable[Device]) -> dict[Teller, Confusion]:
    """Devices -> the matrix that each has told of each of its classifiers.

    That of visits where there is one, else that of faces; a classifier without a matrix is left out.
    """
    found = {}
    for device in devices:
        for bundle in (*device.bundles, *((device.model.expression,) if device.model else ())):
            if bundle.confusion:
                found[device.site, device.device, f"{bundle.name}@{bundle.sha256[:12]}"] = _confusion(bundle)
    return found


def conflicts(matrices: Matrices) -> set[Teller]:
    """The devices whose matrix of a classifier differs from that which most devices with this classifier tell.

    One file has one matrix, so one of them is wrong. Where no matrix has the most devices, all of them are named.
    """
    told: dict[str, dict[bytes, list[Teller]]] = {}
    for teller, matrix in matrices.items():
        told.setdefault(teller[2], {}).setdefault(_digest(matrix), []).append(teller)
    odd: set[Teller] = set()
    for by_matrix in told.values():
        *fewer, most = sorted(by_matrix.values(), key=len)
        tie = bool(fewer) and len(fewer[-1]) == len(most)
        odd |= {teller for tellers in (*fewer, *([most] if tie else [])) for teller in tellers}
    return odd


def shares(frame: pd.DataFrame, matrices: Matrices, chance: np.random.Generator, draws: int = DRAWS) -> pd.DataFrame:
    """Windows or cells -> one row a label, ``unknown`` left out, over all of the table.

    Columns: ``visits`` as counted; ``share`` of these among visits with a verdict; ``corrected``, ``low`` and ``high``,
    the share after correction and its 90 % interval, NaN where no bundle with that label has a known matrix. Shares are
    0 to 1, of the visits of bundles that have the label.
    """
    groups = _groups(frame, matrices)
    answers = {name: _sums(group.frame) for name, group in groups.items()}
    return _tables(answers, _known(groups), chance, draws)[0]


def shares_over(
    frame: pd.DataFrame,
    step_s: int | None,
    zone: ZoneInfo,
    span: Span,
    matrices: Matrices,
    chance: np.random.Generator,
) -> pd.DataFrame:
    """As `shares`, for each bucket of `collector.analysis.summarise.by_time`: indexed by start and label, in order.

    Buckets with no visit have NaN shares; without any window there is no label, and so no row.
    """
    groups = _groups(frame, matrices)
    answers = {
        name: by_time(group.frame.dropna(axis=1, how="all"), step_s, zone, span) for name, group in groups.items()
    }
    starts = by_time(frame, step_s, zone, span).index
    if not answers:
        nobody = pd.MultiIndex.from_arrays([starts[:0], pd.Index([], dtype=object)], names=["start", "label"])
        return pd.DataFrame(columns=list(SHARES), index=nobody, dtype=np.float64)
    answers = {name: table.reindex(starts)[labels_of(table)].fillna(0.0) for name, table in answers.items()}
    tables = _tables(answers, _known(groups), chance, DRAWS)
    return pd.concat(tables, keys=starts, names=["start", "label"])


def compare(one: pd.DataFrame, other: pd.DataFrame, matrices: Matrices, chance: np.random.Generator) -> pd.DataFrame:
    """Two tables of windows or cells, of two periods or two sites -> one row a label.

    Columns of `shares` with ``_one`` and ``_other``, then ``change``: ``more`` or ``less`` in the other, and ``no clear
    change`` where the two intervals overlap or one of them is not known.
    """
    first, second = (shares(frame, matrices, chance) for frame in (one, other))
    table = pd.concat([first.add_suffix("_one"), second.add_suffix("_other")], axis=1)
    more, less = table["low_other"] > table["high_one"], table["high_other"] < table["low_one"]
    table["change"] = np.select([more, less], ["more", "less"], "no clear change")
    return table


def left_out(frame: pd.DataFrame, matrices: Matrices) -> float:
    """Visits whose device has told no matrix of their classifier, which no corrected share speaks of."""
    unmatched = [group.frame for group in _groups(frame, matrices).values() if group.matrix is None]
    return float(sum(np.nansum(part[labels(part)].to_numpy(np.float64)) for part in unmatched))


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
    """The label columns of a table of `collector.analysis.summarise`."""
    return labels(table.drop(columns=["visits", "windows", "coverage", "degraded", "seconds"]))


@dataclass(frozen=True, slots=True)
class _Group:
    """The rows that one matrix corrects: those of one classifier, of all devices that told the same of it."""

    frame: pd.DataFrame
    matrix: Confusion | None


def _groups(frame: pd.DataFrame, matrices: Matrices) -> dict[Key, _Group]:
    """Windows or cells -> their groups, in the order of the classifiers' names."""
    code = np.zeros(len(frame), np.int64)
    for name in TELLER:
        of_column, values = pd.factorize(frame[name])
        code = code * max(len(values), 1) + of_column
    code, _ = pd.factorize(code)  # several times faster than groupby of text
    first = np.flatnonzero(~pd.Series(code).duplicated())
    tellers = frame[list(TELLER)].iloc[first].itertuples(index=False, name=None)
    members: dict[Key, list[int]] = {}
    matrix_of: dict[Key, Confusion | None] = {}
    for number, teller in enumerate(tellers):
        matrix = matrices.get(teller)
        key = (teller[2], hashlib.sha256(teller[2].encode() + (b"" if matrix is None else _digest(matrix))).digest())
        members.setdefault(key, []).append(number)
        matrix_of[key] = matrix
    if len(members) == 1:
        ((key, matrix),) = matrix_of.items()
        return {key: _Group(frame, matrix)}
    return {key: _Group(frame[np.isin(code, members[key])], matrix_of[key]) for key in sorted(members)}


def _known(groups: dict[Key, _Group]) -> dict[Key, Confusion]:
    """The groups' matrices, where one is known."""
    return {name: group.matrix for name, group in groups.items() if group.matrix is not None}


def _confusion(bundle: BundleIdentity) -> Confusion:
    """What a device said of a classifier -> its matrix."""
    if bundle.visit_confusion is not UNSET:
        return Confusion(bundle.labels, np.asarray(bundle.visit_confusion, float), "visits")
    return Confusion(bundle.labels, np.pad(np.asarray(bundle.confusion, float), ((0, 0), (0, 1))), "faces")


def _digest(matrix: Confusion) -> bytes:
    """What two matrices have in common only if they are the same."""
    return hashlib.sha256(f"{matrix.of} {' '.join(matrix.labels)} ".encode() + matrix.counts.tobytes()).digest()


def _sums(frame: pd.DataFrame) -> pd.DataFrame:
    """All visits of a group, one row; only labels that it has."""
    return frame[labels(frame)].dropna(axis=1, how="all").sum().to_frame().T


def _tables(
    answers: dict[Key, pd.DataFrame], matrices: dict[Key, Confusion], chance: np.random.Generator, draws: int
) -> list[pd.DataFrame]:
    """Counted visits of each group, one row a bucket -> the table of `shares` for each bucket."""
    names = list(dict.fromkeys(name for table in answers.values() for name in table.columns if name != UNKNOWN))
    size = max((len(table) for table in answers.values()), default=1)
    counted = np.zeros((size, len(names)))
    for table in answers.values():
        counted += table.reindex(columns=names, fill_value=0.0).to_numpy(np.float64)
    matched = {name: table for name, table in answers.items() if name in matrices and _fits(matrices[name], table)}
    seed = int(chance.integers(2**63))  # each group draws for itself: another's matrix moves no interval of this one
    chances = {name: np.random.default_rng([seed, int.from_bytes(name[1], "big")]) for name in matched}
    drawn = {name: _matrices(_ordered(matrices[name], names), chances[name], draws) for name in matched}
    parts = [_corrected(names, matched, drawn, slice(at, at + AT_ONCE), chances) for at in range(0, size, AT_ONCE)]
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
    answers: dict[Key, pd.DataFrame],
    drawn: dict[Key, Floats],
    part: slice,
    chances: dict[Key, np.random.Generator],
) -> tuple[Floats, Floats, Floats]:
    """Best, low and high of some buckets, (buckets, labels) each; visits of several bundles are added up."""
    visits: Any = 0.0
    whole: Any = 0.0
    for bundle, table in answers.items():
        known = [name for name in names if name in table.columns]
        at = [names.index(name) for name in known]
        counts = table[known].to_numpy(np.float64)[part]
        weights = np.broadcast_to(counts + PRIOR_ANSWERS, (len(drawn[bundle]) - 1, *counts.shape))
        again = chances[bundle].standard_gamma(weights)
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
