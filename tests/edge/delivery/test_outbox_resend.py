"""Which windows are sent again when, with receipts of the collector."""

from contract.receipt import Stored
from edge.delivery.outbox import EARLY_RESEND_S, LONGEST_RESEND_S, MAX_UNCONFIRMED, RESEND_S
from edge.delivery.rate_limit import IN_FLIGHT, RateLimit
from tests.support.fakes import lines_of
from tests.support.outboxes import Line, fill, fill_from


def test_what_the_broker_lost_is_sent_again_once_the_collector_is_heard(spool) -> None:
    """Of 100 windows the 40 that no receipt names are sent again after a minute, and no others."""
    fill(spool, 100)
    line = Line(spool)
    line.send()
    line.wait(RESEND_S + 1)
    line.now += 1
    line.confirm((0, 59))
    assert line.wait(1) == list(range(60, 100))
    assert line.wait(RESEND_S - 5) == []
    line.confirm((60, 99))
    assert line.left() == []


def test_what_a_broker_took_before_it_died_is_sent_again_at_once(spool) -> None:
    """Windows acknowledged on an earlier connection are sent again as soon as the collector sends a receipt."""
    fill(spool, 10)
    line = Line(spool)
    line.send()
    line.outbox.disconnected()
    line.outbox.connected(spool, line.now)
    line.confirm((0, 5), live=False)
    assert line.wait(2) == []
    line.confirm((6, 6))
    assert line.wait(1) == [7, 8, 9]
    line.confirm((6, 6))
    assert line.wait(1) == []


def test_a_window_that_a_receipt_passes_over_is_sent_again_within_seconds(spool) -> None:
    """A receipt for 3 shows that 0 to 2, acknowledged before the collector had subscribed, are lost: they are sent
    again once after `EARLY_RESEND_S`, then after `RESEND_S`."""
    line = Line(spool)
    fill(spool, 3)
    line.send()
    line.wait(1)
    fill_from(spool, 3, 5)
    assert line.send() == [3, 4]
    line.confirm((3, 3))
    assert line.wait(EARLY_RESEND_S - 2) == []
    assert line.wait(3) == [0, 1, 2]  # and not 4, which was sent after 3
    line.confirm((3, 4))
    assert line.wait(RESEND_S - 10) == []
    line.now += 10
    line.confirm((3, 4))
    assert line.wait(1) == [0, 1, 2]


def test_collectors_that_share_may_confirm_out_of_order(spool) -> None:
    """If one collector confirms 1 and 3, and another 0 and 2 three seconds later, nothing is repeated."""
    fill(spool, 4)
    line = Line(spool)
    line.send()
    line.confirm((1, 1), (3, 3), writer="one")
    assert line.wait(3) == []
    line.confirm((0, 0), (2, 2), writer="two")
    assert line.wait(EARLY_RESEND_S + 1) == []
    assert line.left() == []


def test_a_slow_collector_causes_no_early_repeats(spool) -> None:
    """A collector that answers ``online`` and then confirms a window every three seconds causes no early repeats."""
    fill(spool, 20)
    line = Line(spool)
    line.send()
    line.confirm()
    for seq in range(18):
        line.confirm((0, seq))
        assert line.wait(3) == []


def test_a_collector_that_comes_back_is_sent_what_was_taken_while_it_was_away(spool) -> None:
    """After a greeting, which is an empty receipt or the last one again, each window is repeated once."""
    fill(spool, 2)
    line = Line(spool)
    line.send()
    line.confirm((0, 0))
    fill_from(spool, 2, 4)
    assert line.send() == [2, 3]
    line.confirm((0, 0))  # the same again
    assert line.wait(EARLY_RESEND_S + 1) == [1, 2, 3]
    line.confirm()
    assert line.wait(EARLY_RESEND_S + 1) == []
    fill_from(spool, 4, 5)
    assert line.send() == [4]
    line.confirm()  # a collector that was restarted
    assert line.wait(EARLY_RESEND_S + 1) == [4]


def test_a_greeting_that_the_broker_kept_repeats_nothing(spool) -> None:
    """A retained greeting does not show that a collector is connected."""
    fill(spool, 2)
    line = Line(spool)
    line.send()
    line.confirm(live=False)
    assert line.wait(RESEND_S - 2) == []


