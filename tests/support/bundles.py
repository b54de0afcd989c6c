"""Copies of shipped bundles, and damaged ones."""

import shutil
from pathlib import Path

from edge.vision.bundle import SHIPPED


def copied(name: str, folder: Path) -> Path:
    """Copy a shipped bundle to a folder, which is created; return the path of the card."""
    folder.mkdir(exist_ok=True)
    for suffix in (".json", ".tflite"):
        shutil.copy(SHIPPED / f"{name}{suffix}", folder)
    return folder / f"{name}.json"


def bundle_with_wrong_hash(folder: Path) -> Path:
    """Copy a bundle to a folder, with a model that its card does not name; return the path of the card."""
    card = copied("face-416x320", folder)
    with card.with_suffix(".tflite").open("ab") as model:
        model.write(b"\x00")
    return card
