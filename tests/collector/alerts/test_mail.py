"""A real SMTP server receives alerts: changes that come together in one mail, and none is lost while it refuses."""

import random
import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from base.errors import SettingsError
from collector.alert_settings import Alerts
from collector.alerts.alerter import Alerter
from collector.alerts.memory import read_memory
from collector.mail.server import MailFailed, connect
from collector.mail.settings import Mail, Recipient
from collector.settings import Page, Settings, Store, read_settings
from tests.support.alerts import NOW, Clock, report
from tests.support.brokers import free_port, wait_until
from tests.support.certificates import Authority
from tests.support.mail_server import NOBODY, PASSWORD, USER, Mailbox, mail_server

BOSS, MANAGER = "boss@shop.example", "manager@shop.example"
MINUTE = timedelta(minutes=1)
SEEDS = count()
GUIDE = (Path(__file__).parents[3] / "docs" / "monitoring.md").read_text(encoding="utf-8")
BLOCKS = dict(re.findall(r"^```(\w+)\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL))


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"), "mail")


@pytest.fixture(scope="module")
def server(authority: Authority) -> Iterator[tuple[int, Mailbox]]:
    with mail_server(authority.issue("localhost")) as running:
        yield running


@pytest.fixture
def mailbox(server: tuple[int, Mailbox], monkeypatch: pytest.MonkeyPatch) -> Mailbox:
    """Return the mailbox of the server, empty and open. Checks and pauses are short."""
    monkeypatch.setattr("collector.alerts.alerter.CHECK_S", 0.0)
    monkeypatch.setattr("collector.alerts.alerter.FIRST_PAUSE_S", 0.01)
    mailbox = server[1]
    mailbox.messages.clear()
    mailbox.full, mailbox.attempts, mailbox.goodbye = False, 0, "221 Bye"
    Clock.now = NOW
    return mailbox


@pytest.fixture
def mail(tmp_path: Path, authority: Authority, server: tuple[int, Mailbox]) -> dict[str, Any]:
    (tmp_path / "password").write_text(f"{PASSWORD}\n")
    return {
        "host": "localhost", "port": server[0], "ca": authority.ca, "user": USER, "sender": "alerts@shop.example",
        "password_file": str(tmp_path / "password"), "timeout_s": 5.0,
    }  # fmt: skip


def start(root: Path, mail: dict[str, Any], *recipients: Recipient, hold_s: float = 600.0) -> Alerter:
    """Start an alerter for the store, as after a restart."""
    settings = Settings(
        store=Store(root=str(root)), mail=Mail(**mail), page=Page(zone="Europe/Berlin", language="de"),
        alerts=Alerts(recipients=recipients, hold_s=hold_s),
    )  # fmt: skip
    return Alerter(settings, lambda: Clock.now, random.Random(next(SEEDS)))


def update(alerter: Alerter, times: int = 3) -> None:
    """Let an alerter check, and send what is due to each of up to three recipients."""
    for _ in range(times):
        alerter.update()


def update_until(alerter: Alerter, is_done: Callable[[], bool]) -> None:
    """Let an alerter work until something has happened."""

    def works() -> bool:
        alerter.update()
        return is_done()

    wait_until(works, "the mails are tried or taken")


def test_changes_that_come_together_are_one_mail(tmp_path: Path, mailbox: Mailbox, mail: dict[str, Any]) -> None:
    """Three devices go within a minute; each reader has one mail, of the own sites, in the own language and zone.

    One is that of the guide. Minutes of absence are not told, and the devices' return is one mail again.
    """
    recipients = (Recipient(address=BOSS), Recipient(address=MANAGER, sites=("shop-2",), language="en"))
    running = start(tmp_path, mail, *recipients)
    for site, device in (("shop-1", "door"), ("shop-1", "till"), ("shop-2", "door")):
        report(tmp_path, "offline", site, device)
        update(running)
        Clock.now += MINUTE / 4
    for _ in range(48):
        Clock.now += MINUTE / 4
        update(running)
    assert sorted(message["To"] for message in mailbox.messages) == [BOSS, MANAGER]
    german, english = sorted(mailbox.messages, key=lambda message: str(message["To"]))
    assert german["Subject"] == "3 Änderungen: shop-1, shop-2"
    assert german.get_content().splitlines()[:4] == [
        "Braucht Aufmerksamkeit:",
        "* shop-1/door: Offline (seit 10 Min. keine Nachricht), seit 28. März 2026 13:30",
        "* shop-1/till: Offline (seit 10 Min. keine Nachricht), seit 28. März 2026 13:30",
        "* shop-2/door: Offline (seit 10 Min. keine Nachricht), seit 28. März 2026 13:30",
    ]
    text = "\n".join(["Subject: " + english["Subject"], "", *english.get_content().splitlines(), ""])
    assert text == BLOCKS["text"]
    assert english.get_content_type() == "text/plain" and english["Auto-Submitted"] == "auto-generated"
    for minutes in (5, 20):
        report(tmp_path, "online", "shop-2")
        for _ in range(minutes):
            update(running)
            Clock.now += MINUTE
            report(tmp_path, "online" if minutes > 10 else "offline", "shop-2")
    assert [message["Subject"] for message in mailbox.messages[2:]] == [
        "shop-2/door: Nicht mehr: Offline",
        "shop-2/door: No longer: Offline",
    ]


def test_what_the_server_refuses_waits(
    tmp_path: Path, mailbox: Mailbox, mail: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    """Over a restart, with one line in the log; what changes meanwhile is one more mail. Then nothing is left."""
    mailbox.full = True
    report(tmp_path, "offline")
    running = start(tmp_path, mail, Recipient(address=BOSS), hold_s=0.0)
    update(running)
    Clock.now += MINUTE
    update_until(running, lambda: mailbox.attempts > 2)
    (waiting,) = read_memory(tmp_path / "alerts.json").waiting
    refused = [record.message for record in caplog.records if "alert_not_delivered" in record.message]
    assert refused == [f'event=alert_not_delivered to={BOSS} reason="452 4.3.1 the disk is full"']
    running = start(tmp_path, mail, Recipient(address=BOSS), hold_s=0.0)
    for device in ("till", "back"):
        report(tmp_path, "offline", device=device)
        update(running)
    mailbox.full = False
    Clock.now += MINUTE
    update_until(running, lambda: len(mailbox.messages) > 1)
    first, second = mailbox.messages
    assert first["Message-ID"] == f"<{waiting.id}@shop.example>"
    assert (first["Subject"], second["Subject"]) == ("shop-1/door: Offline", "2 Änderungen: shop-1")
    update(running)
    assert len(mailbox.messages) == 2 and read_memory(tmp_path / "alerts.json").waiting == ()


def test_one_recipient_stops_no_other(tmp_path: Path, mailbox: Mailbox, mail: dict[str, Any]) -> None:
    """A refused address waits alone. Its messages go when it is taken out of the configuration."""
    report(tmp_path, "offline")
    running = start(tmp_path, mail, Recipient(address=NOBODY), Recipient(address=BOSS), hold_s=0.0)
    update(running)
    Clock.now += MINUTE
    update(running)
    assert [message["To"] for message in mailbox.messages] == [BOSS]
    assert [each.destination.address for each in read_memory(tmp_path / "alerts.json").waiting] == [NOBODY]
    Clock.now += MINUTE
    update(start(tmp_path, mail, Recipient(address=BOSS), hold_s=0.0))
    assert read_memory(tmp_path / "alerts.json").waiting == ()


def test_a_server_that_is_away_is_tried_once_for_all(
    tmp_path: Path, mailbox: Mailbox, mail: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Recipients behind one server share the pause, and have their mails when it is back."""
    monkeypatch.setattr("collector.alerts.alerter.FIRST_PAUSE_S", 600.0)
    report(tmp_path, "offline")
    recipients = [Recipient(address=BOSS), Recipient(address=MANAGER)]
    running = start(tmp_path, mail | {"port": free_port()}, *recipients, hold_s=0.0)
    update(running)
    Clock.now += MINUTE
    update(running)
    assert sorted(each.is_tried for each in read_memory(tmp_path / "alerts.json").waiting) == [False, True]
    update(start(tmp_path, mail, *recipients, hold_s=0.0))
    assert sorted(message["To"] for message in mailbox.messages) == [BOSS, MANAGER]


def test_a_strange_server_ends_nothing(tmp_path: Path, mailbox: Mailbox, mail: dict[str, Any]) -> None:
    """A goodbye that is an error loses no mail; a password that the protocol cannot carry is an error like others."""
    mailbox.goodbye = "550 5.0.0 stay"
    report(tmp_path, "offline")
    running = start(tmp_path, mail, Recipient(address=BOSS), hold_s=0.0)
    update(running)
    Clock.now += MINUTE
    update(running)
    assert len(mailbox.messages) == 1 and read_memory(tmp_path / "alerts.json").waiting == ()
    (tmp_path / "password").write_text("Wörter\n", encoding="utf-8")
    with pytest.raises(MailFailed, match="mail server localhost"), connect(Mail(**mail)):
        raise AssertionError("connected")


def test_the_configuration_of_the_guide_is_valid(tmp_path: Path) -> None:
    (tmp_path / "collector.toml").write_text(BLOCKS["toml"])
    (recipient,) = read_settings(tmp_path / "collector.toml").alerts.recipients
    assert (recipient.sites, recipient.language) == (("shop-1",), "de")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"password_file": "/nowhere"}, r"mail\.password_file.*No such file"),
        ({"ca": "/nowhere"}, r"^key 'mail\.ca': /nowhere: must be certificates .*: No such file"),
        ({"ca": __file__}, r"^key 'mail\.ca': .*test_mail\.py: must be certificates .*PEM format"),
    ],
)
def test_what_cannot_work_is_refused_at_the_start(
    tmp_path: Path, mail: dict[str, Any], change: dict[str, Any], message: str
) -> None:
    with pytest.raises(SettingsError, match=message):
        start(tmp_path, mail | change, Recipient(address=BOSS))
