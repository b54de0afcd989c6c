"""Read the release repository: only what the trusted keys have signed, and never anything older than before."""

import contextlib
import errno
import logging
import math
import os
import re
import shutil
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FuturesTimeout
from contextlib import contextmanager
from pathlib import Path

from tuf.api.exceptions import DownloadError, DownloadLengthMismatchError, RepositoryError
from tuf.ngclient.updater import Updater

from base.durable_file import make_folder, sync_folder
from base.errors import SettingsError
from base.tls import tls_context
from contract.release import (
    DeviceManifest,
    File,
    ReleaseManifest,
    device_path,
    read_manifest,
    release_path,
)
from edge.update.errors import NoRoom, RepositoryRefused, RepositoryUnreachable
from edge.update.fetch import Fetcher
from edge.update.settings import UpdateSettings

logging.getLogger("tuf").setLevel(logging.ERROR)
VARYING_LENGTH = re.compile(r"^Downloaded [0-9]+ bytes")
"""What tuf says of an endless file. It differs at each attempt, but a problem is logged once, by its text."""


class Repository:
    """The repository as this device may see it. Raise SettingsError if the root or a certificate cannot be read.

    All methods raise RepositoryUnreachable or RepositoryRefused.
    """

    def __init__(self, settings: UpdateSettings) -> None:
        state = Path(settings.state)
        self._settings, self._metadata = settings, state / "tuf"
        self._files, self._drafts = state / "files", state / "drafts"
        for folder in (self._metadata, self._files):
            make_folder(folder)
        try:
            root = Path(settings.root).read_bytes()
        except OSError as error:
            raise SettingsError(f"key 'root': {settings.root}: {error.strerror}") from error
        targets = f"{settings.base_url}/targets/"
        context = tls_context(settings.tls, "tls") if settings.tls else None
        self._fetcher = Fetcher(targets, self._drafts, context)
        with _translated():
            self._updater = Updater(
                metadata_dir=str(self._metadata),
                metadata_base_url=f"{settings.base_url}/metadata/",
                target_base_url=targets,
                target_dir=str(self._files),
                fetcher=self._fetcher,
                bootstrap=root,
            )

    def look(self, limit_s: float) -> DeviceManifest:
        """Fetch and verify the metadata and the manifest of this device, within a limit.

        A server may send single bytes, also of its headers, where each read is within its own limit. So another thread
        reads; it is left behind, and gives up by itself when its next read ends.
        """
        self._fetcher.until_s = time.monotonic() + limit_s
        done: Future[DeviceManifest] = Future()
        thread = threading.Thread(target=self._look, args=(done,), name="look", daemon=True)
        thread.start()
        try:
            return done.result(limit_s)
        except FuturesTimeout:
            reason = f"repository: a look must take at most {limit_s:g} s (look_s), takes longer"
            raise RepositoryUnreachable(reason) from None
        finally:
            self._fetcher.until_s = math.inf if done.done() else self._fetcher.until_s

    def _look(self, done: "Future[DeviceManifest]") -> None:
        try:
            self.refresh()
            done.set_result(self.device())
        except BaseException as error:  # noqa: BLE001 - raised again in the thread that waits
            done.set_exception(error)

    def refresh(self) -> None:
        """Fetch and verify the metadata, once. What was accepted is on disk afterwards: nothing older counts again."""
        with _translated():
            self._updater.refresh()
        self._sync()

    def device(self) -> DeviceManifest:
        """Return the manifest of this device. Raise RepositoryRefused if there is none."""
        name = device_path(self._settings.site, self._settings.device)
        manifest = read_manifest(self._target(name), DeviceManifest, name)
        if (manifest.site, manifest.device) != (self._settings.site, self._settings.device):
            raise RepositoryRefused(f"{name}: must be for this device, is for {manifest.site}/{manifest.device}")
        self._sync()
        return manifest

    def release(self, name: str) -> ReleaseManifest:
        """Return the manifest of a release. Raise RepositoryRefused if there is none."""
        path = release_path(name)
        manifest = read_manifest(self._target(path), ReleaseManifest, path)
        if manifest.release != name:
            raise RepositoryRefused(f"{path}: must be release {name}, is {manifest.release}")
        return manifest

    def fetch(self, file: File) -> Path:
        """Return the path of a file of a manifest, downloaded unless it is there already."""
        with _translated():
            info = self._updater.get_targetinfo(file.path)
            if info is None or info.length != file.length or info.hashes.get("sha256") != file.sha256:
                raise RepositoryRefused(f"{file.path}: is not signed as the manifest names it")
            kept = self._updater.find_cached_target(info)
            return Path(kept or self._updater.download_target(info))

    def forget_files(self) -> None:
        """Delete what was downloaded; a release that is installed needs it no more."""
        for folder in (self._files, self._drafts):
            shutil.rmtree(folder, ignore_errors=True)
        make_folder(self._files)

    def _target(self, name: str) -> bytes:
        with _translated():
            info = self._updater.get_targetinfo(name)
            if info is None:
                raise RepositoryRefused(f"{name}: is not in the repository")
            kept = self._updater.find_cached_target(info)  # nothing is written while nothing changes
            return Path(kept or self._updater.download_target(info)).read_bytes()

    def _sync(self) -> None:
        """Bring the metadata to disk; tuf replaces files without syncing them."""
        for path in [*self._metadata.glob("*.json"), *self._metadata.glob("*/*.json")]:
            with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
                os.fsync(file.fileno())
        sync_folder(self._metadata)


@contextmanager
def _translated() -> Iterator[None]:
    """Raise the errors of tuf and of the disk as the updater's own."""
    try:
        yield
    except DownloadLengthMismatchError as error:
        raise RepositoryRefused(f"repository: {VARYING_LENGTH.sub('the server sends a file', str(error))}") from error
    except DownloadError as error:
        raise RepositoryUnreachable(f"repository: {error}{_cause(error)}") from error
    except RepositoryError as error:
        raise RepositoryRefused(f"repository: {error}{_cause(error)}") from error
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise NoRoom(f"download: {error.strerror}") from error
        raise


def _cause(error: Exception) -> str:
    return f" ({error.__cause__})" if error.__cause__ else ""
