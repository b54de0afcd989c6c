"""Send changes to a mail address, as plain text in the language of its reader."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.message import EmailMessage
from zoneinfo import ZoneInfo

from msgspec.structs import replace

from base.errors import SettingsError
from collector.alerts.changes import Change
from collector.alerts.channel import NotDelivered
from collector.alerts.conditions import Text
from collector.alerts.memory import Destination, Waiting
from collector.language.catalogue import SOURCE
from collector.language.language import Language
from collector.mail.message import new_message
from collector.mail.server import MailFailed, connect
from collector.mail.settings import Mail, Recipient

TIMEOUT_S = 10.0
"""Longest time limit for an answer of the server: the collector stops within 30 seconds."""
SHOWN_SITES = 3
"""Sites that a subject names."""


@dataclass(frozen=True, slots=True)
class MailChannel:
    """The way to one mail address."""

    mail: Mail
    recipient: Recipient
    words: Language
    zone: ZoneInfo
    gather = timedelta(minutes=1)

    @property
    def destination(self) -> Destination:
        """Its messages in the queue."""
        return Destination(kind="mail", address=self.recipient.address)

    @property
    def name(self) -> str:
        """The address."""
        return self.recipient.address

    @property
    def server(self) -> str:
        """Host and port."""
        return f"{self.mail.host}:{self.mail.port}"

    def wants(self, change: Change) -> bool:
        """Whether the site is one of the recipient's."""
        return not self.recipient.sites or change.subject.site in self.recipient.sites

    def send(self, waiting: Waiting, now: datetime) -> None:
        """Send a mail. Raises NotDelivered, also while the password cannot be read."""
        mail = replace(self.mail, timeout_s=min(self.mail.timeout_s, TIMEOUT_S))
        is_open = False
        try:
            with connect(mail) as server:
                is_open = True
                server.send(self.message(waiting, now))
        except (MailFailed, SettingsError) as error:
            raise NotDelivered(str(error), is_away=not is_open) from error

    def message(self, waiting: Waiting, now: datetime) -> EmailMessage:
        """Return the mail of a message that waits."""
        assert self.mail.sender is not None
        addresses = (self.mail.sender, self.recipient.address)
        text = body(waiting.changes, self.words, self.zone)
        return new_message(addresses, subject(waiting.changes, self.words), text, now, waiting.id)


def subject(changes: Sequence[Change], words: Language) -> str:
    """Return ``shop-1/door: Offline``, or the number of changes and their sites."""
    if len(changes) == 1:
        (change,) = changes
        title = _text(change, words).title
        what = title if change.state == "needs_person" else words.gettext("No longer: {what}", what=title)
        return f"{change.subject.site}/{change.subject.device}: {what}"
    sites = sorted({each.subject.site for each in changes})
    shown = ", ".join([*sites[:SHOWN_SITES], *["..."] * (len(sites) > SHOWN_SITES)])
    return words.ngettext("{number} change: {sites}", "{number} changes: {sites}", len(changes), sites=shown)


def body(changes: Iterable[Change], words: Language, zone: ZoneInfo) -> str:
    """Return the text: what needs somebody, what does not any longer, each with its time."""
    parts = {"needs_person": words.gettext("Needs attention:"), "recovered": words.gettext("No longer:")}
    lines = []
    for state, head in parts.items():
        found = [f"* {_line(each, words, zone)}" for each in changes if each.state == state]
        lines += [head, *found, ""] if found else []
    return "\n".join([*lines, words.gettext("Time zone: {zone}", zone=zone.key)]) + "\n"


def _line(change: Change, words: Language, zone: ZoneInfo) -> str:
    """Return ``shop-1/door: Offline (no message for 11 min), since 28 March 2026 13:30``."""
    text = _text(change, words)
    detail = f" ({text.detail})" if text.detail and change.state == "needs_person" else ""
    since = words.gettext("since {time}", time=words.moment(change.since.astimezone(zone)))
    return f"{change.subject.site}/{change.subject.device}: {text.title}{detail}, {since}"


def _text(change: Change, words: Language) -> Text:
    """Return the texts in the reader's language; in English if that was not configured when the change was found."""
    return change.texts.get(words.code) or change.texts[SOURCE]
