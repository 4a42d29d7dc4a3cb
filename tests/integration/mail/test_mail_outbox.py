"""The outbox of mails: what a rolled-back act would have sent is not sent; trouble is tried again, and not for ever."""

import asyncio

import pytest

from fabric.mail import outbox
from fabric.mail.mailer import MailRefused, MailUnavailable


class Carrier:
    """Takes mails, or has the trouble that it is told to have."""

    def __init__(self, *troubles):
        self.troubles, self.taken = list(troubles), []

    async def send(self, mail):
        if self.troubles:
            raise self.troubles.pop(0)
        self.taken.append(mail)


async def queue(database, recipient="ada@example.com"):
    async with database.transaction() as tx:
        await outbox.queue(tx, recipient, "Hello", "a token")


async def rows(owner_connection):
    cursor = await owner_connection.execute("SELECT attempts, next_try_at IS NULL, sent_at IS NOT NULL, body FROM mails")
    return await cursor.fetchall()


async def test_a_mail_is_sent_once_and_its_text_is_erased(database, owner_connection):
    await queue(database)
    carrier = Carrier()
    assert await outbox.deliver(database, carrier) == 1
    assert await outbox.deliver(database, carrier) == 0
    assert [mail.body for mail in carrier.taken] == ["a token"]
    assert await rows(owner_connection) == [(1, True, True, "")]


async def test_what_was_rolled_back_is_not_sent(database):
    with pytest.raises(ZeroDivisionError):
        async with database.transaction() as tx:
            await outbox.queue(tx, "ada@example.com", "Hello", "a token")
            raise ZeroDivisionError
    assert await outbox.deliver(database, Carrier()) == 0


async def test_trouble_is_tried_again_later_and_given_up_in_the_end(database, owner_connection):
    await queue(database)
    for attempt in range(1, outbox.ATTEMPTS_MAX + 1):
        assert await outbox.deliver(database, Carrier(MailUnavailable("away"))) == 0
        assert await outbox.deliver(database, Carrier()) == 0, "not before its time"
        [(attempts, is_over, was_sent, _)] = await rows(owner_connection)
        assert (attempts, was_sent) == (attempt, False)
        assert is_over is (attempt == outbox.ATTEMPTS_MAX)
        await owner_connection.execute("UPDATE mails SET next_try_at = now() WHERE next_try_at IS NOT NULL")
    assert (await rows(owner_connection))[0][3] == "", "the token of a mail that is given up is erased"


async def test_a_refused_mail_is_given_up_at_once_and_holds_up_nobody(database, owner_connection):
    await queue(database, "refused@example.com")
    await queue(database)
    carrier = Carrier(MailRefused("no such mailbox"))
    assert await outbox.deliver(database, carrier) == 1
    assert [mail.recipient for mail in carrier.taken] == ["ada@example.com"]
    assert all(is_over for _, is_over, _, _ in await rows(owner_connection))


async def test_two_clerks_send_each_mail_once(database):
    for number in range(10):
        await queue(database, f"u{number}@example.com")
    carriers = Carrier(), Carrier()
    await asyncio.gather(*(outbox.deliver(database, carrier) for carrier in carriers))
    assert len({m.id for c in carriers for m in c.taken}) == sum(len(c.taken) for c in carriers) == 10


async def test_users_of_the_machine_itself_have_no_mailbox(database):
    await queue(database, "you@localhost")
    assert await outbox.deliver(database, Carrier()) == 0
