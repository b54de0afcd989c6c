"""A connection to the SMTP server. Whatever goes wrong with it is `MailFailed`: try again later."""

import smtplib
import ssl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from email.message import EmailMessage

from base.errors import FacetallyError
from collector.mail.settings import Mail


class MailFailed(FacetallyError):
    """The server cannot be reached, or refuses; nothing is lost, the next run tries again."""


class MailServer:
    """An open, authenticated connection."""

    def __init__(self, connection: smtplib.SMTP) -> None:
        self._connection = connection

    def send(self, message: EmailMessage) -> None:
        """Send a message. Raises MailFailed if the server refuses it or is gone; then each further one fails, too."""
        try:
            self._connection.send_message(message)
        except (smtplib.SMTPException, OSError) as error:
            raise MailFailed(reason(error)) from error


@contextmanager
def connect(mail: Mail) -> Iterator[MailServer]:
    """Connect, encrypt and log in. Raises MailFailed, and SettingsError if a file of the settings cannot be read."""
    context = mail.tls_context()
    password = mail.password()
    with ExitStack() as stack:
        try:
            connection = _open(mail, context)
            stack.callback(_close, connection)
            if mail.tls == "starttls":
                connection.starttls(context=context)
            if mail.user is not None and password is not None:
                connection.login(mail.user, password)
        except (smtplib.SMTPException, OSError, ValueError) as error:  # ValueError: a password that is not ASCII
            raise MailFailed(f"mail server {mail.host}:{mail.port}: {reason(error)}") from error
        yield MailServer(connection)


def _open(mail: Mail, context: ssl.SSLContext | None) -> smtplib.SMTP:
    if mail.tls == "tls":
        return smtplib.SMTP_SSL(mail.host, mail.port, timeout=mail.timeout_s, context=context)
    return smtplib.SMTP(mail.host, mail.port, timeout=mail.timeout_s)


def _close(connection: smtplib.SMTP) -> None:
    """Say goodbye; an answer that is no goodbye matters no longer."""
    with suppress(smtplib.SMTPException, OSError):
        connection.quit()
    connection.close()


def reason(error: Exception) -> str:
    """Return what a server or the network said, in one line."""
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        code, text = next(iter(error.recipients.values()))
        return f"{code} {_text(text)}"
    if isinstance(error, smtplib.SMTPResponseException):
        return f"{error.smtp_code} {_text(error.smtp_error)}"
    return " ".join(str(error).split()) or type(error).__name__


def _text(said: bytes | str) -> str:
    text = said.decode(errors="replace") if isinstance(said, bytes) else said
    return " ".join(text.split())
