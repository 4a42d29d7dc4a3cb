"""What every mailer promises (fabric/mail/mailer.py), kept by the outbox folder and by SMTP against a real server."""

import email
import email.policy
import socket
from dataclasses import dataclass
from typing import Any

import pytest
from aiosmtpd.controller import Controller

from fabric.core.ids import MailId
from fabric.core.settings import MailSettings
from fabric.mail.folder_mailer import FolderMailer
from fabric.mail.mailer import Mail, MailRefused, MailUnavailable
from fabric.mail.smtp_mailer import SmtpMailer


class Inbox:
    """An SMTP server's hands: keeps what comes, refuses `refused@…` for good and `later@…` for now."""

    def __init__(self) -> None:
        self.received: list[bytes] = []

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:
        if address.startswith("refused@"):
            return "550 no such mailbox"
        if address.startswith("later@"):
            return "451 come back later"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        self.received.append(envelope.content)
        return "250 taken"


@dataclass
class Post:
    """A mailer, and what reached the other side."""

    mailer: Any
    read: Any

    def messages(self):
        return [email.message_from_bytes(raw, policy=email.policy.default) for raw in self.read()]


@pytest.fixture
def smtp():
    inbox = Inbox()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    controller = Controller(inbox, hostname="127.0.0.1", port=port)
    controller.start()
    yield port, inbox
    controller.stop()


@pytest.fixture(params=["folder", "smtp"])
def post(request, tmp_path):
    if request.param == "folder":
        folder = tmp_path / "mail"
        return Post(
            FolderMailer(folder, "Fabric <fabric@localhost>"), lambda: [p.read_bytes() for p in sorted(folder.glob("*.eml"))]
        )
    port, inbox = request.getfixturevalue("smtp")
    settings = MailSettings(host="127.0.0.1", port=port, security="none", timeout_s=10)
    return Post(SmtpMailer(settings), lambda: inbox.received)


def mail(**changes):
    return Mail(**{"id": MailId.new(), "recipient": "ada@example.com", "subject": "Grüße", "body": "Über alles: tö\n"} | changes)


async def test_promise_1_a_mail_arrives_whole(post):
    sent = mail()
    await post.mailer.send(sent)
    [message] = post.messages()
    assert (message["to"], message["subject"], message["from"]) == (sent.recipient, sent.subject, "Fabric <fabric@localhost>")
    assert message.get_content().splitlines() == sent.body.splitlines()
    assert message["auto-submitted"] == "auto-generated"


async def test_promise_4_the_same_mail_twice_bears_the_same_message_id(post):
    sent = mail()
    await post.mailer.send(sent)
    await post.mailer.send(sent)
    assert {message["message-id"] for message in post.messages()} == {f"<{sent.id}@localhost>"}


@pytest.mark.parametrize("recipient", ["a@example.com\r\nBcc: b@example.com", "no address", "a@example.com, b@example.com\n"])
async def test_promise_2_and_5_an_address_that_would_add_a_header_is_refused_for_good(post, recipient):
    with pytest.raises(MailRefused):
        await post.mailer.send(mail(recipient=recipient))
    assert post.messages() == []


async def test_promise_5_a_subject_adds_no_header(post):
    with pytest.raises(MailRefused):
        await post.mailer.send(mail(subject="x\r\nBcc: b@example.com"))
    assert post.messages() == []


async def test_promise_2_a_mailbox_that_does_not_exist_is_refused_for_good(smtp):
    mailer = SmtpMailer(MailSettings(host="127.0.0.1", port=smtp[0], security="none"))
    with pytest.raises(MailRefused):
        await mailer.send(mail(recipient="refused@example.com"))


async def test_promise_3_trouble_that_passes_is_no_refusal(smtp, tmp_path):
    settings = MailSettings(host="127.0.0.1", port=smtp[0], security="none")
    with pytest.raises(MailUnavailable):
        await SmtpMailer(settings).send(mail(recipient="later@example.com"))
    with pytest.raises(MailUnavailable):  # nobody listens there
        await SmtpMailer(settings.model_copy(update={"port": 1})).send(mail())
    with pytest.raises(MailUnavailable):  # this server offers no TLS, and a mail with a token does not go in clear
        await SmtpMailer(settings.model_copy(update={"security": "starttls"})).send(mail())
    assert smtp[1].received == []
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(MailUnavailable):
        await FolderMailer(tmp_path / "file", "fabric@localhost").send(mail())


async def test_the_outbox_folder_is_closed_to_others(tmp_path):
    await FolderMailer(tmp_path / "mail", "fabric@localhost").send(mail())
    [path] = (tmp_path / "mail").iterdir()
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
