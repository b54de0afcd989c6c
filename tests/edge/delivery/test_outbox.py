"""Which windows are sent when, and which leave the spool: with receipts and without."""

from pathlib import Path

import pytest

from contract.receipt import Stored
from edge.delivery.outbox import AGAIN_S, KEPT_S, LONGEST_AGAIN_S, PASSED_S, UNCONFIRMED, Confirm, Outbox
from edge.delivery.rate_limit import IN_FLIGHT, Pace
from edge.delivery.spool import opened
from tests.support.fakes import counts, lines_of

BOOT = "0123456789abcdef"


class Line:
    """An outbox with its spool on a clock of its own; what was sent, by seq."""

    def __init__(self, spool, confirm: Confirm = "collector", drain_per_s: float = 1000.0) -> None:
        self.spool, self.outbox, self.now, self._mid = spool, Outbox(confirm, Pace(drain_per_s)), 0.0, 0
        self.outbox.connected(spool, self.now)

    def send(self, *, taken: bool = True) -> list[int]:
        """All that may go now, as fast as the broker takes it."""
        seqs = []
        while rows := self.outbox.next(self.spool, self.now):
            for number, payload in rows:
                self._mid += 1
                self.outbox.sent(self._mid, number, payload, self.now)
                seqs.append(int(payload.split(b'"seq":')[1].split(b",")[0]))
                if taken:
                    self.outbox.acknowledged(self._mid, self.now)
            self.outbox.let_go(self.spool, self.now)
            self.now += 0.02
            if not taken:
                break
        return seqs

    def wait(self, seconds: float) -> list[int]:
        """Time goes on, a second at a time; what was sent in it."""
        seqs = []
        for _ in range(int(seconds)):
            self.now += 1
            self.outbox.let_go(self.spool, self.now)
            seqs += self.send()
        return seqs

    def confirm(self, *runs: tuple[int, int], writer: str = "collector", live: bool = True) -> None:
        self.outbox.stored(writer, Stored(schema=1, boots={BOOT: runs}), self.spool, self.now, live=live)
        self.outbox.let_go(self.spool, self.now)

    def left(self) -> list[int]:
        return [int(payload.split(b'"seq":')[1].split(b",")[0]) for _, payload in self.spool.waiting(0, 10_000)]


@pytest.fixture
def spool(tmp_path: Path):
    with opened(tmp_path / "spool.sqlite", 10_000) as spool:
        yield spool


def fill(spool, windows: int) -> None:
    fill_from(spool, 0, windows)


def fill_from(spool, first: int, end: int) -> None:
    for minute in range(first, end):
        spool.add(counts(minute, 6))


def test_only_what_a_collector_confirms_leaves_the_spool(spool) -> None:
    """PUBACKs delete nothing, however old; a receipt deletes what it names."""
    fill(spool, 10)
    line = Line(spool)
    assert line.send() == list(range(10))
    line.wait(AGAIN_S - 1)
    assert line.left() == list(range(10))
    line.confirm((0, 3), (6, 6))
    assert line.left() == [4, 5, 7, 8, 9]


def test_a_receipt_of_another_start_confirms_nothing(spool) -> None:
    """Numbers begin anew with each boot."""
    fill(spool, 3)
    line = Line(spool)
    line.send()
    line.outbox.stored("collector", Stored(schema=1, boots={"f" * 16: ((0, 99),)}), spool, 1.0, live=True)
    line.outbox.let_go(spool, 1.0)
    assert line.left() == [0, 1, 2]


def test_no_more_than_a_hundred_wait_for_a_receipt(spool) -> None:
    """The others stay in the spool and not at the broker; each receipt makes room."""
    fill(spool, 300)
    line = Line(spool)
    assert line.send() == list(range(UNCONFIRMED))
    assert line.wait(30) == []
    line.confirm((0, 59))
    assert line.wait(1) == list(range(UNCONFIRMED, UNCONFIRMED + 60))


def test_what_the_broker_lost_is_sent_again_once_the_collector_is_heard(spool) -> None:
    """Forty of a hundred never arrived: they go out again after a minute, and no other does."""
    fill(spool, 100)
    line = Line(spool)
    line.send()
    line.wait(AGAIN_S + 1)
    line.now += 1
    line.confirm((0, 59))
    assert line.wait(1) == list(range(60, 100))
    assert line.wait(AGAIN_S - 5) == []
    line.confirm((60, 99))
    assert line.left() == []


