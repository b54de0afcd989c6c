"""Limits on the counting error on real tracks with published identities, and the scores it is measured by."""

import os
from pathlib import Path

import pytest

from benchmarks.accuracy.counting import (
    PAGE,
    mean_error,
    read_peer_scores,
    replace_between_markers,
    score_recordings,
    score_walks,
    track_table,
)
from benchmarks.accuracy.tracks import Recording, TrackerOutput, TruthBox, read, recordings, score, true_visits

DATA = os.environ.get("FACETALLY_DATA")
needs_tracks = pytest.mark.skipif(not DATA, reason="FACETALLY_DATA does not name the folder with counting/tracks/")
TRUTH = {"bengal": 45, "choke1": 74, "street": 54, "terminal_1": 149}


@pytest.fixture(scope="module")
def ours():
    return [row for row in score_recordings(Path(DATA) / "counting" / "tracks") if row.recording in TRUTH]


@needs_tracks
def test_true_visits_are_the_published_ones():
    """The rule for true visits gives the known numbers."""
    found = {each.name: true_visits(each) for each in recordings(Path(DATA) / "counting" / "tracks")}
    assert {name: found[name] for name in TRUTH} == TRUTH


@needs_tracks
@pytest.mark.parametrize(("false_boxes", "limit"), [(False, 0.05), (True, 0.25)])
@pytest.mark.parametrize("step", [1, 3, 6])
def test_mean_error_on_real_tracks(ours, false_boxes, limit, step):
    """At full, a third and a sixth of the frame rate the mean error over the recordings is within the limit."""
    assert mean_error(row for row in ours if (row.false_boxes, row.step) == (false_boxes, step)) <= limit


@needs_tracks
@pytest.mark.parametrize("recording", sorted(TRUTH))
def test_rates_agree_on_each_recording(ours, recording):
    """The visits at the full frame rate and at a sixth of it differ by at most 5 %."""
    visits = {row.step: row.score.visits for row in ours if row.recording == recording and not row.false_boxes}
    assert abs(visits[1] - visits[6]) <= 0.05 * visits[1]


@needs_tracks
@pytest.mark.parametrize("recording", sorted(TRUTH))
def test_better_than_each_peer_on_each_recording(ours, recording):
    """The mean error over rates and boxes is below those of SORT, ByteTrack and OC-SORT."""
    mine = mean_error(row for row in ours if row.recording == recording)
    peers = [row for row in read_peer_scores() if row.recording == recording]
    assert {row.tracker for row in peers} == {"SORT", "ByteTrack", "OC-SORT"}
    for name in {row.tracker for row in peers}:
        assert mine < mean_error(row for row in peers if row.tracker == name), name


@needs_tracks
def test_real_walks_are_counted_at_each_rate():
    """432 walks through portals, one person each, are counted to within 2 %."""
    rows = score_walks(Path(DATA) / "counting" / "chokepoint_boxes.tar.gz")
    assert [row.score.truth for row in rows] == [432] * 3
    assert all(abs(row.score.error) <= 0.02 for row in rows)


@needs_tracks
def test_the_page_has_the_measured_values(ours):
    """docs/accuracy.md contains the rows that the benchmark prints."""
    page = PAGE.read_text()
    for line in track_table(ours)[2:]:
        assert line in page


def recording(*frames):
    """A recording with one box per person and frame, at one frame a second."""
    box = (0.0, 0.0, 20.0, 20.0)
    return Recording("x", 1.0, (100, 100), tuple(tuple(TruthBox(p, box, True, 0.9) for p in each) for each in frames))


def test_switches_and_mixed_tracks_are_counted():
    """A new number within a visit is an identity switch; a track with two people is mixed."""
    frames = recording((1,), (1, 2), (2,), (), (), (2,))
    got = score(frames, TrackerOutput(((0,), (1, 0), (0,), (), (), (2,)), frozenset({0, 1})), truth=1)
    assert (got.visits, got.switches, got.mixed, got.error) == (2, 1, 1, 1.0)


def test_a_visit_ends_after_the_gap():
    """A visit ends after more than two seconds without a box; fewer than five boxes are no visit."""
    five = [(1,)] * 5
    assert true_visits(recording(*five, (), *five)) == 1
    assert true_visits(recording(*five, (), (), *five)) == 2
    assert true_visits(recording(*five[:4])) == 0


def test_an_invalid_file_is_reported_with_its_line(tmp_path):
    """The error names file, line and the number of values."""
    (tmp_path / "a.txt").write_text("1\n0 1 7 1.0 2.0 30 30 1\n")
    with pytest.raises(ValueError, match=r"a\.txt, line 2: must hold 7 values for each of 1 boxes, holds 6"):
        read(tmp_path / "a.txt")


def test_tables_are_written_between_the_markers(tmp_path):
    """The rest of the page is unchanged."""
    page = tmp_path / "page.md"
    page.write_text("a\n<!-- counting: begin -->\nold\n<!-- counting: end -->\nb\n")
    replace_between_markers("new", page)
    assert page.read_text() == "a\n<!-- counting: begin -->\nnew\n<!-- counting: end -->\nb\n"
