"""Send the reports that are due to their recipients."""

import logging
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from base.errors import SettingsError
from base.logs import line
from collector.language.language import Language, language
from collector.mail.server import MailFailed, MailServer, connect
from collector.mail.settings import Mail, Recipient
from collector.page.controls.selection import InvalidSelection
from collector.reading.reader import Reader
from collector.report.contents import gather
from collector.report.document import make_document
from collector.report.message import Attached, attached, make_message
from collector.report.sent import SentFile, opened
from collector.report.week import last_week, select_week, week_code

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Due:
    """A report that has not been sent."""

    recipient: Recipient
    week: date
    """Monday of the week."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """Sends reports of a store."""

    reader: Reader
    mail: Mail
    zone: ZoneInfo
    now: datetime
    default_language: str
    """Language of recipients that have none of their own."""

    def send(self, week: date | None = None) -> int:
        """Send what is due, or one week, and return the number of mails sent.

        Raises MailFailed for what was not sent, after the rest was; SettingsError if there is nobody to send to.
        """
        if not self.mail.recipients:
            raise SettingsError("mail.recipients: must have at least one recipient for --mail, has none")
        self.mail.check_files()
        for recipient in self.mail.recipients:
            self._language(recipient)  # a wrong one is an error before anything is sent
        if week is not None and week > last_week(self.now, self.zone):
            raise SettingsError(f"--week: must have ended for --mail, is {week_code(week)}")
        with opened(Path(self.mail.sent_file)) as sent:
            due = self._due(sent, week)
            return self._send_all(due, sent, was_due=week is None) if due else 0

    def _due(self, sent: SentFile, week: date | None) -> list[Due]:
        last = last_week(self.now, self.zone)
        found = []
        for recipient in self.mail.recipients:
            weeks = sent.due(recipient, last) if week is None else [week] * (not sent.was_sent(recipient, week))
            found += [Due(recipient, each) for each in weeks]
        return found

    def _send_all(self, due: list[Due], sent: SentFile, *, was_due: bool) -> int:
        refused, documents = [], dict[tuple[object, ...], Attached]()
        with connect(self.mail) as server:
            for each in due:
                try:
                    self._send(each, server, documents)
                except (MailFailed, InvalidSelection) as error:
                    refused.append(f"{each.recipient.address}: {error}")
                    continue
                sent.note(each.recipient, each.week, was_due=was_due)
                _log.info(line("report_sent", to=each.recipient.address, week=week_code(each.week)))
        if refused:
            raise MailFailed(f"{len(refused)} of {len(due)} reports were not sent: {'; '.join(refused)}")
        return len(due)

    def _send(self, due: Due, server: MailServer, documents: dict[tuple[object, ...], Attached]) -> None:
        """Send one report; recipients of the same sites and language share it."""
        words = self._language(due.recipient)
        key = (due.week, due.recipient.sites, words.code)
        if key not in documents:
            selection = select_week(due.week, due.recipient.sites, self.zone, self.now)
            document = make_document(gather(self.reader, selection, self.now, words), words)
            documents[key] = attached(document, self.mail.attach)
        assert self.mail.sender is not None
        addresses = (self.mail.sender, due.recipient.address)
        server.send(make_message(documents[key], addresses, self.now, words))

    def _language(self, recipient: Recipient) -> Language:
        return language(recipient.language or self.default_language)