def test_news_of_another_boot_is_no_greeting(spool) -> None:
    """A collector that still confirms windows of an earlier boot has not reached those of this one."""
    fill(spool, 2)
    line = Line(spool)
    line.send()
    for seq in range(3):
        receipt = Stored(schema=1, boots={"f" * 16: ((0, seq),)})
        line.outbox.add_receipt("collector", receipt, spool, line.now, live=seq > 0)
        assert line.wait(EARLY_RESEND_S + 1) == []


def test_a_repeated_window_does_not_prove_that_others_are_lost(spool) -> None:
    """A receipt may be for the first copy of 0: 1, sent between both copies, may still be on its way."""
    fill(spool, 1)
    line = Line(spool)
    line.send()
    line.wait(1)
    line.confirm()
    line.wait(EARLY_RESEND_S - 2)
    fill_from(spool, 1, 2)
    assert line.wait(3) == [1, 0]
    line.confirm((0, 0))
    assert line.wait(EARLY_RESEND_S + 1) == []


def test_early_repeats_keep_to_the_rate_and_take_no_room(spool) -> None:
    """99 lost windows are sent again at 2 a second, and new windows go first."""
    fill(spool, MAX_UNCONFIRMED)
    line = Line(spool)
    line.send()
    line.outbox.rate_limit = RateLimit(2.0)
    line.confirm((MAX_UNCONFIRMED - 1, MAX_UNCONFIRMED - 1))
    fill_from(spool, MAX_UNCONFIRMED, MAX_UNCONFIRMED + 10)
    assert line.send() == [MAX_UNCONFIRMED]  # 99 are unconfirmed: room for one
    sent = line.wait(EARLY_RESEND_S + 20)
    assert sent == list(range(len(sent)))
    assert IN_FLIGHT + 2 * 15 <= len(sent) <= IN_FLIGHT + 2 * 22


def test_an_early_repeat_is_allowed_on_each_connection(spool) -> None:
    """A repeat that was in flight when the broker died is repeated early again on the next connection."""
    fill(spool, 1)
    line = Line(spool)
    line.send()
    line.confirm()
    line.now += EARLY_RESEND_S + 1
    assert line.send(taken=False) == [0]
    line.outbox.disconnected()
    line.outbox.connected(spool, line.now)
    line.outbox.acknowledged(2, line.now)
    line.confirm()
    assert line.wait(EARLY_RESEND_S + 1) == [0]


def test_windows_that_no_collector_takes_do_not_keep_others_back_for_ever(spool) -> None:
    """Windows that a collector never confirms are sent ever more rarely and never dropped; after the fourth time they
    no longer hold back others."""
    fill(spool, 150)
    line = Line(spool)
    line.send()
    sent: list[int] = []
    for _ in range(24 * 60):
        line.now += 60
        line.confirm(*[(seq, seq) for seq in sent if seq >= 100][-50:])  # the collector is connected
        sent += line.send()
    assert set(range(100, 150)) <= set(sent)
    assert line.left() == list(range(100))
    assert 8 <= sent.count(0) <= 14  # in a day
    line.confirm((0, 99))
    assert line.left() == []


def test_a_collector_that_is_away_for_a_week_is_asked_ever_more_rarely(spool) -> None:
    """In a week without a collector only the oldest window is sent again, about 340 times, and that is logged once."""
    fill(spool, 300)
    line = Line(spool)
    line.send()
    with lines_of("edge.delivery.outbox") as logged:
        sent = [seq for _ in range(7 * 24 * 60) for seq in step(line, 60)]
    assert set(sent) == {0}
    assert 7 * 86_400 / LONGEST_RESEND_S <= len(sent) <= 7 * 86_400 / LONGEST_RESEND_S + 10
    assert [text.split()[0] for text in logged] == ["event=no_receipts"]
    line.confirm((0, 0))
    assert line.wait(1) == list(range(1, 101))  # all the others of the hundred, and one new one


def step(line: Line, seconds: float) -> list[int]:
    line.now += seconds
    return line.send()
