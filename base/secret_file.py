"""Read a password or token from a file, so that no configuration holds a secret."""

from pathlib import Path

from base.errors import SettingsError


def read_secret(path: str, key: str) -> str:
    """Return the first line of a file that is not blank, without surrounding white space; empty for a blank file.

    ``key`` is the configuration key that names the file. Raise SettingsError, which names both, if the file cannot be
    read.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise SettingsError(f"key '{key}': {path}: must be a file that can be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise SettingsError(f"key '{key}': {path}: must be UTF-8 text: {error}") from error
    return text.strip().partition("\n")[0].rstrip()
