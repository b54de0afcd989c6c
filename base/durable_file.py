"""Change files and folders so that a power cut leaves either the old or the new content."""

import os
from contextlib import suppress
from pathlib import Path

BLOCK_BYTES = 65_536


def make_folder(folder: Path) -> None:
    """Make a folder and its parents, on disk when this returns."""
    if not folder.is_dir():
        make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        sync_folder(folder.parent)


def sync_folder(folder: Path) -> None:
    """Bring the entries of a folder to disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def replace_file(
    path: Path, data: bytes, previous: Path | None = None, mode: int = 0o666, owned_like: Path | None = None
) -> None:
    """Replace a file, on disk when this returns; keep the one before as ``previous`` if given. Raises OSError.

    ``mode`` is that of the new file, less the umask: 0o600 for a secret. If root replaces it, owner and group are those
    of ``owned_like``.
    """
    draft = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    draft.unlink(missing_ok=True)
    try:
        with open(draft, "xb", opener=lambda name, flags: os.open(name, flags, mode)) as file:
            if owned_like is not None and os.geteuid() == 0:
                owner = owned_like.stat()
                os.fchown(file.fileno(), owner.st_uid, owner.st_gid)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        draft.unlink(missing_ok=True)  # a full disk must not fill up with drafts
        raise
    if previous is not None and path.exists():
        link = path.with_name(f"{path.name}.{os.getpid()}.link")
        link.unlink(missing_ok=True)
        link.hardlink_to(path)
        link.replace(previous)
    draft.replace(path)
    sync_folder(path.parent)


def drop_cached(path: Path) -> None:
    """Let a file be read from the disk again: drop what is in memory, unless it is not written yet. Raises OSError.

    Otherwise data that the disk has refused is read as if it were there, and is lost with the next power cut.
    """
    with path.open("rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def cut_torn_line(path: Path) -> int:
    """Truncate a file after its last line break and return the number of bytes removed. Raises OSError.

    What follows the last line break is a write that a power cut interrupted.
    """
    with path.open("rb+") as file:
        size = file.seek(0, os.SEEK_END)
        end, at = 0, size
        while at > 0 and not end:
            step = min(at, BLOCK_BYTES)
            at -= step
            file.seek(at)
            line_break = file.read(step).rfind(b"\n")
            end = 0 if line_break < 0 else at + line_break + 1
        if end < size:
            with suppress(OSError):  # an error of the write that is cut off; Linux reports it once
                os.fsync(file.fileno())
            file.truncate(end)
            os.fsync(file.fileno())
    return size - end
