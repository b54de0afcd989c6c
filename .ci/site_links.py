"""MkDocs hook: make the links of the documents, which work on GitHub, work on the documentation site.

A link to a file outside docs/ becomes a link to the repository's page of that file. CHANGELOG.md becomes a page.
"""

import logging
import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

log = logging.getLogger("mkdocs.hooks.site_links")
ROOT = Path(__file__).parents[1]
CHANGELOG = "CHANGELOG.md"
LINK = re.compile(r"\]\((?!https?:|mailto:|#)([^)#\s]+)(#[^)\s]*)?\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the changelog to the pages."""
    text = (ROOT / CHANGELOG).read_text(encoding="utf-8")
    files.append(File.generated(config, "changelog.md", content=_with_site_links(text, ROOT, config)))
    return files


def on_page_markdown(markdown: str, page: Any, config: MkDocsConfig, **_: Any) -> str:
    """Rewrite the links of a page."""
    return markdown if page.file.src_uri == "changelog.md" else _with_site_links(markdown, ROOT / "docs", config)


def _with_site_links(markdown: str, folder: Path, config: MkDocsConfig) -> str:
    """Rewrite the links of a document in ``folder``."""

    def rewritten(match: re.Match[str]) -> str:
        return f"]({_site_link(match[1], folder, config)}{match[2] or ''})"

    return LINK.sub(rewritten, markdown)


def _site_link(target: str, folder: Path, config: MkDocsConfig) -> str:
    """The link on the site for a path that is relative to ``folder``. A path that does not exist is a warning."""
    path = (folder / target).resolve()
    if path == ROOT / CHANGELOG:
        return "changelog.md"
    if path.is_relative_to(ROOT / "docs"):
        return path.relative_to(ROOT / "docs").as_posix()
    if not path.exists():
        log.warning("%s does not exist", target)
    kind = "tree" if path.is_dir() else "blob"
    return f"{config.repo_url}/{kind}/main/{path.relative_to(ROOT).as_posix()}"
