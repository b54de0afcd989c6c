"""Confusion matrices that devices report, and which of them corrects which rows of a table.

A matrix that a device reports corrects the counts of that device only. A device that reports a false matrix falsifies
no other device's shares.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from msgspec import UNSET

from collector.analysis.bootstrap import Floats
from collector.devices.device import Device
from collector.store.load import labels
from contract.labels import UNKNOWN
from contract.message import BundleIdentity

CLASSIFIER_KEY = ("site", "device", "model_expression")
"""Columns of windows and cells that say which matrix corrects a row."""


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

    The matrix of visits if there is one, else that of faces. A classifier without a matrix is left out. Devices that
    report equal matrices share one object, because a fleet has thousands of devices and few models.
    """
    found: dict[DeviceClassifier, Confusion] = {}
    shared: dict[Any, Confusion] = {}
    for device in devices:
        for bundle in (*device.bundles, *((device.model.expression,) if device.model else ())):
            if bundle.confusion:
                content = (bundle.labels, bundle.confusion, bundle.visit_confusion)
                matrix = shared.get(content) or shared.setdefault(content, _confusion(bundle))
                found[device.site, device.device, f"{bundle.name}@{bundle.sha256[:12]}"] = matrix
    return found


def conflicts(matrices: Matrices) -> set[DeviceClassifier]:
    """Return the devices whose matrix of a classifier differs from that of the majority of devices with it.

    One model file has one matrix, so one of them is wrong. Without a majority, all of them are returned.
    """
    reporters: dict[str, dict[bytes, list[DeviceClassifier]]] = defaultdict(lambda: defaultdict(list))
    for key, digest in matrix_digests(matrices):
        reporters[key[2]][digest].append(key)
    conflicting: set[DeviceClassifier] = set()
    for by_matrix in reporters.values():
        *minorities, majority = sorted(by_matrix.values(), key=len)
        if minorities and len(minorities[-1]) == len(majority):
            minorities.append(majority)
        conflicting.update(key for keys in minorities for key in keys)
    return conflicting


@dataclass(frozen=True, slots=True)
class ClassifierGroup:
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


def classifier_groups(frame: pd.DataFrame, matrices: Matrices) -> list[ClassifierGroup]:
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
        digest = hashlib.sha256(key[2].encode() + (b"" if matrix is None else matrix_digest(matrix))).digest()
        members[key[2], digest].append(number)
        matrix_of[key[2], digest] = matrix
    if len(members) == 1:
        return [ClassifierGroup(key, frame, matrix) for key, matrix in matrix_of.items()]
    return [ClassifierGroup(key, frame[np.isin(code, members[key])], matrix_of[key]) for key in sorted(members)]


def _confusion(bundle: BundleIdentity) -> Confusion:
    """Return the matrix that a model message holds for a bundle."""
    if bundle.visit_confusion is not UNSET:
        return Confusion(bundle.labels, np.asarray(bundle.visit_confusion, float), "visits")
    return Confusion(bundle.labels, np.pad(np.asarray(bundle.confusion, float), ((0, 0), (0, 1))), "faces")


def matrix_digest(matrix: Confusion) -> bytes:
    """Return a hash that two matrices share only if they are equal."""
    return hashlib.sha256(f"{matrix.of} {' '.join(matrix.labels)} ".encode() + matrix.counts.tobytes()).digest()


def matrix_digests(matrices: Matrices) -> Iterator[tuple[DeviceClassifier, bytes]]:
    """Yield `matrix_digest` of each matrix; that of an object which many devices share is computed once."""
    known: dict[int, bytes] = {}
    for key, matrix in matrices.items():
        digest = known.get(id(matrix))
        if digest is None:
            digest = known[id(matrix)] = matrix_digest(matrix)
        yield key, digest


def with_labels(matrix: Confusion, label_map: Mapping[str, str]) -> Confusion:
    """Return a matrix under other names; labels that get one name are joined by adding their rows and columns.

    A renamed matrix stays exact. A joined one assumes that within the joined label visitors are mixed as the faces were
    on which the matrix was measured.
    """
    names = tuple(dict.fromkeys(label_map.get(name, name) for name in matrix.labels))
    if names == matrix.labels:
        return matrix
    join = np.array([[label_map.get(name, name) == new for new in names] for name in matrix.labels], np.float64)
    columns = np.pad(join, ((0, 1), (0, 1)))
    columns[-1, -1] = 1.0  # ``unknown`` keeps its column
    return Confusion(names, join.T @ matrix.counts @ columns, matrix.of)
