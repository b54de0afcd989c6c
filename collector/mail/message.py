"""A mail with a text."""

from datetime import datetime
from email.message import EmailMessage
from email.utils import format_datetime


def new_message(addresses: tuple[str, str], subject: str, text: str, now: datetime, unique: str) -> EmailMessage:
    """Return a mail. ``addresses`` are sender and recipient.

    Its id is made of ``unique``: a mailbox that gets a mail twice can tell.
    """
    sender, recipient = addresses
    message = EmailMessage()
    message["Subject"] = subject
    message["From"], message["To"] = sender, recipient
    message["Date"] = format_datetime(now)
    message["Message-ID"] = f"<{unique}@{sender.partition('@')[2]}>"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(text)
    return message
