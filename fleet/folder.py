"""The folder of a fleet: where everything is, and the lock that keeps two commands from changing it at once.

It can be kept in git; ``secrets/`` and the large files of ``repository/targets/`` are excluded by its ``.gitignore``::

    fleet.toml                        settings
    inventory.csv, revoked.csv        devices, and certificates that are no longer accepted
    groups.csv                        groups of the devices, for the collector
    configuration/common.toml         keys of all devices; groups/GROUP.toml and devices/SITE/DEVICE.toml go on top
    zones/SITE/DEVICE.toml            staff zones of each device
    certificates/                     ca.pem, crl.pem, broker.pem, web.pem, operator.pem, collector.pem, devices/
    releases/, rollouts/, locks/      what was released, how far it is rolled out, locked versions of wheels
    repository/                       metadata/ and targets/, to be served by any web server
    downloads/                        wheels of other packages, in git neither
    secrets/                          private keys; offline/ can be kept elsewhere
"""

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from fleet.errors import Refused

GITIGNORE = "secrets/\ndownloads/\nrepository/targets/\n.lock\n*.lock\n*.tmp\n"


@dataclass(frozen=True, slots=True)
class Folder:
    """Paths of a fleet."""

    root: Path
    offline: Path
    """Folder of the keys ``root.pem``, ``targets.pem`` and ``authority.pem``."""

    @classmethod
    def of(cls, root: Path, offline: Path | None = None) -> "Folder":
        """Return the paths of a fleet; the offline keys are in ``secrets/offline`` unless they are kept elsewhere."""
        return cls(root, offline or root / "secrets" / "offline")

    @property
    def secrets(self) -> Path:
        """Private keys that commands use without an offline key."""
        return self.root / "secrets"

    @property
    def repository(self) -> Path:
        """Release repository: ``metadata/`` and ``targets/``."""
        return self.root / "repository"

    @property
    def downloads(self) -> Path:
        """Wheels of other packages, by kind of device."""
        return self.root / "downloads"

    @property
    def inventory(self) -> Path:
        """Table of the devices."""
        return self.root / "inventory.csv"

    @property
    def revoked(self) -> Path:
        """Table of the certificates that are no longer accepted."""
        return self.root / "revoked.csv"

    @property
    def configuration(self) -> Path:
        """Layers of the devices' configurations."""
        return self.root / "configuration"

    def certificate(self, name: str) -> Path:
        """Certificate of the authority (``ca``), a server or a program; ``devices/SITE/DEVICE`` for a device."""
        return self.root / "certificates" / f"{name}.pem"

    def key(self, name: str) -> Path:
        """Private key that belongs to `certificate`."""
        return self.secrets / f"{name}.key"

    def zones(self, site: str, device: str) -> Path:
        """Staff zones of a device."""
        return self.root / "zones" / site / f"{device}.toml"

    def release(self, name: str) -> Path:
        """Record of a release."""
        return self.root / "releases" / f"{name}.json"

    def rollout(self, name: str) -> Path:
        """State of the rollout of a release."""
        return self.root / "rollouts" / f"{name}.json"

    def check(self) -> None:
        """Raise Refused unless there is a fleet in this folder."""
        if not (self.root / "fleet.toml").is_file():
            raise Refused(
                f"{self.root}: must be the folder of a fleet, has no fleet.toml; facetally-fleet init makes one"
            )

    @contextmanager
    def locked(self, name: str = ".lock", wait_s: float = 0.0) -> Iterator[None]:
        """Hold a lock of the folder. Raise Refused if another command holds it for longer than ``wait_s`` seconds.

        A killed command holds nothing.
        """
        until = time.monotonic() + wait_s
        with (self.root / name).open("w") as file:
            while not _try_lock(file):
                if time.monotonic() >= until:
                    raise Refused(f"{self.root}: another facetally-fleet command is running on it")
                time.sleep(0.1)
            yield


def _try_lock(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