def test_what_a_broker_took_before_it_died_is_sent_again_at_once(spool) -> None:
    """On the next connection, when the collector answers: it has had all that the broker still had."""
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
    """The broker took 0 to 2 before the collector had subscribed. The receipt for 3 shows that they are lost: they are
    sent again once `PASSED_S` have passed, once; then after `AGAIN_S` as ever."""
    line = Line(spool)
    fill(spool, 3)
    line.send()
    line.wait(1)
    fill_from(spool, 3, 5)
    assert line.send() == [3, 4]
    line.confirm((3, 3))
    assert line.wait(PASSED_S - 2) == []
    assert line.wait(3) == [0, 1, 2]  # and not 4, which was sent after 3
    line.confirm((3, 4))
    assert line.wait(AGAIN_S - 10) == []
    line.now += 10
    line.confirm((3, 4))
    assert line.wait(1) == [0, 1, 2]


def test_collectors_that_share_may_confirm_out_of_order(spool) -> None:
    """One collector confirms 1 and 3 at once, the other 0 and 2 three seconds later: nothing is repeated."""
    fill(spool, 4)
    line = Line(spool)
    line.send()
    line.confirm((1, 1), (3, 3), writer="one")
    assert line.wait(3) == []
    line.confirm((0, 0), (2, 2), writer="two")
    assert line.wait(PASSED_S + 1) == []
    assert line.left() == []


def test_a_slow_collector_causes_no_early_repeats(spool) -> None:
    """It answers our ``online``, then confirms a window each three seconds, in order."""
    fill(spool, 20)
    line = Line(spool)
    line.send()
    line.confirm()
    for seq in range(18):
        line.confirm((0, seq))
        assert line.wait(3) == []


def test_a_collector_that_comes_back_is_sent_what_was_taken_while_it_was_away(spool) -> None:
    """Its greeting is an empty receipt, or the last one again. Each window is repeated once."""
    fill(spool, 2)
    line = Line(spool)
    line.send()
    line.confirm((0, 0))
    fill_from(spool, 2, 4)
    assert line.send() == [2, 3]
    line.confirm((0, 0))  # the same again
    assert line.wait(PASSED_S + 1) == [1, 2, 3]
    line.confirm()
    assert line.wait(PASSED_S + 1) == []
    fill_from(spool, 4, 5)
    assert line.send() == [4]
    line.confirm()  # a collector that was restarted
    assert line.wait(PASSED_S + 1) == [4]


def test_a_greeting_that_the_broker_kept_repeats_nothing(spool) -> None:
    """It does not say that a collector is there."""
    fill(spool, 2)
    line = Line(spool)
    line.send()
    line.confirm(live=False)
    assert line.wait(AGAIN_S - 2) == []


def test_news_of_another_boot_is_no_greeting(spool) -> None:
    """A collector that stores the windows of an earlier start has not come to those of this one."""
    fill(spool, 2)
    line = Line(spool)
    line.send()
    for seq in range(3):
        receipt = Stored(schema=1, boots={"f" * 16: ((0, seq),)})
        line.outbox.stored("collector", receipt, spool, line.now, live=seq > 0)
        assert line.wait(PASSED_S + 1) == []


def test_a_repeated_window_does_not_prove_that_others_are_lost(spool) -> None:
    """The receipt may be for its first copy: 1, sent between the two copies of 0, may be on its way."""
    fill(spool, 1)
    line = Line(spool)
    line.send()
    line.wait(1)
    line.confirm()
    line.wait(PASSED_S - 2)
    fill_from(spool, 1, 2)
    assert line.wait(3) == [1, 0]
    line.confirm((0, 0))
    assert line.wait(PASSED_S + 1) == []


def test_early_repeats_keep_to_the_pace_and_take_no_room(spool) -> None:
    """Ninety-nine are lost: they are sent again at two a second, and new windows go first."""
    fill(spool, UNCONFIRMED)
    line = Line(spool)
    line.send()
    line.outbox.pace = Pace(2.0)
    line.confirm((UNCONFIRMED - 1, UNCONFIRMED - 1))
    fill_from(spool, UNCONFIRMED, UNCONFIRMED + 10)
    assert line.send() == [UNCONFIRMED]  # 99 are unconfirmed: room for one
    sent = line.wait(PASSED_S + 20)
    assert sent == list(range(len(sent)))
    assert IN_FLIGHT + 2 * 15 <= len(sent) <= IN_FLIGHT + 2 * 22


def test_an_early_repeat_is_allowed_anew_on_each_connection(spool) -> None:
    """The repeat was in flight when the broker died; the next broker took it before the collector had subscribed."""
    fill(spool, 1)
    line = Line(spool)
    line.send()
    line.confirm()
    line.now += PASSED_S + 1
    assert line.send(taken=False) == [0]
    line.outbox.disconnected()
    line.outbox.connected(spool, line.now)
    line.outbox.acknowledged(2, line.now)
    line.confirm()
    assert line.wait(PASSED_S + 1) == [0]


