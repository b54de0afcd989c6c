"""Tell which release the daemon runs from, and why the updater rolled back the last one."""

import sys
from pathlib import Path

SLOTS = "slots"
"""Name of the folder that holds a virtual environment per release."""
FAILED = "update-failed"
"""Name of the file, beside that folder, in which the updater writes why a release was rolled back."""
MAX_REASON = 300


def installed_release(prefix: str = sys.prefix) -> str | None:
    """Return the release whose slot the Python environment ``prefix`` is; None for an environment elsewhere."""
    path = Path(prefix)
    return path.name[:64] if path.parent.name == SLOTS else None


def update_failed(prefix: str = sys.prefix) -> str | None:
    """Return why the updater rolled back the last release, in one line; None if it did not."""
    if installed_release(prefix) is None:
        return None
    try:
        text = (Path(prefix).parents[1] / FAILED).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    return " ".join(text.split())[:MAX_REASON] or None
