"""The ``[mail]`` section of the configuration: the SMTP server, and who gets what by mail."""

import ssl
from collections import Counter
from typing import Annotated, Literal

from msgspec import Meta

from base.broker_settings import Host, Port
from base.loopback import is_loopback
from base.secret_file import read_secret
from base.tls import Tls, tls_context
from base.toml_settings import Seconds, Table, Text
from collector.language.catalogue import check_language
from contract.fields import Id

MailAddress = Annotated[
    str,
    Meta(
        max_length=254,
        pattern=r"^[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$(?!\n)",
        description="a mail address such as name@shop.example",
    ),
]
LanguageCode = Annotated[str, Meta(pattern=r"^[a-z]{2,3}$(?!\n)", description="a code such as de")]
Attachment = Literal["html", "pdf"]


class Recipient(Table, frozen=True, kw_only=True):
    """Who gets the weekly report, or alerts."""

    address: MailAddress
    sites: tuple[Id, ...] = ()
    """Only these sites; all if empty."""
    language: LanguageCode | None = None
    """Language of the mail; that of the page unless set."""

    def __post_init__(self) -> None:
        """Reject a language without a catalogue."""
        if self.language is not None:
            check_language(self.language)


class Mail(Table, frozen=True, kw_only=True):
    """The SMTP server, and the weekly report that is sent through it."""

    host: Host = "localhost"
    port: Port = 587
    tls: Literal["starttls", "tls", "none"] = "starttls"
    """``starttls`` encrypts before the login, ``tls`` from the first byte (port 465), ``none`` never."""
    ca: Text | None = None
    """Certificate of the authority that signed the server's; the system's authorities unless set."""
    user: Text | None = None
    password_file: Text | None = None
    """File whose first line is the password, so that the configuration itself holds no secret."""
    sender: MailAddress | None = None
    recipients: tuple[Recipient, ...] = ()
    attach: tuple[Attachment, ...] = ("html", "pdf")
    """Forms in which the report is attached."""
    sent_file: Text = "/var/lib/facetally-report/sent.json"
    """Notes which week was sent to whom, so that no report is sent twice."""
    timeout_s: Seconds = 30.0
    """Time limit for each answer of the server, seconds."""

    def __post_init__(self) -> None:
        """Reject recipients without a sender or given twice, a user without a password, and a login that others could
        read."""
        if self.recipients and self.sender is None:
            raise ValueError("sender: must be a mail address where there are recipients, is missing")
        reports = Counter((each.address, frozenset(each.sites), each.language) for each in self.recipients)
        for (address, _, _), number in reports.items():
            if number > 1:
                raise ValueError(
                    "recipients: address, sites and language together must be given once, are given"
                    f" {number} times for {address}"
                )
        if (self.user is None) != (self.password_file is None):
            raise ValueError("user and password_file: must both be given or both be missing")
        if self.user is not None and self.tls == "none" and not is_loopback(self.host):
            raise ValueError(f"tls: must be starttls or tls for a login at another machine ({self.host}), is none")

    def password(self) -> str | None:
        """Return the password, or None if no file is set. Raise SettingsError if the file cannot be read."""
        return None if self.password_file is None else read_secret(self.password_file, "mail.password_file")

    def tls_context(self) -> ssl.SSLContext | None:
        """Return the TLS context, or None with ``tls = "none"``. Raise SettingsError if ``ca`` cannot be loaded."""
        return None if self.tls == "none" else tls_context(Tls(ca=self.ca), "mail.ca")

    def check_files(self) -> None:
        """Raise SettingsError if a file that a connection needs cannot be used, so that no mail waits for it."""
        self.password()
        self.tls_context()
