#!/usr/bin/env python3
"""Check the language of the repository: sentence length in documents, and words that the glossary replaces.

Usage: .ci/check_language.py [ROOT]

A document is a Markdown file. Each of its sentences has at most 35 words. A code span or a link counts as its visible
words. Fenced blocks and quotations are not checked. The glossary applies to documents, code, configuration and
scripts, and to the parts of identifiers. Every finding is printed as FILE:LINE: MESSAGE; the exit code is 1 if there
is one.
"""

import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

MAX_WORDS = 35
DOCUMENT_SUFFIXES = (".md",)
CODE_SUFFIXES = (".py", ".toml", ".sh", ".c", ".conf", ".acl", ".service", ".html", ".css")
CODE_NAMES = ("Makefile", "run", "vendor-data")
UNCHECKED = ("LICENSE.md", ".ci/check_language.py", "tests/whole/test_language.py")


@dataclass(frozen=True, slots=True)
class Term:
    """Words that the glossary replaces."""

    pattern: str
    """Regular expression, matched without regard to case between characters that are not letters."""
    use: str
    """The words to use instead."""


TERMS = (
    Term(r"pictures?", "image or frame"),
    Term(r"sightings?", "observation"),
    Term(r"verdicts?", "prediction"),
    Term(r"barred", "excluded, staff zone or dwell"),
    Term(r"chance", "rng, random or probability"),
    Term(r"settle[sdr]?|settling", "restamp, roll back, recalibrate or requantise"),
    Term(r"shelf|shelves", "background image or negative"),
    Term(r"stills|(?:a|one|each|every|labelled) still(?=[.,;:)]|$)", "labelled image"),
    Term(r"spoil(?:s|t|ed|ing)?", "augment or degrade"),
    Term(r"courses? of", "track or learning curve"),
    Term(r"look(?:s|ed|ing)? at", "observe, analyse, classify or show"),
    Term(r"look(?:s|ed|ing)? aside", "turned away"),
    Term(r"share looked at", "coverage"),
    Term(r"taught by", "distilled from"),
    Term(r"[\"'`]tune[\"'`]", "validation"),
)


@dataclass(frozen=True, slots=True)
class Allowance:
    """A phrase that may hold a replaced word in some files."""

    paths: str
    """Pattern of the files' paths, as for `fnmatch`."""
    phrase: str
    reason: str


FORMER = "names what was renamed"
FIGURE = "key of the figures on model cards, which readers know"
SHELVES = "shelves of a shop are shelves"
ALLOWED: tuple[Allowance, ...] = (
    Allowance("CHANGELOG.md", "`track.min_sightings`", FORMER),
    Allowance("CHANGELOG.md", "`Track.sightings`", FORMER),
    Allowance("CHANGELOG.md", "`picture_skipped`", FORMER),
    Allowance("CHANGELOG.md", "`clock_settled`", FORMER),
    Allowance("CHANGELOG.md", "`looks_at_one_frame_in`", FORMER),
    Allowance("CHANGELOG.md", "`--settle`", FORMER),
    Allowance("CHANGELOG.md", "`stills`", FORMER),
    Allowance("CHANGELOG.md", "`shelves`", FORMER),
    Allowance("CHANGELOG.md", "`tune`", FORMER),
    Allowance("*/settings.py", "track.min_sightings", FORMER),
    Allowance("tests/*", "track.min_sightings", FORMER),
    Allowance("*.py", '"stills', FIGURE),
    Allowance("*.py", "`stills`", FIGURE),
    Allowance("*.py", "`shelves`", FIGURE),
    Allowance("*.py", "shelves.false_per_picture", FIGURE),
    Allowance("*.py", "background.false_per_picture", FIGURE),
    Allowance("*.py", "shelves/", "folder in the archive scenes.zip"),
    Allowance("*", "shop shelves", SHELVES),
    Allowance("*.py", "images of shelves", SHELVES),
    Allowance("docs/*", "film stills", "stills of a film are its images"),
    Allowance("demo/clip.py", "background of shelves", SHELVES),
)


