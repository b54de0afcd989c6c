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

A matrix that a device reports corrects the counts of that device only. A device that reports a false matrix falsifies
no other device's shares.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
from msgspec import UNSET

from collector.analysis.bootstrap import Floats, draw_matrices, draw_mixes
from collector.analysis.intervals import Span, Step
from collector.analysis.summarise import by_time
from collector.devices.device import Device
from collector.store.load import labels
from contract.labels import UNKNOWN
from contract.message import BundleIdentity

DRAWS = 300
"""Bootstrap draws per interval."""
QUANTILES = (0.05, 0.95)
HALF_A_VISIT = 0.5
"""An interval whose lower end is below half a visit begins at 0."""
CLASSIFIER_KEY = ("site", "device", "model_expression")
"""Columns of windows and cells that say which matrix corrects a row."""
SHARE_COLUMNS = ("visits", "share", "corrected", "low", "high")
"""Columns of the tables of `shares`."""
BUCKETS_AT_ONCE = 64
"""Buckets whose draws are in memory together."""


@dataclass(frozen=True, slots=True)
class Confusion:
    """Confusion matrix of a bundle."""

    labels: tuple[str, ...]
    counts: Floats
    """float64 (labels, labels + 1). Rows are the truth, columns the prediction, ``unknown`` last."""
    of: Literal["visits", "faces"]
    """What was counted: whole visits, or single faces, which say nothing about ``unknown``."""


DeviceClassifier = tuple[str, str, str]
"""Site, device, and the classifier's name in the store, ``name@0123456789ab``."""
Matrices = Mapping[DeviceClassifier, Confusion]
"""The matrix that each device reports for each of its classifiers."""


def confusions(devices: Iterable[Device]) -> dict[DeviceClassifier, Confusion]:
    """Return the matrix that each device reports for each of its classifiers, present and former.

    The matrix of visits if there is one, else that of faces. A classifier without a matrix is left out.
    """
    found = {}
    for device in devices:
        for bundle in (*device.bundles, *((device.model.expression,) if device.model else ())):
            if bundle.confusion:
                found[device.site, device.device, f"{bundle.name}@{bundle.sha256[:12]}"] = _confusion(bundle)
    return found


def conflicts(matrices: Matrices) -> set[DeviceClassifier]:
    """Return the devices whose matrix of a classifier differs from that of the majority of devices with it.

    One model file has one matrix, so one of them is wrong. Without a majority, all of them are returned.
    """
    reporters: dict[str, dict[bytes, list[DeviceClassifier]]] = defaultdict(lambda: defaultdict(list))
    for key, matrix in matrices.items():
        reporters[key[2]][_digest(matrix)].append(key)
    conflicting: set[DeviceClassifier] = set()
    for by_matrix in reporters.values():
        *minorities, majority = sorted(by_matrix.values(), key=len)
        if minorities and len(minorities[-1]) == len(majority):
            minorities.append(majority)
        conflicting.update(key for keys in minorities for key in keys)
    return conflicting


def shares(frame: pd.DataFrame, matrices: Matrices, rng: np.random.Generator, draws: int = DRAWS) -> pd.DataFrame:
    """Return one row per label, ``unknown`` left out, over all rows of a table of windows or cells.

    Columns: ``visits`` as counted; ``share``, their share of all classified visits; ``corrected``, ``low`` and
    ``high``, the corrected share and its 90 % interval, among the visits of bundles that have the label. The last three
    are NaN where no bundle with that label has a known matrix. Shares are 0 to 1.
    """
    groups = _groups(frame, matrices)
    counts = [group.frame[group.labels()].sum().to_frame().T for group in groups]
    return _share_tables(groups, counts, rng, draws)[0]


