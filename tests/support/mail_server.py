"""A real SMTP server, aiosmtpd, with STARTTLS and a login."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

import pytest

from tests.support.brokers import free_port

aiosmtpd = pytest.importorskip("aiosmtpd", reason="aiosmtpd is the mail server of the tests")
USER, PASSWORD = "reports", "correct horse battery"
NOBODY = "nobody@shop.example"
"""A recipient that the server refuses."""


class Mailbox:
    """Keeps the messages that the server took."""

    def __init__(self, starttls: bool) -> None:
        self._starttls = starttls
        self.messages: list[EmailMessage] = []
        self.full = False
        """Whether the server refuses all messages for now."""
        self.attempts = 0
        """Messages that were offered."""
        self.goodbye = "221 Bye"

    async def handle_RCPT(self, _server: Any, _session: Any, envelope: Any, address: str, _options: Any) -> str:  # noqa: N802
        if address == NOBODY:
            return "550 5.1.1 no such user"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        self.attempts += 1
        if self.full:
            return "452 4.3.1 the disk is full"
        assert session.authenticated and (session.ssl is not None or not self._starttls)
        self.messages.append(message_from_bytes(envelope.content, policy=policy.default))
        return "250 OK"

    async def handle_QUIT(self, _server: Any, _session: Any, _envelope: Any) -> str:  # noqa: N802
        return self.goodbye


@contextmanager
def mail_server(certificate: dict[str, str], *, starttls: bool = True) -> Iterator[tuple[int, Mailbox]]:
    """Run a server on localhost; yield its port and its mailbox. It takes no login before STARTTLS."""
    from aiosmtpd.controller import Controller
    from aiosmtpd.smtp import AuthResult

    def login(_server: Any, _session: Any, _envelope: Any, _mechanism: str, data: Any) -> Any:
        right = (data.login, data.password) == (USER.encode(), PASSWORD.encode())
        return AuthResult(success=right, handled=False)

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate["certificate"], certificate["key"])
    secure: dict[str, Any] = (
        {"tls_context": context, "require_starttls": True} if starttls else {"ssl_context": context}
    )
    mailbox = Mailbox(starttls)
    controller = Controller(
        mailbox, "127.0.0.1", free_port(), authenticator=login, auth_required=starttls,
        auth_require_tls=starttls, **secure,
    )  # fmt: skip
    controller.start()
    try:
        yield controller.port, mailbox
    finally:
        controller.stop()
