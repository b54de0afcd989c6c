"""Accuracy of counting: limits on real tracks with published identities, and the scores it is measured by."""

import os
from pathlib import Path

import pytest

from benchmarks.accuracy.counting import PAGE, mean_error, of_peers, on_tracks, on_walks, put, track_table
from benchmarks.accuracy.tracks import Followed, Recording, TruthBox, read, recordings, score, true_visits

DATA = os.environ.get("FACETALLY_DATA")
needs_tracks = pytest.mark.skipif(not DATA, reason="FACETALLY_DATA does not name the folder with counting/tracks/")
TRUTH = {"bengal": 45, "choke1": 74, "street": 54, "terminal_1": 149}


@pytest.fixture(scope="module")
def ours():
    return [row for row in on_tracks(Path(DATA) / "counting" / "tracks") if row.recording in TRUTH]


@needs_tracks
def test_true_visits_are_the_published_ones():
    """The truth rule gives the known number of visits."""
    found = {each.name: true_visits(each) for each in recordings(Path(DATA) / "counting" / "tracks")}
    assert {name: found[name] for name in TRUTH} == TRUTH


@needs_tracks
@pytest.mark.parametrize(("false_boxes", "limit"), [(False, 0.05), (True, 0.25)])
@pytest.mark.parametrize("step", [1, 3, 6])
def test_mean_error_on_real_tracks(ours, false_boxes, limit, step):
    """At full, a third and a sixth of the frame rate the visits are within the limit, recordings weighted alike."""
    assert mean_error(row for row in ours if (row.false_boxes, row.step) == (false_boxes, step)) <= limit


@needs_tracks
def test_rates_agree_on_real_tracks(ours):
    """All visits at the full rate and at a sixth of it differ by at most 5 %."""
    full, sixth = (sum(row.score.visits for row in ours if not row.false_boxes and row.step == step) for step in (1, 6))
    assert abs(full - sixth) <= 0.05 * full


@needs_tracks
@pytest.mark.parametrize("recording", sorted(TRUTH))
def test_better_than_each_peer_on_each_recording(ours, recording):
    """SORT, ByteTrack and OC-SORT err more, on the mean over rates and boxes."""
    mine = mean_error(row for row in ours if row.recording == recording)
    peers = [row for row in of_peers() if row.recording == recording]
    assert {row.tracker for row in peers} == {"SORT", "ByteTrack", "OC-SORT"}
    for name in {row.tracker for row in peers}:
        assert mine < mean_error(row for row in peers if row.tracker == name), name


@needs_tracks
def test_real_walks_are_counted_at_each_rate():
    """432 walks through portals, one person each, within 2 %."""
    rows = on_walks(Path(DATA) / "counting" / "chokepoint_boxes.tar.gz")
    assert [row.score.truth for row in rows] == [432] * 3
    assert all(abs(row.score.error) <= 0.02 for row in rows)


@needs_tracks
def test_the_page_says_what_is_measured(ours):
    """The lines of the page are those that the benchmark prints."""
    page = PAGE.read_text()
    for line in track_table(ours)[2:]:
        assert line in page


def recording(*frames):
    """A recording of one box a person and frame, a second between frames."""
    box = (0.0, 0.0, 20.0, 20.0)
    return Recording("x", 1.0, (100, 100), tuple(tuple(TruthBox(p, box, True, 0.9) for p in each) for each in frames))


def test_switches_and_mixed_tracks_are_seen():
    """A person under a second number is a switch, unless a visit ended; a track of two people is mixed."""
    frames = recording((1,), (1, 2), (2,), (), (), (2,))
    got = score(frames, Followed(((0,), (1, 0), (0,), (), (), (2,)), frozenset({0, 1})), truth=1)
    assert (got.visits, got.switches, got.mixed, got.error) == (2, 1, 1, 1.0)


def test_a_visit_ends_after_the_gap():
    """Two seconds without a box do not end a visit; more do. Fewer than five boxes are none."""
    five = [(1,)] * 5
    assert true_visits(recording(*five, (), *five)) == 1
    assert true_visits(recording(*five, (), (), *five)) == 2
    assert true_visits(recording(*five[:4])) == 0


def test_a_broken_file_says_where(tmp_path):
    """File, line and what is missing."""
    (tmp_path / "a.txt").write_text("1\n0 1 7 1.0 2.0 30 30 1\n")
    with pytest.raises(ValueError, match=r"a\.txt, line 2: must hold 7 values for each of 1 boxes, holds 6"):
        read(tmp_path / "a.txt")


def test_tables_go_between_the_markers(tmp_path):
    """The rest of the page stays."""
    page = tmp_path / "page.md"
    page.write_text("a\n<!-- counting: begin -->\nold\n<!-- counting: end -->\nb\n")
    put("new", page)
    assert page.read_text() == "a\n<!-- counting: begin -->\nnew\n<!-- counting: end -->\nb\n"
