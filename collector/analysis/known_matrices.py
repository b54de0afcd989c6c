"""The confusion matrices that devices report, computed again only when a device has reported something."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from collector.analysis.confusion import (
    Confusion,
    DeviceClassifier,
    Matrices,
    conflicts,
    confusions,
    matrix_digests,
    with_labels,
)
from collector.devices.device import Device
from collector.devices.registry import KnownDevices
from collector.rollups.groups import DIGITS, Groups


@dataclass(frozen=True, slots=True)
class MatrixGroups:
    """The groups of devices with equal matrices, and the matrix of each."""

    groups: Groups
    matrices: dict[DeviceClassifier, Confusion]
    """By site ``""``, name of the group, and classifier."""

    @classmethod
    def of(cls, matrices: Matrices) -> "MatrixGroups":
        """Divide devices into groups."""
        names, of_groups = {}, {}
        known: dict[bytes, str] = {}
        for key, digest in matrix_digests(matrices):
            name = known.get(digest) or known.setdefault(digest, hashlib.sha256(digest).hexdigest()[:DIGITS])
            names[key] = name
            of_groups["", name, key[2]] = matrices[key]
        return cls(Groups(names), of_groups)


class KnownMatrices:
    """The matrices of a store, with labels of a map. Safe for use by several threads."""

    def __init__(self, devices: KnownDevices, label_map: Mapping[str, str]) -> None:
        self._devices, self._label_map = devices, label_map
        self._matrices: tuple[tuple[Device, ...], dict[DeviceClassifier, Confusion]] | None = None
        self._groups: tuple[Matrices, MatrixGroups] | None = None
        self._conflicts: tuple[Matrices, set[DeviceClassifier]] | None = None

    def all(self) -> dict[DeviceClassifier, Confusion]:
        """Return the matrix that each device reports for each of its classifiers. It must not be changed."""
        devices, known = self._devices.all(), self._matrices
        if known is None or known[0] is not devices:
            self._matrices = known = devices, self._with_labels(confusions(devices))
        return known[1]

    def _with_labels(self, matrices: Matrices) -> dict[DeviceClassifier, Confusion]:
        """Return matrices with the names of the map; those that devices share stay shared."""
        renamed: dict[int, Confusion] = {}
        for matrix in matrices.values():
            if id(matrix) not in renamed:
                renamed[id(matrix)] = with_labels(matrix, self._label_map)
        return {key: renamed[id(matrix)] for key, matrix in matrices.items()}

    def groups(self) -> MatrixGroups:
        """Return the groups of devices with equal matrices."""
        matrices, known = self.all(), self._groups
        if known is None or known[0] is not matrices:
            self._groups = known = matrices, MatrixGroups.of(matrices)
        return known[1]

    def conflicts(self) -> set[DeviceClassifier]:
        """Return `collector.analysis.confusion.conflicts` of all matrices. It must not be changed."""
        matrices, known = self.all(), self._conflicts
        if known is None or known[0] is not matrices:
            self._conflicts = known = matrices, conflicts(matrices)
        return known[1]
