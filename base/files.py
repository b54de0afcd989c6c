"""File operations that survive a power cut, and files that hold a secret."""

import os
from pathlib import Path

from base.errors import SettingsError


def replace_file(path: Path, content: bytes) -> None:
    """Replace or create a file atomically; it is on disk when this returns. Raise OSError if that fails.

    A power cut leaves the old content or the new, never a part of one.
    """
    draft = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    with draft.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Bring the list of names in a folder to disk, so that new and renamed files survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_secret(path: str, key: str) -> str:
    """Return the first line of a file that holds a password or token, without surrounding white space.

    Raise SettingsError, which names the key and the file, if the file cannot be read.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise SettingsError(f"key '{key}': {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise SettingsError(f"key '{key}': {path}: must be UTF-8 text: {error}") from error
    return text.strip().partition("\n")[0].rstrip()
