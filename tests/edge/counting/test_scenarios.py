"""Counts of scripted visitors, with the noise of a detector, agree with the truth within stated limits."""

import functools
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.simulation import scripted_scenes
from benchmarks.simulation.people import Noise, Person, Scene, simulate
from benchmarks.simulation.scripted_pipeline import LABELS, Score, run_scene
from contract.labels import UNKNOWN

ROOT = Path(__file__).parents[3]
RATES = [30, 15, 5]


@functools.cache
def shop(fps: float) -> Score:
    """The score of 240 visits over 50 minutes."""
    return run_scene(scripted_scenes.shop(1), fps, seed=1)


@pytest.mark.parametrize("fps", RATES)
def test_240_visits_are_counted_within_5_percent(fps):
    """Visitors walk past, stay, or are hidden for a moment, up to four at a time: the total is right within 5 %."""
    assert shop(fps).truth.total() == 240
    assert abs(shop(fps).error) <= 0.05


@pytest.mark.parametrize("fps", RATES)
@pytest.mark.parametrize("label", [*LABELS, UNKNOWN])
def test_240_visits_are_right_for_each_expression(fps, label):
    """One observation in three is wrong and one in ten is not good. The visits of each expression are still right
    within 5 %, or within two (one false visit and one wrong prediction).
    """
    score = shop(fps)
    assert abs(score.counted[label] - score.truth[label]) <= max(2, 0.05 * score.truth[label])


def test_240_visits_agree_between_rates():
    """The totals at 30, 15 and 5 frames per second differ by at most 5 %."""
    totals = [shop(fps).counted.total() for fps in RATES]
    assert max(totals) - min(totals) <= 0.05 * min(totals)


@pytest.mark.parametrize("fps", RATES)
def test_crossing_visitors(fps):
    """Forty people who pass each other, one hidden for a moment, are forty visits. At least two in three keep their
    track number at every rate.
    """
    score = run_scene(scripted_scenes.crossing(1, pairs=20), fps, seed=1)
    assert abs(score.counted.total() - 40) <= 2
    assert score.switches <= 40 / 3


@pytest.mark.parametrize("fps", RATES)
def test_short_occlusions(fps):
    """Visitors who are hidden twice for up to 1.2 s, walking or standing, are one visit each."""
    score = run_scene(scripted_scenes.hidden(1, visitors=40), fps, seed=1)
    assert abs(score.counted.total() - 40) <= 2
    assert score.switches <= 4


@pytest.mark.parametrize("fps", RATES)
def test_flicker_is_no_visit(fps):
    """Of 200 faces in view for up to 0.35 s, and 40 false detections, at most four are counted, because they happen to
    meet another.
    """
    score = run_scene(scripted_scenes.flicker(1, flickers=200), fps, seed=1)
    assert score.truth.total() == 0
    assert score.counted.total() <= 4


@pytest.mark.parametrize(("fps", "missed"), [(15, 0.05), (5, 0.05), (5, 0.5)])
def test_poster_in_view_for_an_hour(fps, missed):
    """A poster that is detected in as few as half of the frames is at most one visit. The sixty people who walk by are
    counted, few of them twice.
    """
    score = run_scene(scripted_scenes.poster(1, missed), fps, seed=1)
    assert score.wrong <= 1
    assert abs(score.counted.total() - 60) <= (3 if missed < 0.5 else 5)


@pytest.mark.parametrize("fps", [15, 5])
def test_visitor_who_stays_longer_than_a_visit(fps):
    """Visitors who browse for four to ten minutes, longer than ``max_visit_s``, are one visit each."""
    quiet = scripted_scenes.staying(1, visitors=5)
    score = run_scene(Scene(quiet.people, quiet.seconds, Noise(false_per_min=0)), fps, seed=1)
    assert score.counted.total() == 5


@pytest.mark.parametrize("fps", RATES)
def test_groups(fps):
    """Every person of a group of two to five is a visit, whether the group walks past or stays."""
    score = run_scene(scripted_scenes.groups(1, parties=30), fps, seed=1)
    assert score.truth.total() > 90
    assert abs(score.error) <= 0.05


def test_the_table_is_printed():
    """``python -m benchmarks.accuracy.scenarios`` prints a line for each scene and rate."""
    command = [sys.executable, "-m", "benchmarks.accuracy.scenarios", "--scenes", "queue", "--fps", "5", "--seed", "2"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300, cwd=ROOT).stdout
    head, line = printed.splitlines()
    assert head.split()[:4] == ["scene", "fps", "truth", "counted"]
    assert line.split()[:2] == ["queue", "5"]


def test_a_scene_is_the_same_each_time():
    """One seed gives the same faces and counts twice; another seed gives other noise."""
    scene = scripted_scenes.crossing(3, pairs=3)
    assert list(simulate(scene, 15, 1)) == list(simulate(scene, 15, 1))
    assert list(simulate(scene, 15, 1)) != list(simulate(scene, 15, 2))
    assert run_scene(scene, 15, 1) == run_scene(scene, 15, 1)


def test_score_sees_a_swap_and_a_staff_visit():
    """A visitor who jumps across the room is scored as an identity switch and two visits; a person who must not be
    counted and walks by is scored as wrong.
    """
    noise = Noise(missed=0, false_per_min=0)
    jumps = Person(
        "a", ((1, 100, 200, 50), (4, 100, 200, 50), (4.01, 500, 200, 50), (8, 500, 200, 50)), expression="anger"
    )
    score = run_scene(Scene((jumps,), 20, noise), 10, seed=1)
    assert (score.switches, score.counted.total(), score.truth.total()) == (1, 2, 1)
    staff = Person("b", ((1, 0, 200, 50), (6, 640, 200, 50)), expression="anger", visits=0)
    score = run_scene(Scene((staff,), 20, noise), 10, seed=1)
    assert (score.wrong, score.counted["anger"], score.error) == (1, 1, 1.0)
