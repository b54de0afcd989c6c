"""Reports are sent through a real SMTP server: each once, none forgotten, and a failure is one line."""

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from base.errors import SettingsError
from collector.mail.server import MailFailed
from collector.mail.settings import Mail, Recipient
from collector.reading.reader import Reader
from collector.report.deliver import Delivery
from collector.report.sent import SentFile, SentFileFailed
from tests.support.brokers import free_port
from tests.support.certificates import Authority
from tests.support.mail_server import NOBODY, PASSWORD, USER, Mailbox, mail_server
from tests.support.shops import BERLIN, MONDAY, two_weeks

WEEK = timedelta(days=7)
BOSS, MANAGER = "boss@shop.example", "manager@shop.example"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return two_weeks(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"), "mail")


@pytest.fixture(scope="module")
def server(authority: Authority) -> Iterator[tuple[int, Mailbox]]:
    with mail_server(authority.issue("localhost")) as running:
        yield running


@pytest.fixture
def mail(tmp_path: Path, authority: Authority, server: tuple[int, Mailbox]) -> dict[str, Any]:
    """Settings for the server, whose mailbox is empty again."""
    server[1].messages.clear()
    server[1].full = False
    (tmp_path / "password").write_text(f"{PASSWORD}\n")
    return {
        "host": "localhost", "port": server[0], "ca": authority.ca, "user": USER,
        "password_file": str(tmp_path / "password"), "sender": "facetally@shop.example", "attach": ("html",),
        "sent_file": str(tmp_path / "state" / "sent.json"), "timeout_s": 5.0, "recipients": (Recipient(address=BOSS),),
    }  # fmt: skip


def send(store: Path, mail: dict[str, Any], now: datetime = MONDAY, week: date | None = None) -> int:
    return Delivery(Reader(store, lambda: now), Mail(**mail), BERLIN, now, "en").send(week)


def test_each_recipient_gets_the_own_report(store: Path, mail: dict[str, Any], server: tuple[int, Mailbox]) -> None:
    """In the own language, of the own sites, with both attachments; after STARTTLS and a login."""
    pytest.importorskip("weasyprint", reason="the extra report is not installed")
    german = Recipient(address=MANAGER, sites=("shop-1",), language="de")
    assert send(store, mail | {"recipients": (Recipient(address=BOSS), german), "attach": ("html", "pdf")}) == 2
    one, two = server[1].messages
    assert (one["To"], two["To"]) == (BOSS, MANAGER)
    assert one["Subject"].startswith("Weekly report: all sites, Week 13, 2026")
    assert two["Subject"].startswith("Wochenbericht: shop-1, Woche 13, 2026")
    html, pdf = two.iter_attachments()
    assert (html.get_filename(), pdf.get_filename()) == (
        "facetally-shop-1-2026-W13.html",
        "facetally-shop-1-2026-W13.pdf",
    )
    assert "Wochenbericht" in html.get_content() and pdf.get_content().startswith(b"%PDF")
    body = two.get_body(("plain",))
    assert body is not None and "klare Änderung" in body.get_content()


def test_a_report_is_not_sent_twice(store: Path, mail: dict[str, Any], server: tuple[int, Mailbox]) -> None:
    """Later runs of the week send nothing; the next week is sent; a new recipient gets the last week."""
    assert [send(store, mail, MONDAY + timedelta(hours=hour)) for hour in (0, 1, 30)] == [1, 0, 0]
    assert send(store, mail, week=date(2026, 3, 23)) == 0
    more = mail | {"recipients": (Recipient(address=BOSS), Recipient(address=MANAGER))}
    assert send(store, more, MONDAY + WEEK) == 2
    assert [message["To"] for message in server[1].messages] == [BOSS, BOSS, MANAGER]


def test_missed_weeks_are_made_up_for(store: Path, mail: dict[str, Any], server: tuple[int, Mailbox]) -> None:
    """After two weeks without a server both are sent, the oldest first; after a year the last four."""
    Path(mail["sent_file"]).parent.mkdir()
    SentFile(Path(mail["sent_file"])).note(mail["recipients"][0], date(2026, 3, 16), was_due=True)
    assert send(store, mail, MONDAY + WEEK) == 2
    weeks = [message["Subject"].partition(", ")[2][:7] for message in server[1].messages]
    assert weeks == ["Week 13", "Week 14"]
    last = date(2027, 3, 22)
    assert SentFile(Path(mail["sent_file"])).due(mail["recipients"][0], last) == [last - n * WEEK for n in (3, 2, 1, 0)]


def test_a_week_that_was_asked_for_makes_no_other_week_due(
    store: Path, mail: dict[str, Any], server: tuple[int, Mailbox]
) -> None:
    """After a report of an old week was sent by hand, the timer sends the last week alone."""
    assert send(store, mail, week=date(2026, 3, 2)) == 1
    assert [send(store, mail) for _ in range(2)] == [1, 0]
    weeks = [message["Subject"].partition(", ")[2][:7] for message in server[1].messages]
    assert weeks == ["Week 10", "Week 13"]


def test_one_address_gets_a_report_in_two_languages(
    store: Path, mail: dict[str, Any], server: tuple[int, Mailbox]
) -> None:
    """Each language is sent once; the same report twice is an error."""
    both = mail | {"recipients": (Recipient(address=BOSS), Recipient(address=BOSS, language="de"))}
    assert [send(store, both) for _ in range(2)] == [2, 0]
    assert [message["Subject"].partition(":")[0] for message in server[1].messages] == [
        "Weekly report",
        "Wochenbericht",
    ]
    with pytest.raises(ValueError, match="must be given once, are given 2 times for boss"):
        Mail(
            **mail
            | {"recipients": (Recipient(address=BOSS, sites=("a", "b")), Recipient(address=BOSS, sites=("b", "a")))}
        )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"port": None}, "Connection refused"),
        ({"password": "wrong"}, "535 5.7.8"),
        ({"user": None, "password_file": None}, "530 5.7.0 Authentication required"),
        ({"ca": None}, "certificate verify failed"),
        ({"tls": "none", "host": "127.0.0.1"}, "SMTP AUTH extension not supported"),
        ({"tls": "tls"}, "WRONG_VERSION_NUMBER"),
        ({"full": True}, "452 4.3.1 the disk is full"),
    ],
)
def test_what_was_not_sent_is_sent_next_time(
    store: Path, mail: dict[str, Any], server: tuple[int, Mailbox], change: dict[str, Any], message: str
) -> None:
    """A server that is away or refuses, and a wrong password, are one error; the next run sends the report."""
    if "password" in change:
        wrong = Path(mail["sent_file"]).parents[1] / "wrong"
        wrong.write_text("wrong\n")
        change = {"password_file": str(wrong)}
    if "port" in change:
        change = {"port": free_port()}
    server[1].full = bool(change.pop("full", False)) if "full" in change else False
    with pytest.raises(MailFailed) as caught:
        send(store, mail | change)
    assert message in str(caught.value) and "\n" not in str(caught.value)
    assert PASSWORD not in str(caught.value) and server[1].messages == []
    assert SentFile(Path(mail["sent_file"])).due(mail["recipients"][0], date(2026, 3, 23)) == [date(2026, 3, 23)]
    server[1].full = False
    assert send(store, mail) == 1


