"""A line of values as a small SVG image."""

import numpy as np

from collector.store.intervals import Floats

WIDTH, HEIGHT, EDGE = 120, 28, 2
"""Units of the image."""


def sparkline_svg(values: Floats) -> str:
    """Return a line of values as SVG; a gap breaks the line. It begins at zero."""
    known = values[~np.isnan(values)]
    top = float(known.max()) if len(known) and known.max() > 0 else 1.0
    x = np.linspace(EDGE, WIDTH - EDGE, max(len(values), 2))
    parts, pen = [], "M"
    for at, value in enumerate(values):
        if np.isnan(value):
            pen = "M"
            continue
        parts.append(f"{pen}{x[at]:.1f} {HEIGHT - EDGE - (HEIGHT - 2 * EDGE) * value / top:.1f}")
        pen = "L"
    return (
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {WIDTH} {HEIGHT}'>"
        f"<path d='{''.join(parts)}' fill='none' stroke='#5B8DD9' stroke-width='2' stroke-linecap='round'/></svg>"
    )


def sparkline(values: Floats) -> str:
    """Return `sparkline_svg` as a data address."""
    return "data:image/svg+xml," + sparkline_svg(values).replace("#", "%23").replace("<", "%3C").replace(">", "%3E")
