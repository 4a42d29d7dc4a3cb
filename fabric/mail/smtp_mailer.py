"""Mailer over SMTP (RFC 5321), with TLS unless it was switched off."""

import asyncio
import smtplib
import ssl

from fabric.core.settings import MailSettings
from fabric.mail.mailer import Mail, MailRefused, MailUnavailable, message_of

PERMANENT = 500  # RFC 5321: from here on a reply says that trying again is useless
ABOUT_THE_MAIL = frozenset({550, 551, 552, 553, 554, 555})
"""Permanent replies that are about this mail or its recipient; others are about us, such as a wrong password."""


class SmtpMailer:
    """Keeps every mail promise; one connection for each mail."""

    def __init__(self, settings: MailSettings) -> None:
        """Speak to `settings.host`."""
        assert settings.host is not None, "wiring chooses this mailer only with a host"
        self._settings, self._host = settings, settings.host

    async def send(self, mail: Mail) -> None:
        """Hand one mail to the server."""
        message = message_of(mail, self._settings.sender)
        try:
            await asyncio.to_thread(self._deliver, message.as_bytes(), mail.recipient)
        except smtplib.SMTPRecipientsRefused as error:
            code = next(iter(error.recipients.values()))[0]
            raise (MailRefused if code >= PERMANENT else MailUnavailable)(f"the recipient was refused ({code})") from None
        except smtplib.SMTPResponseException as error:
            about_mail = error.smtp_code in ABOUT_THE_MAIL and not isinstance(error, smtplib.SMTPAuthenticationError)
            raise (MailRefused if about_mail else MailUnavailable)(f"the mail server answered {error.smtp_code}") from None
        except smtplib.SMTPNotSupportedError as error:  # no STARTTLS, or an address that only SMTPUTF8 could carry
            raise MailUnavailable(str(error)) from None
        except (smtplib.SMTPException, OSError) as error:
            raise MailUnavailable(f"the mail server cannot be reached: {type(error).__name__}") from None

    def _deliver(self, content: bytes, recipient: str) -> None:
        settings = self._settings
        context = ssl.create_default_context(cafile=settings.ca_file)
        with (
            smtplib.SMTP_SSL(self._host, settings.port, timeout=settings.timeout_s, context=context)
            if settings.security == "tls"
            else smtplib.SMTP(self._host, settings.port, timeout=settings.timeout_s)
        ) as server:
            if settings.security == "starttls":
                server.starttls(context=context)
            if settings.user:
                server.login(settings.user, settings.password.get_secret_value() if settings.password else "")
            options = () if recipient.isascii() else ("SMTPUTF8",)
            server.sendmail(_address(settings.sender), [recipient], content, mail_options=options)


def _address(sender: str) -> str:
    return sender.rpartition("<")[2].rstrip(">").strip()
