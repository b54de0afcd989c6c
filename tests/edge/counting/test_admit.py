"""Who is never looked at: staff zones, closed hours, and places where somebody stays."""

import math
import random
from datetime import datetime, timedelta, timezone

import pytest

from base.errors import SettingsError
from edge.counting.admit import AdmissionGate, in_any_polygon, in_polygon, is_open
from edge.counting.dwell import MAX_SPOTS
from edge.counting.track import Tracker
from edge.settings import AdmitSettings, Hours, TrackSettings
from tests.support.fakes import BEGIN, each_frame, face, swaying, track

SHAPE = (480, 640)
SQUARE = ((0.2, 0.2), (0.6, 0.2), (0.6, 0.6), (0.2, 0.6))
HOOK = ((0, 0), (1, 0), (1, 1), (0.8, 1), (0.8, 0.2), (0, 0.2))


def gate(*zones, **of):
    return AdmissionGate(AdmitSettings(staff_zones=zones, **of))


def admitted(at, tracks, time=0.0, utc=BEGIN):
    return [each.number for each in at.admit(tracks, SHAPE, time, utc).admitted]


def stays(at, begin, end, number=0, fps=2.0, x=100.0):
    """Somebody stays at a place; the seconds at which they were admitted."""
    return [time for time in each_frame(fps, begin, end) if admitted(at, [track(number, x)], time)]


@pytest.mark.parametrize(
    ("point", "polygon", "within"),
    [
        ((0.4, 0.4), SQUARE, True),
        ((0.1, 0.4), SQUARE, False),
        ((0.7, 0.4), SQUARE, False),
        ((0.4, 0.1), SQUARE, False),
        ((0.4, 0.7), SQUARE, False),
        ((0.5, 0.1), HOOK, True),
        ((0.5, 0.5), HOOK, False),
        ((0.9, 0.9), HOOK, True),
        ((-0.1, 0.1), HOOK, False),
        ((1.1, 0.1), HOOK, False),
        ((0.1, 0.2), ((0, 0), (1, 0), (0, 1)), True),
        ((0.6, 0.6), ((0, 0), (1, 0), (0, 1)), False),
        ((0.5, 0.5), ((0, 0.5), (0.5, 0), (1, 0.5), (0.5, 1)), True),
    ],
)
def test_point_in_polygon(point, polygon, within):
    """Convex or not, and whichever way round it was drawn."""
    assert in_polygon(point, polygon) is within
    assert in_polygon(point, polygon[::-1]) is within
    assert in_any_polygon(point, [((0, 0), (0.01, 0), (0, 0.01)), polygon]) is within


def test_no_zone_holds_nobody():
    """``staff_zones = []`` bars nobody."""
    assert not in_any_polygon((0.5, 0.5), [])
    assert admitted(gate(), [track(1)]) == [1]


def test_track_in_a_zone_is_barred_for_life():
    """Staff who step out of their zone are still staff; the middle of the face decides."""
    at = gate(SQUARE)
    first = at.admit([track(1, 200, 200), track(2, 600, 200)], SHAPE, 0.0, BEGIN)
    assert ([each.number for each in first.admitted], first.barred) == ([2], (1,))
    later = at.admit([track(1, 600, 400), track(2, 500, 400)], SHAPE, 1.0, BEGIN)
    assert ([each.number for each in later.admitted], later.barred) == ([2], (1,))


def test_visitor_who_steps_into_a_zone_is_barred_from_then_on():
    """Whoever was among the staff once is no longer counted."""
    at = gate(SQUARE)
    path = [admitted(at, [track(1, x, 200)], index) for index, x in enumerate((600, 500, 300, 500, 600))]
    assert path == [[1], [1], [], [], []]


def test_counted_track_is_not_looked_at_again():
    """A visit that is counted already needs no classifier; it is not barred either."""
    admission = gate().admit([track(1, counted=True)], SHAPE, 0.0, BEGIN)
    assert (admission.admitted, admission.barred) == ((), ())


NINE_TO_EIGHT = Hours(timezone="Europe/Berlin", open="09:00", close="20:00", days=("mon", "sat"))
BAR = Hours(timezone="Europe/Berlin", open="20:00", close="03:00", days=("fri",))
ALL_DAY = Hours(timezone="America/New_York", open="00:00", close="24:00", days=("sun",))


