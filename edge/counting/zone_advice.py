"""Warn of staff zones that keep visitors from being counted.

A track that touches a staff zone once is never counted. So a zone at the edge of the frame excludes all who walk in or
out there, and zones across the middle exclude all who walk through. ``aiming/page/zones.js`` has the same
functions in JavaScript; a test compares both.
"""

from collections.abc import Iterator, Sequence
from itertools import combinations

from edge.counting.admit import in_polygon
from edge.settings import Point, Polygon

SIDES = ("left", "right", "top", "bottom")
EDGE_INSET = 0.02
"""Distance of the examined points from the edge, as a fraction of the frame. The centre of a face is not closer."""
EDGE_POINTS = 100
"""Points examined along each side."""
MIN_EDGE_PERCENT = 10
"""A zone that covers at least this percentage of a side is reported."""
PATH_ENDS = 12
"""Ends of paths on each side of the frame. Each end is joined with each end on the other sides."""
MIN_PATH_PERCENT = 50
"""Zones that cross at least this percentage of the paths are reported."""


def advise(zones: Sequence[Polygon]) -> list[str]:
    """Return one sentence for each thing about the zones that probably excludes visitors; none if nothing does."""
    warnings = []
    for number, zone in enumerate(zones, 1):
        for side in SIDES:
            percent = edge_percent(zone, side)
            if percent >= MIN_EDGE_PERCENT:
                warnings.append(
                    f"zone {number} covers {percent} % of the {side} edge:"
                    " people who walk in or out there are not counted"
                )
    percent = path_percent(zones)
    if percent >= MIN_PATH_PERCENT:
        warnings.append(
            f"the zones lie on {percent} % of the straight paths through the frame: few visitors are counted"
        )
    return warnings


def edge_percent(zone: Polygon, side: str) -> int:
    """Percentage of a side of the frame that a zone covers."""
    return sum(in_polygon(_on_side(side, (index + 0.5) / EDGE_POINTS), zone) for index in range(EDGE_POINTS))


def path_percent(zones: Sequence[Polygon]) -> int:
    """Percentage of the straight paths from one side of the frame to another that cross a zone."""
    paths = list(_paths())
    crossed = sum(any(_crosses(start, end, zone) for zone in zones) for start, end in paths)
    return (200 * crossed + len(paths)) // (2 * len(paths))


def _on_side(side: str, along: float) -> Point:
    """A point close to a side, at a fraction of its length."""
    match side:
        case "left":
            return EDGE_INSET, along
        case "right":
            return 1 - EDGE_INSET, along
        case "top":
            return along, EDGE_INSET
        case _:
            return along, 1 - EDGE_INSET


def _paths() -> Iterator[tuple[Point, Point]]:
    """All straight paths between two sides of the frame."""
    for one, other in combinations(SIDES, 2):
        for first in range(PATH_ENDS):
            for second in range(PATH_ENDS):
                start, end = ((index + 0.5) / PATH_ENDS for index in (first, second))
                yield _on_side(one, start), _on_side(other, end)


def _crosses(start: Point, end: Point, zone: Polygon) -> bool:
    """Whether a straight path has a point in a zone."""
    return in_polygon(start, zone) or any(
        _intersect(start, end, a, b) for a, b in zip(zone, (*zone[1:], zone[0]), strict=True)
    )


def _intersect(a: Point, b: Point, c: Point, d: Point) -> bool:
    """Whether the segments ab and cd cross: the ends of each lie on different sides of the other."""
    return _is_left(a, b, c) != _is_left(a, b, d) and _is_left(c, d, a) != _is_left(c, d, b)


def _is_left(a: Point, b: Point, point: Point) -> bool:
    """Whether a point lies to the left of the line from a to b, by the sign of the cross product."""
    return (b[0] - a[0]) * (point[1] - a[1]) - (b[1] - a[1]) * (point[0] - a[0]) > 0
