"""Classifiers in shadow: the tables of all devices together, and the rule of promotion."""

import pytest
from msgspec.structs import replace
from scipy.stats import binomtest

from fleet.settings import PromotionSettings
from fleet.shadows import as_lines, shadow_statuses
from tests.support.messages import MESSAGES

ONE = MESSAGES["shadow-1"]
"""100 visits, 93 with the same label."""
RULE = PromotionSettings(min_visits=150, min_agreement=0.85, max_share_change=0.05)


def test_tables_of_one_pair_of_bundles_add_up():
    """Devices may list the labels in another order; another pair of bundles is another table."""
    turned = replace(ONE, labels=ONE.labels[::-1], table=((50, 2, 1), (3, 40, 0), (1, 0, 3)))
    other = replace(ONE, shadow="newest@dddddddddddd", table=((0,) * 3,) * 3, skipped=0)
    first, second = shadow_statuses({"a/1": ONE, "a/2": turned, "b/1": other}, RULE)
    assert (first.shadow, first.devices, first.visits, first.skipped) == (ONE.shadow, 2, 200, 12)
    assert first.labels == ("happiness", "neutral", "unknown")
    assert first.table == tuple(tuple(2 * number for number in row) for row in ONE.table)
    assert (second.shadow, second.visits, second.agreement, second.low) == (other.shadow, 0, None, None)


def test_the_agreement_has_wilsons_interval():
    """As scipy computes it."""
    (found,) = shadow_statuses({"a/1": ONE}, RULE)
    expected = binomtest(93, 100).proportion_ci(method="wilson")
    assert found.agreement == pytest.approx(0.93)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ({"min_visits": 101}, "not yet: 100 of 101 visits"),
        ({"min_visits": 100}, "may be promoted"),
        ({"min_visits": 100, "min_agreement": 0.9}, "not: agreement must be at least 90%, may be as low as 86%"),
        (
            {"min_visits": 100, "max_share_change": 0.005},
            "not: the share of happiness must change by at most 0.5 points, changes by -1.0",
        ),
    ],
)
def test_the_rule_says_whether_a_bundle_may_be_promoted(rule, expected):
    """Enough visits, an agreement that is surely high enough, and no share that changes much."""
    (found,) = shadow_statuses({"a/1": ONE}, replace(RULE, **rule))
    assert found.promotion == expected


def test_the_table_is_readable():
    """One line with the result, the table, and the devices on which the bundle does not run."""
    broken = replace(ONE, table=((0,) * 3,) * 3, skipped=0, failed="no such file")
    assert as_lines(shadow_statuses({"a/1": ONE, "a/2": broken}, RULE)) == [
        "in shadow of expression@bbbbbbbbbbbb: expression-new@cccccccccccc, 2 devices, 100 visits compared, 6 skipped,"
        " 93.0% agree (86.3% to 96.6%), largest change: happiness -1.0 points; not yet: 100 of 150 visits",
        "  counted as  happiness  neutral  unknown",
        "  happiness          40        3        0",
        "  neutral             2       50        1",
        "  unknown             0        1        3",
        "  a/2: does not run: no such file",
    ]
