"""Staff zones that exclude visitors are reported, zones around a workplace are not."""

import pytest

from edge.counting.zone_advice import advise

PATHS = "the zones lie on {} % of the straight paths through the frame: few visitors are counted"


def covers(percent, side, zone=1):
    return f"zone {zone} covers {percent} % of the {side} edge: people who walk in or out there are not counted"


def rectangle(left, top, right, bottom):
    return (left, top), (right, top), (right, bottom), (left, bottom)


@pytest.mark.parametrize(
    ("zones", "warnings"),
    [
        ((), []),
        ([rectangle(0.4, 0.4, 0.6, 0.6)], []),
        ([rectangle(0.05, 0.3, 0.3, 0.6)], []),
        ([rectangle(0, 0.3, 0.2, 1)], [covers(70, "left"), covers(20, "bottom")]),
        ([rectangle(0.4, 0.4, 0.6, 0.6), rectangle(0.8, 0, 1, 0.08)], [covers(20, "top", 2)]),
        ([rectangle(0, 0, 0.03, 1)], [covers(100, "left"), PATHS.format(50)]),
        ([((0.5, 0.1), (0.1, 0.5), (0.5, 0.9), (0.9, 0.5))], [PATHS.format(62)]),
        (
            [rectangle(0, 0, 1, 1)],
            [*(covers(100, side) for side in ("left", "right", "top", "bottom")), PATHS.format(100)],
        ),
    ],
)
def test_zones_that_exclude_visitors_are_named(zones, warnings):
    """A zone along an edge is named with the percentage of the edge, and zones across most paths with theirs."""
    assert advise(zones) == warnings
