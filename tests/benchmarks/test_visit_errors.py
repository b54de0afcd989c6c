"""Visits that are split, missed or false, and the occlusions on which rules of the tracker are developed."""

import os
from pathlib import Path

import pytest

from benchmarks.accuracy.counting import PAGE
from benchmarks.accuracy.tracks import Recording, TrackerOutput, TruthBox
from benchmarks.accuracy.visit_errors import VisitErrors, error_table, hide_people, measure, visit_errors

DATA = os.environ.get("FACETALLY_DATA")
BOX = (0.0, 0.0, 20.0, 20.0)


def recording(*frames, fps=1.0):
    """A recording with one box per person and frame; a negative person is a false box."""
    return Recording("x", fps, (100, 100), tuple(tuple(TruthBox(p, BOX, p >= 0, 0.9) for p in each) for each in frames))


@pytest.mark.parametrize(
    ("frames", "numbers", "counted", "split", "missed", "false"),
    [
        ([(1,)] * 6, [(0,)] * 6, {0}, 0, 0, 0),
        ([(1,)] * 6, [(0,)] * 3 + [(1,)] * 3, {0, 1}, 1, 0, 0),
        ([(1,)] * 6, [(0,)] * 3 + [(1,)] * 3, {1}, 0, 0, 0),
        ([(1,)] * 6, [(None,)] * 6, set(), 0, 1, 0),
        ([(1, 2)] * 6, [(0, None)] * 4 + [(None, 0)] * 2, {0}, 0, 1, 0),
        ([(1, -1)] * 6, [(0, 1)] * 6, {0, 1}, 0, 0, 1),
        ([(1, 2)] * 4 + [(1,)] * 2, [(0, 1)] * 4 + [(0,)] * 2, {0, 1}, 0, 0, 1),
        ([(1,)] * 5 + [(), ()] + [(1,)] * 5, [(0,)] * 5 + [(), ()] + [(1,)] * 5, {0, 1}, 0, 0, 0),
        ([(1,)] * 5 + [(), ()] + [(1,)] * 5, [(0,)] * 5 + [(), ()] + [(0,)] * 5, {0}, 0, 1, 0),
    ],
    ids=[
        "right",
        "split",
        "second part alone counted",
        "missed",
        "joined with another person",
        "false boxes",
        "too short for a visit",
        "two visits",
        "two visits joined",
    ],
)
def test_errors_of_visits(frames, numbers, counted, split, missed, false):
    """A counted track belongs to the true visit of most of its boxes."""
    output = TrackerOutput(tuple(numbers), frozenset(counted))
    got = visit_errors(recording(*frames), 1, output)
    assert (got.split, got.missed, got.false) == (split, missed, false)


def test_lower_rates_are_compared_with_the_visits_at_the_full_rate():
    """Every second frame of a visit has too few boxes for one, but the visit is the truth."""
    full = recording(*[(1,)] * 6)
    got = visit_errors(full, 2, TrackerOutput(((0,),) * 3, frozenset({0})))
    assert got == VisitErrors(1, 0, 0, 0)


def test_people_are_hidden_once_and_seen_before_and_after():
    """A person in view for 5 s is hidden for 1 s, with 0.7 s in view on either side; one in view for 2 s is not."""
    full = recording(*[(1, 2) if index < 20 else (1,) for index in range(50)], fps=10.0)
    hidden = hide_people(full, (1.0, 1.0), 1.0)
    seen = {person: [any(box.person == person for box in boxes) for boxes in hidden.frames] for person in (1, 2)}
    assert seen[2].count(True) == 20
    assert seen[1].count(False) == 9
    first, last = seen[1].index(False), 49 - seen[1][::-1].index(False)
    assert last - first == 8
    assert first >= 7
    assert last <= 42
    assert hide_people(full, (1.0, 1.0), 1.0) == hidden
    assert hide_people(full, (1.0, 1.0), 0.0) == full


@pytest.mark.skipif(not DATA, reason="FACETALLY_DATA does not name the folder with counting/")
def test_the_page_has_the_measured_values():
    """docs/accuracy.md contains the rows that the benchmark prints."""
    page = PAGE.read_text()
    for line in error_table(measure(Path(DATA))):
        assert line in page
