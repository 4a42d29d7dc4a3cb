"""The Mailer protocol: how one mail leaves this fabric.

Every mailer promises:

1. When `send` returns, the mail was taken over whole by whoever carries it on.
2. `MailRefused`: this mail will never be taken; trying again is useless.
3. `MailUnavailable`: nothing is known against the mail; try again later.
4. What is sent under one id bears the same Message-ID every time, so that a mail sent twice after a crash is recognised as one.
5. No header can be added by what a mail contains.
"""

from dataclasses import dataclass
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from typing import Protocol

from fabric.core import clock
from fabric.core.ids import MailId

SUBJECT_CHARACTERS_MAX = 200
BODY_CHARACTERS_MAX = 20_000


class MailRefused(Exception):
    """This mail will never be taken."""


class MailUnavailable(Exception):
    """Mails cannot be sent now."""


@dataclass(frozen=True, slots=True)
class Mail:
    """One mail to one person, in plain text."""

    id: MailId
    recipient: str
    subject: str
    body: str


class Mailer(Protocol):
    """Carries mails away; see the promises above."""

    async def send(self, mail: Mail) -> None:
        """Hand over one mail.

        Raises:
            MailRefused: it will never be taken.
            MailUnavailable: try again.
        """
        ...


def message_of(mail: Mail, sender: str) -> EmailMessage:
    """The mail as it travels.

    Raises:
        MailRefused: its recipient or subject cannot stand in a header.
    """
    message = EmailMessage(policy=SMTP)
    try:
        message["From"] = sender
        message["To"] = mail.recipient
        message["Subject"] = mail.subject[:SUBJECT_CHARACTERS_MAX]
        message["Message-ID"] = f"<{mail.id}@{sender.rpartition('@')[2].rstrip('>')}>"
        message["Date"] = format_datetime(clock.now())
        message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no holiday reply comes back
        if not message["To"].addresses or message["To"].defects:
            raise MailRefused("the address cannot be written in a mail")
    except (ValueError, IndexError) as error:  # a line break in a header, an address that the library cannot parse
        raise MailRefused(f"the mail cannot be written: {error}") from None
    message.set_content(mail.body[:BODY_CHARACTERS_MAX])
    return message
