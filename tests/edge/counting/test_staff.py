"""The cashier, the door and the queue: who is staff is told by how they come, stay and vanish."""

import pytest

from benchmarks.simulation import scripted_scenes
from benchmarks.simulation.people import Noise, Person, Scene
from benchmarks.simulation.scripted_pipeline import run_scene
from edge.settings import AdmitSettings

QUIET = Noise(false_per_min=0)
RATES = [30, 15, 5]


def nobody_of_staff(score):
    """None counted, and no look after the dwell limit, though there were looks before."""
    return score.staff_classified > 0 and (score.wrong, score.late_classified) == (0, 0)


def test_cashier_of_eight_hours_is_never_counted():
    """Face to the shop for 20 s, away for 3 to 20 s, back a bit beside, eight hours long: none is counted, and after
    the first 120 s in view there is no look at them.
    """
    scene = scripted_scenes.cashier(1)
    score = run_scene(Scene(scene.people, scene.seconds, QUIET), 5, seed=1)
    assert len(score.windows) == 480
    assert score.counted.total() == 0
    assert nobody_of_staff(score)


@pytest.mark.parametrize("fps", RATES)
@pytest.mark.parametrize(("seed", "away_s"), [(2, (2.0, 6.0)), (3, (3.0, 20.0)), (4, (3.0, 20.0)), (5, (10.0, 40.0))])
def test_cashier_at_any_rate(fps, seed, away_s):
    """The same for ten minutes at other rates, with false faces and other times away."""
    assert nobody_of_staff(run_scene(scripted_scenes.cashier(seed, 1 / 6, away_s), fps, seed))


@pytest.mark.parametrize("seed", [1, 2])
def test_till_among_customers(seed):
    """Customers beside the till are counted, the cashier is not."""
    score = run_scene(scripted_scenes.till(seed, hours=0.5), 10, seed)
    assert nobody_of_staff(score)
    assert abs(score.error) <= 0.05


@pytest.mark.parametrize("seed", [1, 2])
def test_customers_who_walk_through_the_till_are_counted(seed):
    """While they pass the barred place nobody looks at them; their visit counts. Sometimes cashier and customer swap
    tracks where they meet, which costs a visit.
    """
    score = run_scene(scripted_scenes.before_till(seed, hours=0.5), 10, seed)
    assert nobody_of_staff(score)
    assert abs(score.error) <= 0.07


@pytest.mark.parametrize("fps", RATES)
@pytest.mark.parametrize("seed", [1, 2])
def test_busy_door_is_no_till(fps, seed):
    """One after another through the same place, two thirds of the time, an hour long: all are counted."""
    scene = scripted_scenes.door(seed, hours=1.0 if fps == 5 else 0.15)
    in_view = sum(person.route[-1][0] - person.route[0][0] for person in scene.people)
    assert 0.6 <= in_view / scene.seconds <= 0.75
    assert abs(run_scene(scene, fps, seed).error) <= 0.05


@pytest.mark.parametrize("seed", [1, 2])
def test_queue_is_no_till(seed):
    """One customer after another stands in one place for 15 to 50 s; half of them turn round and are just gone."""
    assert abs(run_scene(scripted_scenes.queue(seed), 5, seed).error) <= 0.05


def test_visitors_who_appear_in_one_place_are_taken_for_staff():
    """The error that remains: where faces are found only where they stand, one visitor after another looks like one
    cashier who turns away, and the benefit of the doubt is the staff's.
    """
    score = run_scene(scripted_scenes.in_place(1, hours=0.5), 5, seed=1)
    assert score.error < -0.5


def test_visitor_at_the_till_is_taken_for_staff():
    """The other: who stands where the cashier does is barred with the place."""
    till = scripted_scenes.cashier(1, hours=0.2)
    x, y, size = scripted_scenes.TILL
    late = Person(
        "late", ((700, -20, y, size), (703, x, y, size), (715, x, y, size), (718, -20, y, size)), expression="anger"
    )
    alone = Person("cashier", till.people[0].route[:40], till.people[0].away[:20], "neutral", 0)
    assert alone.route[-1][0] < 700
    assert run_scene(Scene((alone, late), 800, QUIET), 10, seed=1).counted.total() == 0


def test_visit_that_vanished_in_place_counts_when_it_is_over():
    """Who turned round after 10 s may come back for half a minute; the visit counts in the window in which it is over.
    Who walked off counts at once.
    """
    stands = ((20.0, 300.0, 200.0, 50.0), (23.0, 305.0, 200.0, 50.0), (42.0, 300.0, 200.0, 50.0))
    turned = Person("turned", ((13, -20, 200, 50), *stands), expression="anger")
    assert run_scene(Scene((turned,), 170, QUIET), 10, seed=1).windows == [0, 1, 0]
    walked = Person("walked", ((13, -20, 200, 50), *stands, (45, 660, 200, 50)), expression="anger")
    assert run_scene(Scene((walked,), 170, QUIET), 10, seed=1).windows == [1, 0, 0]


def test_source_that_ends_counts_what_waits():
    """A clip that ends while somebody may still come back counts them."""
    stands = Person("stands", ((1, 300, 200, 50), (20, 300, 200, 50)), expression="anger")
    assert run_scene(Scene((stands,), 25, QUIET), 10, seed=1).counted.total() == 1


@pytest.mark.parametrize("fps", [15, 5])
def test_zone_keeps_every_look_away(fps):
    """In a triangle drawn round the till not one look is taken, from the first frame on; customers are counted."""
    zone = ((0.55, 0.2), (1.0, 0.2), (0.66, 1.0))
    scene = scripted_scenes.till(2, hours=0.25)
    score = run_scene(scene, fps, 2, AdmitSettings(staff_zones=(zone,)))
    assert (score.staff_classified, score.wrong) == (0, 0)
    assert abs(score.counted.total() - score.truth.total()) <= 1
