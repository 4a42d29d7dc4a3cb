"""The outbox: mails are written in the transaction of what happened and sent by a loop, again after trouble.

A turn takes one due mail, hands it over outside any transaction, and notes what became of it. A crash in between sends it once
more after `LEASE_S`, under the same Message-ID. What was sent or given up loses its text, because that may hold a token.
"""

from fabric.core.ids import MailId
from fabric.core.telemetry import logger
from fabric.db.engine import Database, Transaction
from fabric.mail import store
from fabric.mail.mailer import Mail, Mailer, MailRefused, MailUnavailable

ATTEMPTS_MAX = 10
BACKOFF_S = 15.0
BACKOFF_S_MAX = 3600.0
LEASE_S = 120.0
BATCH = 20
KEPT_S = 30 * 86_400
LOCAL_DOMAIN = "@localhost"
"""Users whom `fabric up` makes for its own machine have no mailbox."""

log = logger(__name__)


async def queue(tx: Transaction, recipient: str, subject: str, body: str) -> None:
    """Have a mail sent once this transaction is committed; nothing is sent if it is not."""
    if not recipient.lower().endswith(LOCAL_DOMAIN):
        await store.insert_mail(tx, Mail(MailId.new(), recipient, subject, body))


async def deliver(database: Database, mailer: Mailer) -> int:
    """Loop body: send up to `BATCH` due mails; says how many were sent."""
    sent = 0
    for _ in range(BATCH):
        async with database.transaction() as tx:
            taken = await store.take_due_mail(tx, LEASE_S)
        if taken is None:
            break
        mail, attempts = taken
        sent += await _send(database, mailer, mail, attempts)
    async with database.transaction() as tx:
        await store.delete_old_mails(tx, KEPT_S)
    return sent


async def _send(database: Database, mailer: Mailer, mail: Mail, attempts: int) -> int:
    try:
        await mailer.send(mail)
    except (MailRefused, MailUnavailable) as error:
        is_last = isinstance(error, MailRefused) or attempts >= ATTEMPTS_MAX
        log.warning("mail_not_sent", mail_id=str(mail.id), attempts=attempts, given_up=is_last, reason=str(error))
        async with database.transaction() as tx:
            await store.note_failure(tx, mail.id, str(error), None if is_last else backoff_s(attempts))
        return 0
    async with database.transaction() as tx:
        await store.note_sent(tx, mail.id)
    return 1


def backoff_s(attempts: int) -> float:
    """How long to wait after so many attempts."""
    return float(min(BACKOFF_S_MAX, BACKOFF_S * 2 ** (attempts - 1)))
