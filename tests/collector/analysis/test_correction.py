"""Corrected shares: the interval holds the truth about nine times in ten, and says no change where there is none."""

from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from msgspec.structs import replace

from collector.analysis.correction import Confusion, compare, confusions, estimate, left_out, shares, shares_over
from collector.devices.device import Device
from collector.store.cells import HOUR_S, cells
from collector.store.columns import FIXED_COLUMNS
from tests.support.fakes import MODEL

LABELS = ("anger", "happiness", "neutral")
ANSWERS = np.array([[0.70, 0.05, 0.20, 0.05], [0.02, 0.90, 0.06, 0.02], [0.10, 0.05, 0.75, 0.10]])
"""Chances of each answer, ``unknown`` last, by truth."""
START = datetime(2026, 3, 2, 9, tzinfo=timezone.utc)
UTC = ZoneInfo("UTC")
TOLD = ("shop", "door", "e@1")


def measured(chance: np.random.Generator, visits: tuple[int, ...] = (120, 400, 600)) -> Confusion:
    """A matrix from so many visits of each truth."""
    rows = [chance.multinomial(number, row) for number, row in zip(visits, ANSWERS, strict=True)]
    return Confusion(LABELS, np.array(rows, np.float64), "visits")


def windows(*visits: "np.ndarray | list[int]", bundle: str = "e@1", names: tuple[str, ...] = LABELS) -> pd.DataFrame:
    """One window an hour with these visits, ``unknown`` last."""
    rows = []
    for hour, counted in enumerate(visits):
        start = pd.Timestamp(START) + pd.Timedelta(hours=hour)
        end = start + pd.Timedelta(minutes=1)
        rows.append((1, "shop", "door", "0" * 16, hour, start, end, "synced", 1.0, "", 1, 1, "d", bundle, *counted))
    return pd.DataFrame(rows, columns=[*FIXED_COLUMNS, *names, "unknown"]).astype(
        dict.fromkeys([*names, "unknown"], float)
    )


@pytest.mark.parametrize("number", [100, 1000, 20_000])
def test_the_interval_holds_the_truth_in_85_to_95_percent(number: int) -> None:
    """400 shops of any mix, each with a matrix measured anew: over all labels the 90 % interval is neither too narrow
    nor too wide, whether the counts or the matrix is what is uncertain; and the corrected share is nearer."""
    chance = np.random.default_rng(number)
    held, nearer = [], []
    for _ in range(400):
        truth = chance.dirichlet(np.ones(3))
        frame = windows(chance.multinomial(number, truth @ ANSWERS))
        table = shares(frame, {TOLD: measured(chance)}, chance, draws=200)
        held += ((table["low"] <= truth) & (truth <= table["high"])).tolist()
        nearer.append(np.abs(table["share"] - truth).sum() - np.abs(table["corrected"] - truth).sum())
    assert 0.85 <= np.mean(held) <= 0.95
    assert np.mean(nearer) > 0


def test_answers_without_noise_give_the_truth_back() -> None:
    """The estimate inverts the matrix exactly where a mix of its rows makes the answers, at the edge of the simplex
    too; unknown visits more often than the matrix says, but alike for all labels, change nothing."""
    truth = np.array([[0.2, 0.5, 0.3], [0.0, 0.4, 0.6], [1.0, 0.0, 0.0]])
    answers = 1000 * truth @ ANSWERS
    assert np.abs(estimate(answers[:, :-1], ANSWERS) - truth).max() < 0.002
    assert np.abs(estimate(0.3 * answers[:, :-1], ANSWERS) - truth).max() < 0.002


def test_no_visits_no_share() -> None:
    """An hour in which nobody came has no shares, and shares of nothing are not 0."""
    chance = np.random.default_rng(1)
    frame = windows([0, 0, 0, 0], [30, 50, 40, 5])
    span = (START, START + timedelta(hours=3))
    table = shares_over(frame, HOUR_S, UTC, span, {TOLD: measured(chance)}, chance)
    assert list(table.index.get_level_values("start").unique().hour) == [9, 10, 11]
    empty = table.loc[[START, START + timedelta(hours=2)], ["share", "corrected", "low", "high"]]
    assert empty.isna().all(axis=None)
    full = table.loc[START + timedelta(hours=1)]
    assert full["corrected"].sum() == pytest.approx(1)
    assert ((full["low"] <= full["corrected"]) & (full["corrected"] <= full["high"])).all()
    assert list(full["visits"]) == [30, 50, 40]
    pd.testing.assert_series_equal(
        shares(cells(frame), {TOLD: measured(chance)}, chance)["share"],
        shares(frame, {TOLD: measured(chance)}, chance)["share"],
    )