@pytest.mark.parametrize(
    ("hours", "local", "opened"),
    [
        (NINE_TO_EIGHT, "2026-03-28T08:59:59+01:00", False),  # Saturday, winter time
        (NINE_TO_EIGHT, "2026-03-28T09:00:00+01:00", True),
        (NINE_TO_EIGHT, "2026-03-28T19:59:59+01:00", True),
        (NINE_TO_EIGHT, "2026-03-28T20:00:00+01:00", False),
        (NINE_TO_EIGHT, "2026-03-29T12:00:00+02:00", False),  # Sunday
        (NINE_TO_EIGHT, "2026-03-30T08:59:00+02:00", False),  # Monday, summer time: 06:59 UTC
        (NINE_TO_EIGHT, "2026-03-30T09:00:00+02:00", True),
        (NINE_TO_EIGHT, "2026-03-30T07:00:00+00:00", True),
        (NINE_TO_EIGHT, "2026-10-26T07:59:00+00:00", False),  # Monday after the clocks went back
        (NINE_TO_EIGHT, "2026-10-26T08:00:00+00:00", True),
        (BAR, "2026-03-27T19:59:00+01:00", False),  # Friday
        (BAR, "2026-03-27T20:00:00+01:00", True),
        (BAR, "2026-03-28T02:59:00+01:00", True),  # the night that began on Friday
        (BAR, "2026-03-28T03:00:00+01:00", False),
        (BAR, "2026-03-28T20:00:00+01:00", False),
        (BAR, "2026-03-27T02:00:00+01:00", False),
        (BAR, "2026-10-24T02:30:00+02:00", True),
        (ALL_DAY, "2026-03-29T00:00:00-04:00", True),
        (ALL_DAY, "2026-03-29T23:59:59-04:00", True),
        (ALL_DAY, "2026-03-30T00:00:00-04:00", False),
        (ALL_DAY, "2026-03-29T03:59:00+00:00", False),  # still Saturday in New York
    ],
)
def test_opening_hours_are_the_shops_own(hours, local, opened):
    """In the shop's time zone, over midnight and over daylight-saving days."""
    assert is_open(hours, datetime.fromisoformat(local).astimezone(timezone.utc)) is opened


def test_nobody_is_looked_at_outside_hours():
    """A track that is there at closing time is barred then, and one that came before opening stays barred."""
    at = gate(hours=Hours(timezone="UTC", open="09:00", close="20:00"))
    nine = BEGIN.replace(hour=9)
    assert admitted(at, [track(1)], 0, nine - timedelta(seconds=1)) == []
    assert admitted(at, [track(1), track(2, 400)], 1, nine) == [2]
    assert admitted(at, [track(2, 400)], 2, nine.replace(hour=20)) == []


@pytest.mark.parametrize("zone", ["Europe/Atlantis", "", "../etc/passwd", "/etc/passwd", "Europe"])
def test_zone_that_is_none_stops_at_start(zone):
    """A misspelt time zone is found before the first face, with its key."""
    with pytest.raises(SettingsError, match=r"key 'admit\.hours\.timezone': "):
        gate(hours=Hours(timezone=zone, open="09:00", close="20:00"))


def test_who_stays_too_long_is_barred():
    """After ``dwell_limit_s`` in a place nobody there is looked at, and the track stays barred when it walks off."""
    at = gate(dwell_limit_s=60)
    assert stays(at, 0, 120) == each_frame(2, 0, 59.5)
    assert admitted(at, [track(0, 500)], 121) == []
    assert admitted(at, [track(1, 500)], 121.5) == [1]


def test_next_one_at_a_barred_place_is_barred_at_once():
    """The place is barred, not only who made it so."""
    at = gate(dwell_limit_s=60)
    stays(at, 0, 60)
    assert admitted(at, [track(1, 110)], 70) == []
    assert admitted(at, [track(2, 200)], 70) == [2]


def test_barred_place_is_free_again_when_left_for_long():
    """After ``forget_s`` without anybody the till has moved, or it is another day."""
    at = gate(dwell_limit_s=60, forget_s=3600)
    stays(at, 0, 60)
    assert stays(at, 3600, 3610, number=1) == []  # and this visit begins the hour anew
    assert stays(at, 7205, 7210, number=2) == []
    assert stays(at, 10_811, 10_815, number=3) != []


