"""Corrected shares: 90 % intervals contain the truth in about 90 % of cases, and no change is reported without one."""

from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from msgspec.structs import replace

from collector.analysis.bootstrap import estimate
from collector.analysis.correction import Confusion, compare, confusions, left_out, shares, shares_over
from collector.devices.device import Device
from collector.rollups.cells import HOUR_S, cells
from collector.store.columns import FIXED_COLUMNS
from tests.support.fakes import MODEL

LABELS = ("anger", "happiness", "neutral")
PREDICTED = np.array([[0.70, 0.05, 0.20, 0.05], [0.02, 0.90, 0.06, 0.02], [0.10, 0.05, 0.75, 0.10]])
"""Probability of each prediction, ``unknown`` last, by true label."""
START = datetime(2026, 3, 2, 9, tzinfo=timezone.utc)
UTC = ZoneInfo("UTC")
DOOR = ("shop", "door", "e@1")


def measured(rng: np.random.Generator, visits: tuple[int, ...] = (120, 400, 600)) -> Confusion:
    """A confusion matrix measured on this many visits of each true label."""
    rows = [rng.multinomial(number, row) for number, row in zip(visits, PREDICTED, strict=True)]
    return Confusion(LABELS, np.array(rows, np.float64), "visits")


def windows(*visits: "np.ndarray | list[int]", bundle: str = "e@1", names: tuple[str, ...] = LABELS) -> pd.DataFrame:
    """One window per hour with these visits, ``unknown`` last."""
    rows = []
    for hour, counted in enumerate(visits):
        start = pd.Timestamp(START) + pd.Timedelta(hours=hour)
        end = start + pd.Timedelta(minutes=1)
        rows.append((1, "shop", "door", "0" * 16, hour, start, end, "synced", 1.0, "", 1, 1, "d", bundle, *counted))
    return pd.DataFrame(rows, columns=[*FIXED_COLUMNS, *names, "unknown"]).astype(
        dict.fromkeys([*names, "unknown"], float)
    )


@pytest.mark.parametrize("number", [100, 1000, 20_000])
def test_the_interval_contains_the_truth_in_85_to_95_percent(number: int) -> None:
    """For 200 shops of random mix, each with its own measured matrix, the 90 % interval is neither too narrow nor too
    wide over all labels, whether counts or matrix are the uncertain part. The corrected share is nearer to the truth.
    """
    rng = np.random.default_rng(number)
    contained, nearer = [], []
    for _ in range(200):
        truth = rng.dirichlet(np.ones(3))
        frame = windows(rng.multinomial(number, truth @ PREDICTED))
        table = shares(frame, {DOOR: measured(rng)}, rng, draws=200)
        contained += ((table["low"] <= truth) & (truth <= table["high"])).tolist()
        nearer.append(np.abs(table["share"] - truth).sum() - np.abs(table["corrected"] - truth).sum())
    assert 0.85 <= np.mean(contained) <= 0.95
    assert np.mean(nearer) > 0


def test_predictions_without_noise_give_the_true_mix() -> None:
    """The estimate inverts the matrix where the predictions are a mix of its rows, at the edge of the simplex too. More
    unknown visits than the matrix says, in equal proportion for all labels, change nothing.
    """
    truth = np.array([[0.2, 0.5, 0.3], [0.0, 0.4, 0.6], [1.0, 0.0, 0.0]])
    predicted = 1000 * truth @ PREDICTED
    assert np.abs(estimate(predicted[:, :-1], PREDICTED) - truth).max() < 0.002
    assert np.abs(estimate(0.3 * predicted[:, :-1], PREDICTED) - truth).max() < 0.002


def test_a_bucket_without_visits_has_no_share() -> None:
    """The shares of an hour without visits are NaN, not 0; cells give the same shares as windows."""
    rng = np.random.default_rng(1)
    frame = windows([0, 0, 0, 0], [30, 50, 40, 5])
    span = (START, START + timedelta(hours=3))
    table = shares_over(frame, HOUR_S, UTC, span, {DOOR: measured(rng)}, rng)
    assert list(table.index.get_level_values("start").unique().hour) == [9, 10, 11]
    empty = table.loc[[START, START + timedelta(hours=2)], ["share", "corrected", "low", "high"]]
    assert empty.isna().all(axis=None)
    full = table.loc[START + timedelta(hours=1)]
    assert full["corrected"].sum() == pytest.approx(1)
    assert ((full["low"] <= full["corrected"]) & (full["corrected"] <= full["high"])).all()
    assert list(full["visits"]) == [30, 50, 40]
    pd.testing.assert_series_equal(
        shares(cells(frame), {DOOR: measured(rng)}, rng)["share"],
        shares(frame, {DOOR: measured(rng)}, rng)["share"],
    )


