"""The scripts that check the language and the links of documents find what they are made to find."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def findings(script: str, folder: Path, **files: str) -> list[str]:
    """What a script prints about a checkout that holds these files, without findings about unused allowances."""
    subprocess.run(["git", "init", "--quiet", str(folder)], check=True)
    for name, text in files.items():
        (folder / name.replace("_", ".")).write_text(text)
    command = [sys.executable, str(ROOT / ".ci" / script), str(folder)]
    printed = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    return [line for line in printed.splitlines() if not line.startswith(".ci/")]


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ("word " * 35 + "end.", "a.md:1: 36 words in a sentence, 35 are allowed"),
        ("word " * 34 + "end. Next.", None),
        ("\n- item\n" + "- word " + "word " * 35 + "end", "a.md:3: 37 words"),
        ("| " + "word " * 36 + "| b |", "a.md:1: 36 words"),
        ("```sh\n" + "word " * 40 + "\n```", None),
        ("See [" + "x " * 30 + "](y.md) and `" + "z " * 40 + "`.", None),
        ("A picture of it.", "a.md:1: 'picture' is not a word of the glossary, use image or frame"),
        ("The image is still there.", None),
    ],
)
def test_documents(tmp_path, document, message):
    """Sentences over 35 words and replaced words are findings; code blocks, code spans and link targets are not."""
    found = findings("check_language.py", tmp_path, a_md=document)
    assert len(found) == (message is not None)
    assert not message or found[0].startswith(message)


def test_identifiers(tmp_path):
    """A replaced word is found in a part of an identifier, and not inside another word."""
    found = findings("check_language.py", tmp_path, a_py="min_sightings = 1\nimport picamera2\nunsettling = 2\n")
    assert found == ["a.py:1: 'sightings' is not a word of the glossary, use observation"]


def test_links(tmp_path):
    """Links to missing files, headings and symbols are findings; links to other sites are not."""
    (tmp_path / "code.py").write_text("class Box:\n    def area(self): ...\n    side: int\n")
    document = """# A heading: two words
[a](code.py) [`Box.area`](code.py) [`code.Box.side`](code.py) [b](#a-heading-two-words) [c](https://example.org/x)
[`Box.scale`](code.py) [d](missing.py) [e](#other) [f](https://github.com/facetally/facetally/blob/main/missing.md)
"""
    assert findings("check_links.py", tmp_path, a_md=document) == [
        "a.md:3: code.py does not define 'scale'",
        "a.md:3: missing.py does not exist",
        "a.md:3: #other: no such heading",
        "a.md:3: https://github.com/facetally/facetally/blob/main/missing.md does not exist",
    ]