def test_one_recipient_stops_no_other(store: Path, mail: dict[str, Any], server: tuple[int, Mailbox]) -> None:
    """A refused address, and a site that does not exist, are named; the others get their report, once."""
    absent = Recipient(address=MANAGER, sites=("shop-9",))
    recipients = (Recipient(address=NOBODY), absent, Recipient(address=BOSS))
    for sent in (1, 1):
        with pytest.raises(MailFailed, match=f"{NOBODY}: 550 5.1.1 no such user; {MANAGER}: There is no site shop-9"):
            send(store, mail | {"recipients": recipients})
        assert len(server[1].messages) == sent


def test_tls_from_the_first_byte(store: Path, mail: dict[str, Any], authority: Authority) -> None:
    """The report arrives over a connection that is encrypted before the first word."""
    with mail_server(authority.issue("localhost"), starttls=False) as (port, mailbox):
        assert send(store, mail | {"port": port, "tls": "tls"}) == 1
    assert len(mailbox.messages) == 1


def test_a_week_that_has_not_ended_is_not_sent(store: Path, mail: dict[str, Any], server: tuple[int, Mailbox]) -> None:
    """Otherwise it would be noted as sent, and the whole week would never be."""
    with pytest.raises(SettingsError, match="--week: must have ended for --mail, is 2026-W14"):
        send(store, mail, week=date(2026, 3, 30))
    assert server[1].messages == []


def test_a_damaged_note_sends_nothing(store: Path, mail: dict[str, Any], server: tuple[int, Mailbox]) -> None:
    """What was sent is not known, so nothing is; the error says what to do."""
    path = Path(mail["sent_file"])
    path.parent.mkdir()
    path.write_text("{")
    with pytest.raises(SentFileFailed, match=r"damaged.*delete it to send the last week"):
        send(store, mail)
    assert server[1].messages == []


def test_the_notes_do_not_grow(tmp_path: Path) -> None:
    notes, recipient = SentFile(tmp_path / "sent.json"), Recipient(address=BOSS)
    for number in range(60):
        notes.note(recipient, date(2026, 1, 5) + number * WEEK, was_due=True)
    assert len((tmp_path / "sent.json").read_bytes()) < 300


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sender": None}, "sender: must be a mail address"),
        ({"password_file": None}, "user and password_file: must both be given"),
        ({"tls": "none", "host": "mail.shop.example"}, "tls: must be starttls or tls for a login"),
    ],
)
def test_wrong_settings_are_named(mail: dict[str, Any], change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Mail(**(mail | change))


def test_nobody_to_send_to_is_an_error(store: Path, mail: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match=r"mail\.recipients: must have at least one"):
        send(store, mail | {"recipients": ()})


@pytest.mark.parametrize("key", ["ca", "password_file"])
def test_a_file_that_cannot_be_used_is_named_although_nothing_is_due(
    store: Path, mail: dict[str, Any], server: tuple[int, Mailbox], key: str
) -> None:
    """The weekly run finds it before the week in which a report is due, with the key and the path."""
    assert send(store, mail) == 1
    assert send(store, mail) == 0, "nothing is due"
    with pytest.raises(SettingsError, match=rf"^key 'mail\.{key}': /nowhere: must be "):
        send(store, mail | {key: "/nowhere"})
