#!/usr/bin/env python3
"""Check that documents name files and symbols that exist.

Usage: .ci/check_links.py [ROOT]

A link such as [`Detector.detect`](../edge/vision/detect.py) must lead to a Python file that defines each part of the
dotted name. A part may also be the name of the module. Every other relative link, and every link to a page of this
repository, must lead to a file, a folder, or a heading of a document. Every finding is printed as FILE:LINE: MESSAGE;
the exit code is 1 if there is one.
"""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

LINK = re.compile(r"\[([^\]]*)\]\(([^)\s]+)\)|<img[^>]* ?src=\"([^\"]+)\"")
OWN_URL = re.compile(
    r"https://(?:raw\.githubusercontent\.com/facetally/facetally/main"
    r"|github\.com/facetally/facetally/(?:blob|tree)/main)/"
)
"""Pages of this repository. README.md links to them because it is shown on the package's page, too."""


def anchors(document: Path) -> set[str]:
    """The anchors of headings, as GitHub makes them, and of the symbols that mkdocstrings documents (``::: name``)."""
    text = re.sub(r"^```.*?^```", "", document.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+\s+(.*)$", text, re.MULTILINE)
    symbols = re.findall(r"^::: (\S+)$", text, re.MULTILINE)
    return {*symbols} | {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def undefined(name: str, module: Path) -> str | None:
    """The first part of a dotted name that a Python module does not define; None if there is none."""
    source = module.read_text(encoding="utf-8")
    for part in name.split("."):
        is_defined = re.search(rf"^\s*(?:def|class)\s+{part}\b|^\s*{part}\b\s*[:=]", source, re.MULTILINE)
        if not is_defined and part != module.stem:
            return part
    return None


def fault(root: Path, document: Path, text: str, target: str) -> str | None:
    """What is wrong with a link; None if nothing is, or if it leads to another site."""
    path, _, anchor = target.partition("#")
    if own := OWN_URL.match(path):
        there = root / path[own.end() :]
    elif re.match(r"[a-z]+:", path):
        return None
    else:
        there = document.parent / path if path else document
    if not there.exists():
        return f"{target} does not exist"
    if anchor and anchor not in anchors(there):
        return f"{target}: no such heading"
    symbol = re.fullmatch(r"`([A-Za-z_][\w.]*)`", text)
    if symbol and there.suffix == ".py" and (part := undefined(symbol[1], there)):
        return f"{target} does not define {part!r}"
    return None


def findings(root: Path) -> Iterator[str]:
    """All findings of a checkout, as lines for a person."""
    listed = subprocess.check_output(
        ["git", "-C", str(root), "ls-files", "-co", "--exclude-standard", "*.md"],  # noqa: S607
        text=True,
    )
    for name in sorted(set(listed.splitlines())):
        document = root / name
        lines = document.read_text(encoding="utf-8").splitlines() if document.exists() else []
        for number, line in enumerate(lines, start=1):
            for text, target, image in LINK.findall(line):
                if what := fault(root, document, text, target or image):
                    yield f"{name}:{number}: {what}"


def main() -> int:
    """Print the findings; exit code 1 if there is one."""
    root = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[1]
    found = list(findings(root))
    for each in found:
        print(each)
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