@pytest.mark.parametrize("away_s", [3, 10, 20])
def test_cashier_who_turns_away_is_still_the_cashier(away_s):
    """Eight hours behind the till, swaying, turned away every 20 s: a new track each time, no look after the limit."""
    at, chance, looked_at = gate(), random.Random(5), []
    cycle = 20 + away_s
    for time in range(8 * 3600):
        if time % cycle < 20:
            who = track(time // cycle, chance.gauss(320, 5), chance.gauss(240, 3), 60, first=float(time - time % cycle))
            looked_at += [time] if admitted(at, [who], float(time)) else []
        else:
            at.release((), [time // cycle] if time % cycle == 21 else [], float(time))
    assert 100 <= len(looked_at) <= 120
    assert looked_at[-1] <= 7 * cycle


def test_cashier_among_customers_is_told_apart():
    """Through the real tracker: who stands beside the till for half a minute is looked at, the cashier is not."""
    at, tracker, looked_at = gate(), Tracker(TrackSettings()), []
    for time in each_frame(5, 0, 1800):
        faces = [swaying(320, 240, time, 60)] if time % 25 < 20 else []
        faces += [swaying(520, 240, time, 60)] if time % 180 < 30 else []
        tracks = tracker.update(faces, time, SHAPE)
        looked_at += [
            (time, each.face.centre[0]) for each in at.admit(tracks.seen, SHAPE, time, BEGIN).admitted if time > 300
        ]
        at.release(tracks.visits, tracks.gone, time)
    assert all(abs(x - 520) < 10 for _, x in looked_at)
    assert len(looked_at) > 8 * 30 * 5 * 0.9


@pytest.mark.parametrize("end", [46, 50, 53])
def test_who_is_lost_at_the_till_is_not_counted_because_the_source_ends(end):
    """A cashier turns away, a walker's face is lost where the cashier stood: staff as far as is known, also to a clip
    that ends while it waits."""
    at, tracker, visits, barred = gate(dwell_limit_s=20), Tracker(TrackSettings()), [], []
    for time in each_frame(10, 0, end):
        faces = [swaying(300, 200, time, 60)] if time < 30 else []
        faces += [face(20 + (time - 40) * 70, 200, 60)] if 40 <= time < 44 else []
        tracks = tracker.update(faces, time, SHAPE)
        barred += at.admit(tracks.seen, SHAPE, time, BEGIN).barred
        visits += at.release(tracks.visits, tracks.gone, time)[0]
    tracks = tracker.finish()
    visits += at.release(tracks.visits, tracks.gone, math.inf)[0]
    assert [visit.number for visit in visits if visit.number not in barred] == []
    assert barred


def test_passers_by_do_not_bar_the_spot_they_pass():
    """One visitor after another at one spot for ten hours, a second each in every six: all are looked at."""
    at = gate()
    for visit in range(6000):
        for step in (0.0, 0.5, 1.0):
            assert admitted(at, [track(visit, 320, 240)], visit * 6 + step) == [visit]
        at.release((), [visit], visit * 6 + 2.5)


def test_two_faces_in_one_place_do_not_double_its_time():
    """A couple that stands close together may stay as long as one."""
    at = gate(dwell_limit_s=60)
    both = [track(1, 100), track(2, 110)]
    assert all(len(admitted(at, both, time)) == 2 for time in each_frame(2, 0, 59))


def test_memory_is_bounded():
    """However many come and go, places and barred numbers do not pile up."""
    at, chance = gate(SQUARE), random.Random(6)
    for number in range(3000):
        time = number * 1.0
        admitted(at, [track(number, chance.uniform(0, 640), chance.uniform(0, 480), 4)], time)
        at.release((), [number - 5] if number >= 5 else [], time)
        assert len(at._places._left) <= MAX_SPOTS
    assert len(at._barred) <= 5
    assert len(at._places._held) == 5


def test_too_many_places_never_push_out_a_barred_one():
    """A crowd of new faces cannot make the till forgotten."""
    at = gate(dwell_limit_s=60)
    stays(at, 0, 60, x=5)
    crowd = [track(number, 40 + 30 * (number % 100), 50 + 30 * (number // 100), 10) for number in range(1, 601)]
    assert len(admitted(at, crowd, 61)) == 600
    assert admitted(at, [track(1000, 5)], 62) == []
    at.release((), range(1, 601), 62.5)
    assert len(at._places._left) <= MAX_SPOTS
    assert admitted(at, [track(1001, 5)], 63) == []