def files(root: Path) -> Iterator[Path]:
    """The checked files of a checkout, relative to its root, new files included."""
    listed = subprocess.check_output(
        ["git", "-C", str(root), "ls-files", "-co", "--exclude-standard"],  # noqa: S607
        text=True,
    )
    for path in map(Path, sorted(set(listed.splitlines()))):
        is_checked = path.suffix in DOCUMENT_SUFFIXES + CODE_SUFFIXES or path.name in CODE_NAMES
        if is_checked and str(path) not in UNCHECKED and (root / path).is_file():
            yield path


def blocks(document: str) -> Iterator[tuple[int, str]]:
    """Paragraphs, list items, table cells and headings of a Markdown document, each with its first line's number."""
    begin, lines = 1, list[str]()
    is_fenced = False
    for number, raw in enumerate([*document.splitlines(), ""], start=1):
        text = raw.strip()
        is_fence = text.startswith(("```", "~~~"))
        is_whole = text.startswith(("#", "|", ">", "<", ":::")) or not text or is_fence or is_fenced
        if lines and (is_whole or re.match(r"([-*+]|\d+[.)])\s", text)):
            yield begin, " ".join(lines)
            lines = []
        if is_fence:
            is_fenced = not is_fenced
        elif is_fenced or text.startswith(">"):
            continue
        elif text.startswith("|"):
            yield from ((number, cell) for cell in text.strip("|").split("|"))
        elif text.startswith("#"):
            yield number, text
        elif text and not is_whole:
            begin = begin if lines else number
            lines.append(text)


def sentences(block: str) -> list[str]:
    """The sentences of a block; code spans and links count as their visible words."""
    visible = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", block)
    visible = re.sub(r"`[^`]*`", "code", visible)
    return re.split(r"(?<=[.!?:])[)\"*_]*\s+", visible)


def long_sentences(document: str) -> Iterator[tuple[int, str]]:
    """Line and message of each sentence that is too long."""
    for number, block in blocks(document):
        for sentence in sentences(block):
            words = sum(bool(re.search(r"\w", word)) for word in sentence.split())
            if words > MAX_WORDS:
                yield number, f"{words} words in a sentence, {MAX_WORDS} are allowed: {sentence[:60]} ..."


def replaced_words(path: Path, text: str, used: set[Allowance]) -> Iterator[tuple[int, str]]:
    """Line and message of each word that the glossary replaces. Adds the allowances that applied to ``used``."""
    allowed = [each for each in ALLOWED if fnmatch(str(path), each.paths)]
    for number, line in enumerate(text.splitlines(), start=1):
        rest = line
        for each in allowed:
            if each.phrase in rest:
                used.add(each)
                rest = rest.replace(each.phrase, "")
        for term in TERMS:
            for found in re.finditer(rf"(?<![a-z])(?:{term.pattern})(?![a-z])", rest, re.IGNORECASE):
                yield number, f"{found[0]!r} is not a word of the glossary, use {term.use}"


def findings(root: Path) -> Iterator[str]:
    """All findings of a checkout, as lines for a person."""
    used = set[Allowance]()
    for path in files(root):
        text = (root / path).read_text(encoding="utf-8")
        found = list(replaced_words(path, text, used))
        if path.suffix in DOCUMENT_SUFFIXES:
            found += long_sentences(text)
        yield from (f"{path}:{number}: {message}" for number, message in sorted(found))
    for each in ALLOWED:
        if each not in used:
            yield f".ci/check_language.py: the allowance {each.phrase!r} for {each.paths} is not needed, remove it"


def main() -> int:
    """Print the findings; exit code 1 if there is one."""
    root = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[1]
    found = list(findings(root))
    for each in found:
        print(each)
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