def test_bundles_are_corrected_each_by_its_own_matrix() -> None:
    """A bundle that swaps two labels and one that does not: together the truth; a third, of which no matrix is known,
    is counted as it is and left out of the correction."""
    chance = np.random.default_rng(2)
    straight = Confusion(LABELS, np.hstack([np.eye(3) * 1e5, np.zeros((3, 1))]), "faces")
    swapped = Confusion(LABELS, np.hstack([np.eye(3)[[1, 0, 2]] * 1e5, np.zeros((3, 1))]), "faces")
    frame = pd.concat(
        [windows([300, 100, 0, 9]), windows([100, 300, 0, 0], bundle="e@2"), windows([7, 0, 0, 0], bundle="e@3")]
    )
    table = shares(frame, {TOLD: straight, ("shop", "door", "e@2"): swapped}, chance)
    assert table["corrected"].round(2).tolist() == [0.75, 0.25, 0]
    assert table["visits"].tolist() == [407, 400, 0]
    assert left_out(frame, {TOLD: straight, ("shop", "door", "e@2"): swapped}) == 7
    assert shares(frame, {}, chance)[["corrected", "low", "high"]].isna().all(axis=None)


def test_the_order_of_labels_is_each_bundles_own() -> None:
    """One bundle names its labels in another order than its counts come in, and one says of itself what its rows do
    not: the first is corrected all the same, the other is left out.
    """
    chance = np.random.default_rng(2)
    swapped = np.hstack([np.eye(3)[[1, 0, 2]] * 1e5, np.zeros((3, 1))])  # the first two labels for each other
    backwards = Confusion(LABELS[::-1], swapped, "faces")
    table = shares(windows([0, 300, 100, 0]), {TOLD: backwards}, chance)
    assert table["corrected"].round(2).tolist() == [0, 0.25, 0.75]
    other = Confusion(("a", "b"), np.ones((2, 3)), "faces")
    assert shares(windows([300, 100, 0, 0]), {TOLD: other}, chance)["corrected"].isna().all()


def test_shares_are_of_visits_that_could_have_the_label() -> None:
    """Devices with other labels beside: the share of calm is of their visits alone."""
    chance = np.random.default_rng(3)
    other = Confusion(("calm", "busy"), np.hstack([np.eye(2) * 1e5, np.zeros((2, 1))]), "faces")
    frame = pd.concat([windows([100, 100, 200, 0]), windows([30, 10, 0], bundle="o@1", names=("calm", "busy"))])
    table = shares(frame, {TOLD: measured(chance), ("shop", "door", "o@1"): other}, chance)
    assert table.loc[list(LABELS), "corrected"].sum() == pytest.approx(1)
    assert table.loc["calm", "corrected"] == pytest.approx(0.75, abs=0.01)


def test_two_samples_of_one_mix_have_no_clear_change() -> None:
    """Of 300 comparisons of the same mix hardly one is called a change; twice as many happy is called one."""
    chance = np.random.default_rng(4)
    matrices = {TOLD: measured(chance)}
    truth = np.array([0.2, 0.3, 0.5]) @ ANSWERS
    called = []
    for _ in range(100):
        one, other = (windows(chance.multinomial(500, truth)) for _ in range(2))
        called += (compare(one, other, matrices, chance)["change"] != "no clear change").tolist()
    assert np.mean(called) < 0.05
    happier = windows(chance.multinomial(500, np.array([0.15, 0.6, 0.25]) @ ANSWERS))
    table = compare(windows(chance.multinomial(500, truth)), happier, matrices, chance)
    assert table.loc["happiness", "change"] == "more"
    assert table.loc["neutral", "change"] == "less"
    assert set(compare(one, other, {}, chance)["change"]) == {"no clear change"}


def test_the_matrix_comes_from_the_model_message() -> None:
    """Of each classifier that a device has told of, under the device's name and the name that its rows have."""
    former = replace(MODEL.expression, sha256="c" * 64, confusion=())
    found = confusions([Device(site="shop", device="door", model=MODEL, bundles=(former,))])
    assert list(found) == [("shop", "door", "expression@bbbbbbbbbbbb")]
    matrix = found["shop", "door", "expression@bbbbbbbbbbbb"]
    assert (matrix.of, matrix.labels) == ("faces", ("happiness", "neutral"))
    assert matrix.counts.tolist() == [[9, 1, 0], [2, 8, 0]]


def test_a_false_matrix_of_another_device_moves_nothing() -> None:
    """Another device tells of the same classifier that it swaps its labels: the shares of a shop and their intervals
    stay as they are, to the last digit; only the counts of the device itself are corrected so.
    """
    chance = np.random.default_rng(5)
    matrix = measured(chance)
    swapped = Confusion(LABELS, matrix.counts[[1, 0, 2]], "visits")
    own, liars = windows([120, 300, 500, 40]), windows([120, 300, 500, 40]).assign(device="liar")
    both = {TOLD: matrix, ("shop", "liar", "e@1"): swapped}
    before = shares(own, {TOLD: matrix}, np.random.default_rng(6))
    pd.testing.assert_frame_equal(shares(own, both, np.random.default_rng(6)), before)
    theirs = shares(liars, both, np.random.default_rng(6))
    assert theirs.loc["anger", "corrected"] == pytest.approx(before.loc["happiness", "corrected"], abs=0.02)
    span = (START, START + timedelta(hours=1))
    one, other = (
        shares_over(own, HOUR_S, UTC, span, told, np.random.default_rng(6)) for told in ({TOLD: matrix}, both)
    )
    pd.testing.assert_frame_equal(one, other)