def shares_over(
    frame: pd.DataFrame,
    step: Step,
    zone: ZoneInfo,
    span: Span,
    matrices: Matrices,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """Return `shares` of each bucket of `collector.analysis.summarise.by_time`, indexed by start and label, in order.

    Shares are NaN in buckets without a visit, and for labels that no bundle counted in the bucket has. A table without
    windows has no labels, and so no rows.
    """
    groups = _groups(frame, matrices)
    tables = [by_time(group.frame, step, zone, span) for group in groups]
    starts = tables[0].index if len(groups) == 1 else by_time(frame, step, zone, span).index
    if not groups:
        no_rows = pd.MultiIndex.from_arrays([starts[:0], pd.Index([], dtype=object)], names=["start", "label"])
        return pd.DataFrame(columns=list(SHARE_COLUMNS), index=no_rows, dtype=np.float64)
    counts = [table.reindex(starts)[group.labels()].fillna(0.0) for group, table in zip(groups, tables, strict=True)]
    return pd.concat(_share_tables(groups, counts, rng, DRAWS), keys=starts, names=["start", "label"])


def compare(one: pd.DataFrame, other: pd.DataFrame, matrices: Matrices, rng: np.random.Generator) -> pd.DataFrame:
    """Compare two tables of windows or cells, of two periods or two sites: one row per label.

    Columns of `shares` with ``_one`` and ``_other``, then ``change``: ``more`` or ``less`` in the other, or
    ``no clear change`` where the two intervals overlap or one of them is unknown.
    """
    first, second = (shares(frame, matrices, rng) for frame in (one, other))
    table = pd.concat([first.add_suffix("_one"), second.add_suffix("_other")], axis=1)
    more, less = table["low_other"] > table["high_one"], table["high_other"] < table["low_one"]
    table["change"] = np.select([more, less], ["more", "less"], "no clear change")
    return table


def left_out(frame: pd.DataFrame, matrices: Matrices) -> float:
    """Return the number of visits that no corrected share covers: their device reports no matrix of the classifier."""
    uncorrected = [group.frame for group in _groups(frame, matrices) if group.matrix is None]
    return float(sum(np.nansum(part[labels(part)].to_numpy(np.float64)) for part in uncorrected))


@dataclass(frozen=True, slots=True)
class _Group:
    """Rows that one matrix corrects: one classifier, on all devices that report the same matrix of it."""

    key: tuple[str, bytes]
    """Name of the classifier, and a digest of the name and the matrix."""
    frame: pd.DataFrame
    matrix: Confusion | None

    def labels(self) -> list[str]:
        """Return the labels that the classifier has, in the order of the table."""
        return [name for name in labels(self.frame) if self.frame[name].notna().any()]

    def fits(self, counts: pd.DataFrame) -> bool:
        """Whether the matrix has the labels that were counted: a device can report any labels."""
        return self.matrix is not None and set(counts.columns) - {UNKNOWN} == set(self.matrix.labels)


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
    rng: np.random.Generator


def _groups(frame: pd.DataFrame, matrices: Matrices) -> list[_Group]:
    """Divide windows or cells into groups, in order of the classifiers' names."""
    code = np.zeros(len(frame), np.int64)
    for name in CLASSIFIER_KEY:
        column_code, values = pd.factorize(frame[name])
        code = code * max(len(values), 1) + column_code
    code, _ = pd.factorize(code)  # several times faster than a groupby of text columns
    first = np.flatnonzero(~pd.Series(code).duplicated())
    members: dict[tuple[str, bytes], list[int]] = defaultdict(list)
    matrix_of: dict[tuple[str, bytes], Confusion | None] = {}
    for number, key in enumerate(frame[list(CLASSIFIER_KEY)].iloc[first].itertuples(index=False, name=None)):
        matrix = matrices.get(key)
        digest = hashlib.sha256(key[2].encode() + (b"" if matrix is None else _digest(matrix))).digest()
        members[key[2], digest].append(number)
        matrix_of[key[2], digest] = matrix
    if len(members) == 1:
        return [_Group(key, frame, matrix) for key, matrix in matrix_of.items()]
    return [_Group(key, frame[np.isin(code, members[key])], matrix_of[key]) for key in sorted(members)]


def _confusion(bundle: BundleIdentity) -> Confusion:
    """Return the matrix that a model message holds for a bundle."""
    if bundle.visit_confusion is not UNSET:
        return Confusion(bundle.labels, np.asarray(bundle.visit_confusion, float), "visits")
    return Confusion(bundle.labels, np.pad(np.asarray(bundle.confusion, float), ((0, 0), (0, 1))), "faces")


def _digest(matrix: Confusion) -> bytes:
    """Return a hash that two matrices share only if they are equal."""
    return hashlib.sha256(f"{matrix.of} {' '.join(matrix.labels)} ".encode() + matrix.counts.tobytes()).digest()


def _share_tables(
    groups: Sequence[_Group], counts: Sequence[pd.DataFrame], rng: np.random.Generator, draws: int
) -> list[pd.DataFrame]:
    """Return the table of `shares` for each bucket. ``counts`` has the visits of each group, one row per bucket."""
    names = list(dict.fromkeys(name for table in counts for name in table.columns if name != UNKNOWN))
    buckets = max((len(table) for table in counts), default=1)
    visits, has_label = np.zeros((buckets, len(names))), np.zeros((buckets, len(names)), bool)
    for table in counts:
        visits += table.reindex(columns=names, fill_value=0.0).to_numpy(np.float64)
        has_label |= np.outer(table.to_numpy(np.float64).sum(1) > 0, [name in table.columns for name in names])
    seed = int(rng.integers(2**63))
    parts = [
        _correctable(group, table, names, seed, draws)
        for group, table in zip(groups, counts, strict=True)
        if group.fits(table)
    ]
    slices = [slice(at, min(at + BUCKETS_AT_ONCE, buckets)) for at in range(0, buckets, BUCKETS_AT_ONCE)]
    blocks = [_corrected(parts, len(names), block, draws) for block in slices]
    corrected, low, high = (np.concatenate(block) for block in zip(*blocks, strict=True))
    with np.errstate(invalid="ignore"):
        share = np.where(has_label, visits / visits.sum(1, keepdims=True), np.nan)
    columns = dict(zip(SHARE_COLUMNS, (visits, share, corrected, low, high), strict=True))
    index = pd.Index(names, name="label")
    return [pd.DataFrame({key: each[at] for key, each in columns.items()}, index=index) for at in range(buckets)]


def _correctable(group: _Group, counts: pd.DataFrame, names: list[str], seed: int, draws: int) -> _Correctable:
    """Draw the matrices of a group. Each group has its own rng, so that no other matrix changes its interval."""
    assert group.matrix is not None
    rng = np.random.default_rng([seed, int.from_bytes(group.key[1], "big")])
    known = [name for name in names if name in counts.columns]
    matrix = _in_order(group.matrix, known)
    predicted = counts[known].to_numpy(np.float64)
    visits = np.nansum(counts.to_numpy(np.float64), 1) * (predicted.sum(1) > 0)
    drawn = draw_matrices(matrix.counts, unknown_measured=matrix.of == "visits", rng=rng, draws=draws)
    return _Correctable([names.index(name) for name in known], predicted, visits, drawn, rng)


def _in_order(confusion: Confusion, names: list[str]) -> Confusion:
    """Return the matrix with its labels in the order of ``names``."""
    order = [confusion.labels.index(name) for name in names]
    counts = confusion.counts[np.ix_(order, [*order, len(confusion.labels)])]
    return replace(confusion, labels=tuple(names), counts=counts)


def _corrected(parts: list[_Correctable], size: int, block: slice, draws: int) -> tuple[Floats, Floats, Floats]:
    """Return corrected share, low and high of some buckets, (buckets, labels) each; visits of all groups are added."""
    shape = (block.stop - block.start, size)
    visits, possible = np.zeros((1 + draws, *shape)), np.zeros(shape)
    for part in parts:
        weight = part.visits[block, None]
        visits[..., part.columns] += draw_mixes(part.counts[block], part.matrices, part.rng) * weight
        possible[:, part.columns] += weight
    mixed = visits / np.where(possible > 0, possible, np.nan)
    low, high = np.quantile(mixed[1:], QUANTILES, axis=0)
    return mixed[0], np.where(low * possible < HALF_A_VISIT, 0.0, low), high