def test_bundles_are_corrected_each_by_its_own_matrix() -> None:
    """A bundle that swaps two labels and one that does not give the true mix together. A third bundle without a known
    matrix is counted and left out of the correction.
    """
    rng = np.random.default_rng(2)
    straight = Confusion(LABELS, np.hstack([np.eye(3) * 1e5, np.zeros((3, 1))]), "faces")
    swapped = Confusion(LABELS, np.hstack([np.eye(3)[[1, 0, 2]] * 1e5, np.zeros((3, 1))]), "faces")
    frame = pd.concat(
        [windows([300, 100, 0, 9]), windows([100, 300, 0, 0], bundle="e@2"), windows([7, 0, 0, 0], bundle="e@3")]
    )
    table = shares(frame, {DOOR: straight, ("shop", "door", "e@2"): swapped}, rng)
    assert table["corrected"].round(2).tolist() == [0.75, 0.25, 0]
    assert table["visits"].tolist() == [407, 400, 0]
    assert left_out(frame, {DOOR: straight, ("shop", "door", "e@2"): swapped}) == 7
    assert shares(frame, {}, rng)[["corrected", "low", "high"]].isna().all(axis=None)


def test_each_bundle_has_its_own_order_of_labels() -> None:
    """A bundle whose matrix has its labels in another order than its counts is corrected; one whose matrix has other
    labels than its counts is left out.
    """
    rng = np.random.default_rng(2)
    swapped = np.hstack([np.eye(3)[[1, 0, 2]] * 1e5, np.zeros((3, 1))])  # the first two labels swapped
    backwards = Confusion(LABELS[::-1], swapped, "faces")
    table = shares(windows([0, 300, 100, 0]), {DOOR: backwards}, rng)
    assert table["corrected"].round(2).tolist() == [0, 0.25, 0.75]
    other = Confusion(("a", "b"), np.ones((2, 3)), "faces")
    assert shares(windows([300, 100, 0, 0]), {DOOR: other}, rng)["corrected"].isna().all()


def test_shares_are_of_visits_that_could_have_the_label() -> None:
    """Beside devices with other labels, the corrected share of calm is among the visits of its own devices."""
    rng = np.random.default_rng(3)
    other = Confusion(("calm", "busy"), np.hstack([np.eye(2) * 1e5, np.zeros((2, 1))]), "faces")
    frame = pd.concat([windows([100, 100, 200, 0]), windows([30, 10, 0], bundle="o@1", names=("calm", "busy"))])
    table = shares(frame, {DOOR: measured(rng), ("shop", "door", "o@1"): other}, rng)
    assert table.loc[list(LABELS), "corrected"].sum() == pytest.approx(1)
    assert table.loc["calm", "corrected"] == pytest.approx(0.75, abs=0.01)


def test_two_samples_of_one_mix_have_no_clear_change() -> None:
    """Of 300 comparisons of the same mix less than 5 % report a change; doubling happiness is reported."""
    rng = np.random.default_rng(4)
    matrices = {DOOR: measured(rng)}
    truth = np.array([0.2, 0.3, 0.5]) @ PREDICTED
    reported = []
    for _ in range(100):
        one, other = (windows(rng.multinomial(500, truth)) for _ in range(2))
        reported += (compare(one, other, matrices, rng)["change"] != "no clear change").tolist()
    assert np.mean(reported) < 0.05
    happier = windows(rng.multinomial(500, np.array([0.15, 0.6, 0.25]) @ PREDICTED))
    table = compare(windows(rng.multinomial(500, truth)), happier, matrices, rng)
    assert table.loc["happiness", "change"] == "more"
    assert table.loc["neutral", "change"] == "less"
    assert set(compare(one, other, {}, rng)["change"]) == {"no clear change"}


def test_the_matrix_comes_from_the_model_message() -> None:
    """A matrix is found for each classifier that the device reported, under device name and the name in its rows."""
    former = replace(MODEL.expression, sha256="c" * 64, confusion=())
    found = confusions([Device(site="shop", device="door", model=MODEL, bundles=(former,))])
    assert list(found) == [("shop", "door", "expression@bbbbbbbbbbbb")]
    matrix = found["shop", "door", "expression@bbbbbbbbbbbb"]
    assert (matrix.of, matrix.labels) == ("faces", ("happiness", "neutral"))
    assert matrix.counts.tolist() == [[9, 1, 0], [2, 8, 0]]


def test_a_false_matrix_of_another_device_changes_nothing() -> None:
    """A device reports a false matrix of the same classifier: shares and intervals of another device stay the same to
    the last digit. Only the counts of the lying device are corrected by it.
    """
    rng = np.random.default_rng(5)
    matrix = measured(rng)
    swapped = Confusion(LABELS, matrix.counts[[1, 0, 2]], "visits")
    own, liars = windows([120, 300, 500, 40]), windows([120, 300, 500, 40]).assign(device="liar")
    both = {DOOR: matrix, ("shop", "liar", "e@1"): swapped}
    before = shares(own, {DOOR: matrix}, np.random.default_rng(6))
    pd.testing.assert_frame_equal(shares(own, both, np.random.default_rng(6)), before)
    theirs = shares(liars, both, np.random.default_rng(6))
    assert theirs.loc["anger", "corrected"] == pytest.approx(before.loc["happiness", "corrected"], abs=0.02)
    span = (START, START + timedelta(hours=1))
    one, other = (
        shares_over(own, HOUR_S, UTC, span, known, np.random.default_rng(6)) for known in ({DOOR: matrix}, both)
    )
    pd.testing.assert_frame_equal(one, other)
