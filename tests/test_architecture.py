"""The tree in docs/architecture.md is the tree of the repository."""

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_the_tree_names_every_folder() -> None:
    """Each folder, and each folder in it, is there once; of the tests only those that mirror no package."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    real = {
        "/".join(parts[:depth]) for line in listed.splitlines() for parts in [line.split("/")[:-1]] for depth in (1, 2)
    }
    mirrored = {folder for folder in real if folder.startswith("tests/")} - {"tests/support"}
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    tree = text.partition("## The tree")[2].partition("\n## ")[0]
    named = re.findall(r"\[[^\]]+/\]\(\.\./([^)]+)\)", tree)
    assert sorted(named) == sorted(real - mirrored - {""})
