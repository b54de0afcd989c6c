"""Staff zones, opening hours and dwell decide which tracks may be classified."""

import math
import random
from datetime import datetime, timedelta, timezone

import pytest

from base.errors import SettingsError
from edge.counting.admit import AdmissionGate, first_polygon, in_polygon, is_open
from edge.counting.dwell import MAX_SPOTS
from edge.counting.track import Tracker
from edge.settings import AdmitSettings, Hours, TrackSettings
from tests.support.fakes import BEGIN, each_frame, face, swaying, track

SHAPE = (480, 640)
SQUARE = ((0.2, 0.2), (0.6, 0.2), (0.6, 0.6), (0.2, 0.6))
HOOK = ((0, 0), (1, 0), (1, 1), (0.8, 1), (0.8, 0.2), (0, 0.2))


def make_gate(*zones, **of):
    return AdmissionGate(AdmitSettings(staff_zones=zones, **of))


def admitted(gate, tracks, time=0.0, utc=BEGIN):
    return [each.number for each in gate.admit(tracks, SHAPE, time, utc).admitted]


def stay(gate, begin, end, number=0, fps=2.0, x=100.0):
    """A track stays in one spot. Returns the seconds at which it was admitted."""
    return [time for time in each_frame(fps, begin, end) if admitted(gate, [track(number, x)], time)]


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
    """Polygons may be concave, and drawn in either direction."""
    assert in_polygon(point, polygon) is within
    assert in_polygon(point, polygon[::-1]) is within
    assert first_polygon(point, [((0, 0), (0.01, 0), (0, 0.01)), polygon]) == (1 if within else None)


def test_no_zone_excludes_nobody():
    """``staff_zones = []`` excludes nobody."""
    assert first_polygon((0.5, 0.5), []) is None
    assert admitted(make_gate(), [track(1)]) == [1]


def test_track_in_a_zone_is_excluded_for_life():
    """A track whose face centre was in a staff zone stays excluded outside of it."""
    gate = make_gate(SQUARE)
    first = gate.admit([track(1, 200, 200), track(2, 600, 200)], SHAPE, 0.0, BEGIN)
    assert ([each.number for each in first.admitted], first.excluded) == ([2], (1,))
    later = gate.admit([track(1, 600, 400), track(2, 500, 400)], SHAPE, 1.0, BEGIN)
    assert ([each.number for each in later.admitted], later.excluded) == ([2], (1,))


def test_visitor_who_steps_into_a_zone_is_excluded_from_then_on():
    """A track that enters a staff zone is no longer admitted."""
    gate = make_gate(SQUARE)
    path = [admitted(gate, [track(1, x, 200)], index) for index, x in enumerate((600, 500, 300, 500, 600))]
    assert path == [[1], [1], [], [], []]


def test_counted_track_is_not_classified_again():
    """A visit that is already counted needs no classifier. It is not excluded either."""
    admission = make_gate().admit([track(1, counted=True)], SHAPE, 0.0, BEGIN)
    assert (admission.admitted, admission.excluded) == ((), ())


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
def test_opening_hours_are_in_the_shops_time_zone(hours, local, opened):
    """Hours hold in the shop's time zone, across midnight and on days of daylight-saving changes."""
    assert is_open(hours, datetime.fromisoformat(local).astimezone(timezone.utc)) is opened


def test_nobody_is_classified_outside_hours():
    """A track in view at closing time is excluded then. A track from before opening time stays excluded."""
    gate = make_gate(hours=Hours(timezone="UTC", open="09:00", close="20:00"))
    nine = BEGIN.replace(hour=9)
    assert admitted(gate, [track(1)], 0, nine - timedelta(seconds=1)) == []
    assert admitted(gate, [track(1), track(2, 400)], 1, nine) == [2]
    assert admitted(gate, [track(2, 400)], 2, nine.replace(hour=20)) == []


@pytest.mark.parametrize("zone", ["Europe/Atlantis", "", "../etc/passwd", "/etc/passwd", "Europe"])
def test_unknown_time_zone_is_an_error_at_start(zone):
    """A misspelt time zone is reported with its key, before the first face."""
    with pytest.raises(SettingsError, match=r"key 'admit\.hours\.timezone': "):
        make_gate(hours=Hours(timezone=zone, open="09:00", close="20:00"))


def test_track_that_stays_too_long_is_excluded():
    """After ``dwell_limit_s`` in one spot a track is excluded, and stays excluded when it walks off."""
    gate = make_gate(dwell_limit_s=60)
    assert stay(gate, 0, 120) == each_frame(2, 0, 59.5)
    assert admitted(gate, [track(0, 500)], 121) == []
    assert admitted(gate, [track(1, 500)], 121.5) == [1]


def test_next_track_in_a_staff_spot_is_excluded_at_once():
    """The spot is excluded, not only the track that stayed there."""
    gate = make_gate(dwell_limit_s=60)
    stay(gate, 0, 60)
    assert admitted(gate, [track(1, 110)], 70) == []
    assert admitted(gate, [track(2, 200)], 70) == [2]


def test_staff_spot_is_forgotten_when_unused_for_long():
    """A spot in which nobody was for ``forget_s`` is open to visitors again."""
    gate = make_gate(dwell_limit_s=60, forget_s=3600)
    stay(gate, 0, 60)
    assert stay(gate, 3600, 3610, number=1) == []  # and this track starts the hour anew
    assert stay(gate, 7205, 7210, number=2) == []
    assert stay(gate, 10_811, 10_815, number=3) != []


