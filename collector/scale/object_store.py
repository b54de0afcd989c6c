"""Copy compacted days to S3-compatible object storage, and back into a temporary folder to read them.

Objects have the layout of the store: ``s3://BUCKET/PREFIX/date=YYYY-MM-DD/site=SITE/counts-LABELSET-WRITER.parquet``.
What is known of the devices is below ``_devices/``, which readers of Parquet ignore. A live store stays on a disk:
object storage can neither append nor lock.
"""

import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from base.errors import SettingsError
from collector.store.load import folders, overlaps

SCHEME = "s3://"
DEVICES = "_devices"
_UNKNOWN_TIME = datetime.min.replace(tzinfo=timezone.utc)
_WINDOWS = re.compile(r"date=[0-9-]+/site=[^/]+/counts-[^/]+\.parquet")
_DEVICES_FILE = re.compile(rf"{DEVICES}/devices[^/]*\.json")


def is_url(name: object) -> bool:
    """Whether this names object storage, not a folder."""
    return str(name).startswith(SCHEME)


@dataclass(frozen=True, slots=True)
class Uploaded:
    """What an upload has done."""

    files: int
    """Files that were copied."""
    size: int
    """Their bytes."""
    present: int
    """Files that were there already."""


@contextmanager
def local_folder(
    store: str,
    since: datetime | None = None,
    until: datetime | None = None,
    sites: Collection[str] = (),
    *,
    windows: bool = True,
) -> Iterator[Path]:
    """Yield the folder of a store. Of a store in object storage it is a temporary one, with a part of the files.

    These are the files that may hold windows of the range, of some sites or of all, and what is known of the devices.
    With ``windows=False`` they are the latter only. Raises SettingsError if the storage cannot be read.
    """
    if not is_url(store):
        yield Path(store)
        return
    with TemporaryDirectory(prefix="facetally-") as name:
        _download(store, Path(name), since, until, sites if windows else None)
        yield Path(name)


def _download(
    url: str, folder: Path, since: datetime | None, until: datetime | None, sites: Collection[str] | None
) -> None:
    """Copy the devices, and the days of a range: of some sites, of all if there are none, or no windows if None."""
    root = _path(url)
    with _storage(url) as files:
        names = [found.rpartition("/")[2] for found in files.ls(root, detail=False)]
        if not any(name == DEVICES or name.startswith("date=") for name in names):
            raise SettingsError(f"{url}: must be a store that `upload` has copied, has no date=YYYY-MM-DD/...")
        found = files.find(f"{root}/{DEVICES}")
        for name in names if sites is not None else ():
            if overlaps(name, since, until):
                for below in [f"{root}/{name}/site={site}" for site in sites or ()] or [f"{root}/{name}"]:
                    found += files.find(below)
        targets = {path: target for path in found if (target := _target(path.removeprefix(f"{root}/"), folder))}
        for target in targets.values():
            target.parent.mkdir(parents=True, exist_ok=True)
        if targets:
            files.get(list(targets), [str(target) for target in targets.values()])


def _target(name: str, folder: Path) -> Path | None:
    """Return where an object of the store is copied to; None for others, whose names may lead out of the folder."""
    if _DEVICES_FILE.fullmatch(name):
        return folder / name.rpartition("/")[2]
    return folder / name if _WINDOWS.fullmatch(name) else None


def _path(url: str) -> str:
    """Return bucket and prefix of an address. Raises SettingsError if it has no bucket, or an empty part."""
    path = url.removeprefix(SCHEME).rstrip("/")
    if not all(path.split("/")):
        raise SettingsError(f"URL: must be s3://BUCKET or s3://BUCKET/PREFIX, is {url!r}")
    return path


def upload_file(path: Path, url: str) -> None:
    """Copy a file to an object, which is replaced as a whole. Raises SettingsError if that is not possible."""
    target = _path(url)
    with _storage(url) as files:
        files.put_file(str(path), target)


def upload_store(root: Path, url: str, since: datetime | None = None, until: datetime | None = None) -> Uploaded:
    """Copy the Parquet files of compacted days, and what is known of the devices.

    A file is copied if it is not there, or was changed since. Nothing is deleted. Raises SettingsError if the storage
    cannot be written.
    """
    target = _path(url)
    chosen = {path: f"{target}/{DEVICES}/{path.name}" for path in sorted(root.glob("devices*.json"))}
    for folder in folders(root, since, until):
        chosen |= {path: f"{target}/{path.relative_to(root)}" for path in sorted(folder.glob("counts-*.parquet"))}
    with _storage(url) as files:
        present = files.find(target, detail=True)
        new = {path: name for path, name in chosen.items() if not _is_same(path, present.get(name))}
        size = sum(path.stat().st_size for path in new)
        if new:
            files.put([str(path) for path in new], list(new.values()))
    return Uploaded(len(new), size, len(chosen) - len(new))


def _is_same(path: Path, entry: dict[str, Any] | None) -> bool:
    """Whether an object has the size of a file and is newer."""
    status = path.stat()
    changed = datetime.fromtimestamp(status.st_mtime, timezone.utc)
    return entry is not None and entry["size"] == status.st_size and entry.get("LastModified", _UNKNOWN_TIME) > changed


@contextmanager
def _storage(url: str) -> Iterator[Any]:
    """Yield the file system of an address; SettingsError if it fails."""
    try:
        from botocore.exceptions import BotoCoreError  # noqa: PLC0415 - few installations have it
        from s3fs import S3FileSystem  # noqa: PLC0415
    except ImportError as error:
        raise SettingsError(f"{url}: {error.name} is missing: pip install 'facetally[scale]'") from error
    try:
        yield S3FileSystem(use_listings_cache=False, skip_instance_cache=True)
    except FileNotFoundError as error:
        raise SettingsError(f"{url}: must exist, is missing: {error}") from error
    except (OSError, ValueError, BotoCoreError) as error:  # ValueError: AWS_ENDPOINT_URL is no URL
        raise SettingsError(
            f"{url}: must be object storage that can be used: {error or type(error).__name__}"
        ) from error
