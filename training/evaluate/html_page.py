"""Write a self-contained HTML report, and each of its images as a PNG file."""

import base64
import html
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from matplotlib.figure import Figure

STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:70em;margin:2em auto;padding:0 1em}"
    "table{border-collapse:collapse;margin:1em 0}td,th{padding:.2em .8em;text-align:right;border-bottom:1px solid #ccc}"
    "td:first-child,th:first-child{text-align:left}img{max-width:100%}"
)


@dataclass(slots=True)
class Page:
    """A report that is built from top to bottom."""

    title: str
    _parts: list[str] = field(default_factory=list)
    _images: dict[str, bytes] = field(default_factory=dict)

    def add_section(self, heading: str, text: str = "") -> None:
        """Add a heading and a paragraph."""
        self._parts.append(f"<h2>{html.escape(heading)}</h2>" + (f"<p>{html.escape(text)}</p>" if text else ""))

    def add_table(self, head: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """Add a table; floats are shown with three decimals."""
        lines = ["".join(f"<th>{html.escape(cell)}</th>" for cell in head)]
        lines += ["".join(f"<td>{html.escape(_text(cell))}</td>" for cell in row) for row in rows]
        self._parts.append("<table>" + "".join(f"<tr>{line}</tr>" for line in lines) + "</table>")

    def add_figure(self, name: str, figure: Figure) -> None:
        """Add a figure of matplotlib, also written as ``NAME.png``."""
        content = io.BytesIO()
        figure.savefig(content, format="png", dpi=110)
        self.add_image(name, content.getvalue())

    def add_image(self, name: str, png: bytes) -> None:
        """Add a PNG image, also written as ``NAME.png``."""
        self._images[name] = png
        encoded = base64.b64encode(png).decode()
        self._parts.append(f'<img alt="{html.escape(name)}" src="data:image/png;base64,{encoded}">')

    def write(self, path: Path) -> None:
        """Write the page, and its images beside it."""
        head = f'<!doctype html><meta charset="utf-8"><title>{html.escape(self.title)}</title><style>{STYLE}</style>'
        path.write_text(head + f"<h1>{html.escape(self.title)}</h1>" + "\n".join(self._parts) + "\n")
        for name, png in self._images.items():
            (path.parent / f"{name}.png").write_bytes(png)


def _text(cell: object) -> str:
    return f"{cell:.3f}" if isinstance(cell, float) else str(cell)
