"""Which windows are sent when and which leave the spool, with and without receipts."""

from pathlib import Path

from contract.receipt import Stored
from edge.delivery.outbox import KEEP_S, MAX_UNCONFIRMED, RESEND_S
from edge.delivery.spool import opened
from tests.support.fakes import counts
from tests.support.outboxes import Line, fill


def test_only_what_a_collector_confirms_leaves_the_spool(spool) -> None:
    """A PUBACK deletes nothing, however old; a receipt deletes the windows that it names."""
    fill(spool, 10)
    line = Line(spool)
    assert line.send() == list(range(10))
    line.wait(RESEND_S - 1)
    assert line.left() == list(range(10))
    line.confirm((0, 3), (6, 6))
    assert line.left() == [4, 5, 7, 8, 9]


def test_a_receipt_of_another_start_confirms_nothing(spool) -> None:
    """A receipt for another boot confirms nothing: numbers start again with each boot."""
    fill(spool, 3)
    line = Line(spool)
    line.send()
    line.outbox.add_receipt("collector", Stored(schema=1, boots={"f" * 16: ((0, 99),)}), spool, 1.0, live=True)
    line.outbox.delete_confirmed(spool, 1.0)
    assert line.left() == [0, 1, 2]


def test_no_more_than_a_hundred_wait_for_a_receipt(spool) -> None:
    """At most 100 unconfirmed windows are at the broker; each receipt makes room for others."""
    fill(spool, 300)
    line = Line(spool)
    assert line.send() == list(range(MAX_UNCONFIRMED))
    assert line.wait(30) == []
    line.confirm((0, 59))
    assert line.wait(1) == list(range(MAX_UNCONFIRMED, MAX_UNCONFIRMED + 60))


def test_a_receipt_that_the_broker_kept_deletes_and_asks_for_nothing(spool) -> None:
    """A retained receipt deletes windows, but does not show that a collector is connected now."""
    fill(spool, 5)
    line = Line(spool)
    line.send()
    line.now += RESEND_S + 1
    line.confirm((0, 1), live=False)
    assert line.left() == [2, 3, 4]
    assert line.send() == [2]  # as without a collector


def test_windows_of_an_earlier_run_that_are_confirmed_are_not_sent(spool) -> None:
    """Windows of an earlier run that a retained receipt names are deleted without being sent."""
    fill(spool, 5)
    line = Line(spool)
    line.confirm((0, 3), live=False)
    assert line.send() == [4]
    assert line.left() == [4]


def test_receipts_of_several_collectors_add_up(spool) -> None:
    """Each collector of a shared subscription confirms what it stored."""
    fill(spool, 6)
    line = Line(spool)
    line.send()
    line.confirm((0, 0), (2, 2), (4, 4), writer="one")
    line.confirm((1, 1), (3, 3), (5, 5), writer="two")
    assert line.left() == []


def test_windows_that_the_spool_dropped_are_forgotten(tmp_path: Path) -> None:
    """Windows that a full spool dropped while the collector was away no longer count as unconfirmed."""
    with opened(tmp_path / "small.sqlite", 120) as spool:
        fill(spool, 120)
        line = Line(spool)
        assert len(line.send()) == MAX_UNCONFIRMED
        for minute in range(120, 220):
            spool.add(counts(minute, 6))
        sent = line.wait(RESEND_S + 5)
        assert sent[:100] == list(range(120, 220))  # new ones first; 0 to 99 are gone


def test_without_receipts_a_window_leaves_two_seconds_after_puback(spool) -> None:
    """Without receipts a window leaves two seconds after PUBACK; if the connection is lost before, it is sent again."""
    fill(spool, 4)
    line = Line(spool, "broker")
    assert line.send() == [0, 1, 2, 3]
    line.now += KEEP_S / 2
    line.outbox.disconnected()
    line.outbox.connected(spool, line.now)
    assert line.send() == [0, 1, 2, 3]
    line.now += KEEP_S
    line.outbox.delete_confirmed(spool, line.now)
    assert line.left() == []


def test_a_window_that_no_receipt_can_name_leaves_as_without_receipts(spool, tmp_path: Path) -> None:
    """A spooled row without boot and seq, which no receipt can name, leaves after its PUBACK."""
    fill(spool, 1)
    spool._database.execute("UPDATE ready SET payload = ?", (b'{"schema":9,"seq":0,"name":1}',))
    spool._database.commit()
    line = Line(spool)
    line.send()
    line.wait(KEEP_S + 1)
    assert spool.depth() == 0


def test_a_refused_window_is_offered_to_the_next_connection(spool) -> None:
    """A refused window is not sent again on this connection, but on the next."""
    fill(spool, 1)
    line = Line(spool)
    line.send(taken=False)
    assert line.outbox.refuse(1)
    assert line.wait(3) == []
    line.outbox.connected(spool, line.now)
    assert line.send() == [0]
