"""Damaged bundles."""

import shutil
from pathlib import Path

from edge.vision.bundle import SHIPPED


def bundle_with_wrong_hash(folder: Path) -> Path:
    """Copy a bundle to a folder, with a model that its card does not name; return the path of the card."""
    for suffix in (".json", ".tflite"):
        shutil.copy(SHIPPED / f"face-416x320{suffix}", folder)
    with (folder / "face-416x320.tflite").open("ab") as model:
        model.write(b"\x00")
    return folder / "face-416x320.json"