@pytest.mark.parametrize("away_s", [3, 10, 20])
def test_cashier_who_turns_away_is_still_the_cashier(away_s):
    """A cashier who turns away every 20 s for eight hours has a new track each time, and is never classified after the
    dwell limit."""
    gate, rng, admitted_at = make_gate(), random.Random(5), []
    cycle = 20 + away_s
    for time in range(8 * 3600):
        if time % cycle < 20:
            cashier = track(time // cycle, rng.gauss(320, 5), rng.gauss(240, 3), 60, first=float(time - time % cycle))
            admitted_at += [time] if admitted(gate, [cashier], float(time)) else []
        else:
            gate.release((), [time // cycle] if time % cycle == 21 else [], float(time))
    assert 100 <= len(admitted_at) <= 120
    assert admitted_at[-1] <= 7 * cycle


def test_cashier_is_told_from_customers():
    """With the real tracker, customers who stand beside the till for half a minute are admitted, the cashier is not."""
    gate, tracker, admitted_faces = make_gate(), Tracker(TrackSettings()), []
    for time in each_frame(5, 0, 1800):
        faces = [swaying(320, 240, time, 60)] if time % 25 < 20 else []
        faces += [swaying(520, 240, time, 60)] if time % 180 < 30 else []
        update = tracker.update(faces, time, SHAPE)
        admission = gate.admit(update.seen, SHAPE, time, BEGIN)
        admitted_faces += [each.face.centre[0] for each in admission.admitted if time > 300]
        gate.release(update.visits, update.gone, time)
    assert all(abs(x - 520) < 10 for x in admitted_faces)
    assert len(admitted_faces) > 8 * 30 * 5 * 0.9


@pytest.mark.parametrize("end", [46, 50, 53])
def test_visit_pending_at_the_till_is_not_counted_at_the_end(end):
    """A walker who is lost where a cashier stood counts as staff, also in a clip that ends while the visit is
    pending."""
    gate, tracker, visits, excluded = make_gate(dwell_limit_s=20), Tracker(TrackSettings()), [], []
    for time in each_frame(10, 0, end):
        faces = [swaying(300, 200, time, 60)] if time < 30 else []
        faces += [face(20 + (time - 40) * 70, 200, 60)] if 40 <= time < 44 else []
        update = tracker.update(faces, time, SHAPE)
        excluded += gate.admit(update.seen, SHAPE, time, BEGIN).excluded
        visits += gate.release(update.visits, update.gone, time)[0]
    update = tracker.finish()
    visits += gate.release(update.visits, update.gone, math.inf)[0]
    assert [visit.number for visit in visits if visit.number not in excluded] == []
    assert excluded


def test_passers_by_do_not_make_a_staff_spot():
    """Visitors who pass one spot for ten hours, one second in every six, are all admitted."""
    gate = make_gate()
    for visit in range(6000):
        for step in (0.0, 0.5, 1.0):
            assert admitted(gate, [track(visit, 320, 240)], visit * 6 + step) == [visit]
        gate.release((), [visit], visit * 6 + 2.5)


def test_two_faces_in_one_spot_do_not_double_its_dwell():
    """Two people who stand close together may stay as long as one."""
    gate = make_gate(dwell_limit_s=60)
    both = [track(1, 100), track(2, 110)]
    assert all(len(admitted(gate, both, time)) == 2 for time in each_frame(2, 0, 59))


def test_memory_is_bounded():
    """Spots and excluded numbers stay bounded, however many tracks come and go."""
    gate, rng = make_gate(SQUARE), random.Random(6)
    for number in range(3000):
        time = number * 1.0
        admitted(gate, [track(number, rng.uniform(0, 640), rng.uniform(0, 480), 4)], time)
        gate.release((), [number - 5] if number >= 5 else [], time)
        assert len(gate._spots._vacant) <= MAX_SPOTS
    assert len(gate._excluded) <= 5
    assert len(gate._spots._occupied) == 5


def test_too_many_spots_never_push_out_a_staff_spot():
    """A crowd of new faces does not make the gate forget the till."""
    gate = make_gate(dwell_limit_s=60)
    stay(gate, 0, 60, x=5)
    crowd = [track(number, 40 + 30 * (number % 100), 50 + 30 * (number // 100), 10) for number in range(1, 601)]
    assert len(admitted(gate, crowd, 61)) == 600
    assert admitted(gate, [track(1000, 5)], 62) == []
    gate.release((), range(1, 601), 62.5)
    assert len(gate._spots._vacant) <= MAX_SPOTS
    assert admitted(gate, [track(1001, 5)], 63) == []


def test_a_visitor_who_walks_in_does_not_inherit_dwell_time():
    """Four people follow one another in one spot, and two of them walk in. None of them stays for long."""
    gate, time, counted, excluded = make_gate(), 0.0, [], ()
    for number, (seconds, route) in enumerate(((40, ()), (45, range(20)), (40, range(20)), (5, ()))):
        first = time
        for x in [*(900 - 40 * step for step in route), *[100] * (10 * seconds)]:
            person = track(number, x, first=first, last=time)
            excluded += gate.admit([person], SHAPE, time, BEGIN).excluded
            time += 0.1
        counted += gate.release([person], [number], time + 1.5).visits
        time += 3
    counted += gate.release([], [], time + 200).visits
    assert excluded == ()
    assert sorted(visit.number for visit in counted) == [0, 1, 2, 3]
