"""SQL for mails."""

from sqlalchemy import delete, func, insert, text, update

from fabric.core.ids import MailId
from fabric.db.engine import Transaction
from fabric.db.tables.mail import mails
from fabric.mail.mailer import Mail

FAILURE_CHARACTERS_MAX = 300


async def insert_mail(tx: Transaction, mail: Mail) -> None:
    """Write a mail that is due at once."""
    await tx.execute(insert(mails).values(id=mail.id, recipient=mail.recipient, subject=mail.subject, body=mail.body))


async def take_due_mail(tx: Transaction, lease_s: float) -> tuple[Mail, int] | None:
    """The mail that is due longest, and which attempt this is; nobody else gets it for `lease_s`."""
    statement = text("""
        UPDATE mails SET attempts = attempts + 1, next_try_at = now() + make_interval(secs => :lease_s)
         WHERE id = (SELECT id FROM mails WHERE next_try_at <= now() ORDER BY next_try_at LIMIT 1 FOR UPDATE SKIP LOCKED)
        RETURNING id, recipient, subject, body, attempts""")
    row = (await tx.execute(statement, {"lease_s": lease_s})).one_or_none()
    return None if row is None else (Mail(MailId.of(row.id), row.recipient, row.subject, row.body), row.attempts)


async def note_sent(tx: Transaction, mail_id: MailId) -> None:
    """It is on its way; its text is erased."""
    await tx.execute(
        update(mails).where(mails.c.id == mail_id).values(sent_at=func.now(), next_try_at=None, body="", failure=None)
    )


async def note_failure(tx: Transaction, mail_id: MailId, failure: str, again_in_s: float | None) -> None:
    """It was not sent; None: it never will be, so its text is erased."""
    values: dict[str, object] = {"failure": failure[:FAILURE_CHARACTERS_MAX], "next_try_at": None, "body": ""}
    if again_in_s is not None:
        values.pop("body")
        values["next_try_at"] = func.now() + text("make_interval(secs => :again_in_s)").bindparams(again_in_s=again_in_s)
    await tx.execute(update(mails).where(mails.c.id == mail_id).values(values))


async def delete_old_mails(tx: Transaction, older_than_s: int) -> int:
    """Forget mails that were sent or given up long ago."""
    limit = func.now() - text("make_interval(secs => :older_than_s)").bindparams(older_than_s=older_than_s)
    return int((await tx.execute(delete(mails).where(mails.c.created_at < limit, mails.c.next_try_at.is_(None)))).rowcount)


async def forget_recipient(tx: Transaction, recipient: str) -> None:
    """Erase every mail to an address, sent or not."""
    await tx.execute(delete(mails).where(func.lower(mails.c.recipient) == recipient.lower()))
