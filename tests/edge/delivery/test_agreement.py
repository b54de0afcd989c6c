"""The agreement table: the k rule, once an hour, kept over restarts."""

import itertools
from collections import Counter
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from contract.message import Privacy
from edge.delivery.agreement import RELEASE_S, AgreementTable
from edge.delivery.spool import opened
from edge.shadow.compared import Compared
from tests.support.messages import MESSAGES

EMPTY = replace(MESSAGES["shadow-1"], seq=0, skipped=0, table=((0,) * 3,) * 3)
SAME, OTHER = ("happiness", "happiness"), ("neutral", "unknown")


@pytest.fixture
def spool():
    """A spool in memory."""
    with opened(Path(":memory:"), 10) as open_one:
        yield open_one


def compared(same=0, other=0, skipped=0):
    return Compared(Counter({SAME: same, OTHER: other}), skipped)


def test_fewer_than_k_visits_wait(spool):
    """Four visits wait for hours; with a fifth they leave together when the hour ends, and never before."""
    table = AgreementTable(EMPTY, spool, 0.0)
    assert table.update(compared(same=4), None, RELEASE_S) == EMPTY
    assert table.update(compared(other=1), None, 2 * RELEASE_S - 1) == EMPTY
    left = table.update(compared(), None, 2 * RELEASE_S)
    assert (left.seq, left.table) == (1, ((4, 0, 0), (0, 0, 1), (0, 0, 0)))
    assert table.update(compared(same=9), None, 2 * RELEASE_S + 1) == left
    assert table.update(compared(), None, 3 * RELEASE_S).table[0][0] == 13


def test_every_change_of_the_table_is_of_k_visits(spool):
    """However few visits each minute brings, the difference of two messages holds none or at least k of them."""
    table, visits = AgreementTable(EMPTY, spool, 0.0), [0]
    for minute in range(1, 1500):
        message = table.update(compared(same=minute % 7 == 0, skipped=minute % 31 == 0), None, 60.0 * minute)
        if message.visits != visits[-1]:
            visits.append(message.visits)
    steps = [later - earlier for earlier, later in itertools.pairwise(visits)]
    assert len(steps) > 10
    assert min(steps) >= 5


def test_skipped_visits_follow_the_rule_of_their_own(spool):
    """Four skipped visits are not told, although ten compared ones are."""
    table = AgreementTable(EMPTY, spool, 0.0)
    message = table.update(compared(same=10, skipped=4), None, RELEASE_S)
    assert (message.visits, message.skipped) == (10, 0)
    assert table.update(compared(skipped=1), None, 2 * RELEASE_S).skipped == 5


def test_with_k_1_nothing_waits(spool):
    """As for counts."""
    table = AgreementTable(replace(EMPTY, privacy=Privacy(k=1)), spool, 0.0)
    assert table.update(compared(other=1), None, 0.0).visits == 1


def test_the_table_goes_on_after_a_restart(tmp_path):
    """What was published and what waits is kept; the message keeps its key, whatever boot comes."""
    path = tmp_path / "spool.sqlite"
    with opened(path, 10) as spool:
        table = AgreementTable(EMPTY, spool, 0.0)
        table.update(compared(same=6), None, RELEASE_S)
        table.update(compared(other=3), "cannot run", RELEASE_S + 1)
        table.save()
    with opened(path, 10) as spool:
        table = AgreementTable(replace(EMPTY, boot="f" * 16, fraction=0.2), spool, 0.0)
        assert (table.message.boot, table.message.visits, table.message.failed) == (EMPTY.boot, 6, None)
        assert table.update(compared(other=2), None, RELEASE_S).visits == 11


@pytest.mark.parametrize(
    "changes",
    [
        {"shadow": "newer@dddddddddddd"}, {"active": "expression-new@cccccccccccc"}, {"privacy": Privacy(k=9)},
        {"labels": ("happiness", "sadness")},
    ],
)  # fmt: skip
def test_other_bundles_begin_another_table(spool, changes):
    """So does another ``k``, under which less may be told."""
    first = AgreementTable(EMPTY, spool, 0.0)
    first.update(compared(same=20), None, RELEASE_S)
    begun = replace(EMPTY, boot="f" * 16, **changes)
    assert AgreementTable(begun, spool, 0.0).message == begun


def test_a_bundle_that_cannot_be_read_leaves_the_kept_table(spool):
    """Its message says why; the table goes on when the bundle is back."""
    first = AgreementTable(EMPTY, spool, 0.0)
    first.update(compared(same=20), None, RELEASE_S)
    broken = AgreementTable(replace(EMPTY, shadow=""), spool, 0.0)
    assert broken.update(compared(), "no such file", RELEASE_S).failed == "no such file"
    broken.save()
    assert AgreementTable(EMPTY, spool, 0.0).message.visits == 20


@pytest.mark.parametrize("payload", [b"{", b"[]", msgspec.json.encode({"published": {}})])
def test_a_kept_table_that_cannot_be_read_is_replaced(spool, payload, caplog):
    """It is logged, and the comparison begins again."""
    spool.keep_agreement(payload)
    assert AgreementTable(EMPTY, spool, 0.0).message == EMPTY
    assert "agreement_unreadable" in caplog.text
