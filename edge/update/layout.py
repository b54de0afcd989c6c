"""Where releases lie on the device, and the links that choose among them.

::

    /opt/facetally/
        slots/RELEASE/          a virtual environment, and the release's bundles
        setups/NUMBER/          what one manifest names: a release, a configuration and a certificate
            program  -> ../../slots/RELEASE
            bundles  -> ../../slots/RELEASE/bundles
            edge.toml, device.pem
            instances/NAME.toml     configurations of further cameras, as far as the manifest has them
        current  -> setups/NUMBER       what the daemon runs: the one link that switches
        updater  -> slots/RELEASE       the updater of the last release that proved healthy
        bin, lib, pyvenv.cfg            links into current/program, so that this folder is an environment too
        update-failed                   why the last release was rolled back, one line
"""

import contextlib
import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from base.durable_file import make_folder, replace_file, sync_folder
from edge.system.installed_release import FAILED, SLOTS

SETUPS = "setups"
COMPLETE = "complete"
"""Name of the file in a slot that is written last; it holds the hash of the release's manifest."""


@dataclass(frozen=True, slots=True)
class Layout:
    """The folder of programs, ``/opt/facetally``."""

    root: Path

    @property
    def current(self) -> Path:
        """The link to the setup that the daemon runs."""
        return self.root / "current"

    def slot(self, release: str) -> Path:
        """The folder of a release's virtual environment."""
        return self.root / SLOTS / release

    def setup(self, name: str) -> Path:
        """The folder of a setup."""
        return self.root / SETUPS / name

    def is_complete(self, setup: str) -> bool:
        """Whether a setup and its slot are there as a whole."""
        folder = self.setup(setup)  # the configuration may be a link to one that is edited by hand
        return (folder / "program" / COMPLETE).is_file() and os.path.lexists(folder / "edge.toml")

    def current_setup(self) -> str | None:
        """Name of the setup that ``current`` leads to; None if there is no such setup."""
        name = _target(self.current)
        return name if name and self.is_complete(name) else None

    def release_of(self, setup: str) -> str | None:
        """Name of a setup's release; None if there is no such setup."""
        return _target(self.setup(setup) / "program")

    def switch(self, setup: str) -> None:
        """Let the daemon run a setup from its next start, on disk when this returns."""
        replace_link(self.current, f"{SETUPS}/{setup}")

    def trust_updater_of(self, setup: str) -> None:
        """Run the updater of this setup's release from now on."""
        release = self.release_of(setup)
        if release and _target(self.root / "updater") != release:
            replace_link(self.root / "updater", f"{SLOTS}/{release}")

    def write_failure(self, reason: str | None) -> None:
        """Tell the daemon, which reports it in its health, why a release was rolled back; None to forget it."""
        path = self.root / FAILED
        if reason is None:
            path.unlink(missing_ok=True)
        else:
            replace_file(path, f"{reason}\n".encode())

    def newest_setup(self) -> str | None:
        """Name of the complete setup that was made last; None if there is none."""
        folder = self.root / SETUPS
        found = sorted(folder.iterdir(), key=lambda path: path.stat().st_mtime) if folder.is_dir() else []
        return next((path.name for path in reversed(found) if self.is_complete(path.name)), None)

    def remove_all_but(self, setups: set[str]) -> None:
        """Remove the setups and slots that are not needed; what is missing or removed in part is no error."""
        needed = {self.release_of(name) for name in setups} | {_target(self.root / "updater")}
        for folder, kept in ((self.root / SETUPS, setups), (self.root / SLOTS, needed)):
            for path in list(folder.iterdir()) if folder.is_dir() else []:
                if path.name not in kept:
                    remove_tree(path)


def _target(link: Path) -> str | None:
    """Last level of the path to which a link leads; None if there is no link."""
    with contextlib.suppress(OSError):
        return link.readlink().name
    return None


def replace_link(link: Path, target: str) -> None:
    """Create a symbolic link, or let it lead elsewhere in one step; on disk when this returns."""
    draft = link.with_name(f".{link.name}")
    draft.unlink(missing_ok=True)
    draft.symlink_to(target)
    draft.replace(link)
    sync_folder(link.parent)


def remove_tree(path: Path) -> None:
    """Remove a folder so that an interruption leaves nothing that looks complete: it is renamed first.

    No release or setup has a name that begins with a dot. What cannot be removed, such as files of root, stays.
    """
    doomed = path
    if not path.name.startswith("."):
        doomed = path.with_name(f".{path.name}-{time.time_ns()}")
        path.rename(doomed)
    shutil.rmtree(doomed, ignore_errors=True)


def make_parents(root: Path) -> None:
    """Make the folders of slots and setups."""
    for name in (SLOTS, SETUPS):
        make_folder(root / name)