def test_windows_that_no_collector_takes_do_not_keep_others_back_for_ever(spool) -> None:
    """A hundred windows are refused again and again, as by a collector whose clock is wrong: they are sent ever more
    rarely, are not given up, and after the fourth time others pass them."""
    fill(spool, 150)
    line = Line(spool)
    line.send()
    sent: list[int] = []
    for _ in range(24 * 60):
        line.now += 60
        line.confirm(*[(seq, seq) for seq in sent if seq >= 100][-50:])  # the collector is there
        sent += line.send()
    assert set(range(100, 150)) <= set(sent)
    assert line.left() == list(range(100))
    assert 8 <= sent.count(0) <= 14  # in a day
    line.confirm((0, 99))
    assert line.left() == []


def test_a_collector_that_is_away_for_a_week_is_asked_ever_more_rarely(spool) -> None:
    """Only the oldest window goes out again: some 340 messages in seven days, and that is said once."""
    fill(spool, 300)
    line = Line(spool)
    line.send()
    with lines_of("edge.delivery.outbox") as said:
        sent = [seq for _ in range(7 * 24 * 60) for seq in step(line, 60)]
    assert set(sent) == {0}
    assert 7 * 86_400 / LONGEST_AGAIN_S <= len(sent) <= 7 * 86_400 / LONGEST_AGAIN_S + 10
    assert [text.split()[0] for text in said] == ["event=no_receipts"]
    line.confirm((0, 0))
    assert line.wait(1) == list(range(1, 101))  # all the others of the hundred, and one new one


def step(line: Line, seconds: float) -> list[int]:
    line.now += seconds
    return line.send()


def test_a_receipt_that_the_broker_kept_deletes_and_asks_for_nothing(spool) -> None:
    """It says what was stored at some time, not that a collector is there now."""
    fill(spool, 5)
    line = Line(spool)
    line.send()
    line.now += AGAIN_S + 1
    line.confirm((0, 1), live=False)
    assert line.left() == [2, 3, 4]
    assert line.send() == [2]  # as ever while nobody is heard of


def test_windows_of_an_earlier_run_that_are_confirmed_are_not_sent(spool) -> None:
    """Killed before the receipt came: the kept receipt deletes them, unsent."""
    fill(spool, 5)
    line = Line(spool)
    line.confirm((0, 3), live=False)
    assert line.send() == [4]
    assert line.left() == [4]


def test_receipts_of_several_collectors_add_up(spool) -> None:
    """Each of a shared subscription confirms what it stored."""
    fill(spool, 6)
    line = Line(spool)
    line.send()
    line.confirm((0, 0), (2, 2), (4, 4), writer="one")
    line.confirm((1, 1), (3, 3), (5, 5), writer="two")
    assert line.left() == []


def test_windows_that_the_spool_dropped_are_waited_for_no_more(tmp_path: Path) -> None:
    """A spool at its bound while the collector is away: what it dropped takes no room."""
    with opened(tmp_path / "small.sqlite", 120) as spool:
        fill(spool, 120)
        line = Line(spool)
        assert len(line.send()) == UNCONFIRMED
        for minute in range(120, 220):
            spool.add(counts(minute, 6))
        sent = line.wait(AGAIN_S + 5)
        assert sent[:100] == list(range(120, 220))  # new ones first; 0 to 99 are gone


def test_without_receipts_a_window_leaves_two_seconds_after_puback(spool) -> None:
    """And is sent again where the connection is lost before."""
    fill(spool, 4)
    line = Line(spool, "broker")
    assert line.send() == [0, 1, 2, 3]
    line.now += KEPT_S / 2
    line.outbox.disconnected()
    line.outbox.connected(spool, line.now)
    assert line.send() == [0, 1, 2, 3]
    line.now += KEPT_S
    line.outbox.let_go(spool, line.now)
    assert line.left() == []


def test_a_window_that_no_receipt_can_name_leaves_as_without_receipts(spool, tmp_path: Path) -> None:
    """A spooled row without boot and seq, of a version nobody knows, does not wait for ever."""
    fill(spool, 1)
    spool._database.execute("UPDATE ready SET payload = ?", (b'{"schema":9,"seq":0,"name":1}',))
    spool._database.commit()
    line = Line(spool)
    line.send()
    line.wait(KEPT_S + 1)
    assert spool.depth() == 0


def test_a_refused_window_is_offered_to_the_next_connection(spool) -> None:
    """And to this one no more."""
    fill(spool, 1)
    line = Line(spool)
    line.send(taken=False)
    assert line.outbox.refuse(1)
    assert line.wait(3) == []
    line.outbox.connected(spool, line.now)
    assert line.send() == [0]
