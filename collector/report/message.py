"""The mail that brings a report: the figures as text, the report attached."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from email.message import EmailMessage

from collector.language.language import Language
from collector.mail.message import new_message
from collector.mail.settings import Attachment
from collector.report.document import Document
from collector.report.pdf import make_pdf
from collector.sentences.figures import FigureWords


@dataclass(frozen=True, slots=True)
class Attached:
    """A report and its files, made once for all recipients."""

    document: Document
    files: Mapping[Attachment, bytes]
    """Content by form."""


def attached(document: Document, forms: Iterable[Attachment]) -> Attached:
    """Make the files of a report. Raises SettingsError as `make_pdf`."""
    return Attached(
        document, {form: make_pdf(document.html) if form == "pdf" else document.html.encode() for form in forms}
    )


def make_message(report: Attached, addresses: tuple[str, str], now: datetime, language: Language) -> EmailMessage:
    """Return the mail of a report. ``addresses`` are sender and recipient.

    Its id depends on report and recipient alone: a mailbox that gets it twice can tell.
    """
    document = report.document
    digest = hashlib.sha256(f"{document.name} {addresses[1]} {language.code}".encode()).hexdigest()[:32]
    subject = f"{document.title}, {document.period}"
    message = new_message(addresses, subject, body(document, language), now, digest)
    for form, content in report.files.items():
        name = f"{document.name}.{form}"
        if form == "pdf":
            message.add_attachment(content, maintype="application", subtype="pdf", filename=name)
        else:
            message.add_attachment(content.decode(), subtype="html", filename=name)
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
