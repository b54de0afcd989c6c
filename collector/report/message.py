"""The mail that brings a report: the figures as text, the report attached."""

import hashlib
from collections.abc import Iterable
from datetime import datetime
from email.message import EmailMessage
from email.utils import format_datetime

from collector.language.language import Language
from collector.mail.settings import Attachment
from collector.report.document import Document
from collector.report.pdf import make_pdf
from collector.sentences.figures import FigureWords


def make_message(
    document: Document,
    addresses: tuple[str, str],
    attach: Iterable[Attachment],
    now: datetime,
    language: Language,
) -> EmailMessage:
    """Return the mail of a report. ``addresses`` are sender and recipient. Raises SettingsError as `make_pdf`.

    Its id depends on report and recipient alone: a mailbox that gets it twice can tell.
    """
    sender, recipient = addresses
    message = EmailMessage()
    message["Subject"] = f"{document.title}, {document.period}"
    message["From"], message["To"] = sender, recipient
    message["Date"] = format_datetime(now)
    digest = hashlib.sha256(f"{document.name} {recipient} {language.code}".encode()).hexdigest()[:32]
    message["Message-ID"] = f"<{digest}@{sender.partition('@')[2]}>"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(body(document, language))
    for form in attach:
        name = f"{document.name}.{form}"
        if form == "pdf":
            message.add_attachment(make_pdf(document.html), maintype="application", subtype="pdf", filename=name)
        else:
            message.add_attachment(document.html, subtype="html", filename=name)
    return message


def body(document: Document, language: Language) -> str:
    """Return the text of the mail."""
    lines = [document.title, document.period, "", document.summary, ""]
    lines += [_line(figure) for figure in document.figures]
    return "\n".join([*lines, "", language.gettext("The whole report is attached.")]) + "\n"


def _line(figure: FigureWords) -> str:
    """Return one figure: ``Visits: 1,234 (1,200 to 1,260); +9 % from 1,130, clear change``."""
    value = f"{figure.value} ({figure.interval})" if figure.value and figure.interval else figure.value
    change = ", ".join(part for part in (f"{figure.change} {figure.before}".strip(), figure.significance) if part)
    return f"{figure.title}: {value or figure.interval}; {change}"
