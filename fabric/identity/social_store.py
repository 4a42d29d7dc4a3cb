"""SQL for identities that providers vouch for, and for log-ins through them that are under way."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, func, insert, select, text, update

from fabric.core.ids import IdentityId, UserId
from fabric.db.engine import Reader, Transaction
from fabric.db.tables.identity import linked_identities, social_log_ins


@dataclass(frozen=True, slots=True)
class LinkedIdentity:
    """Somebody as an identity provider knows them."""

    id: IdentityId
    provider: str
    email: str | None
    last_used_at: datetime | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Answerable:
    """A log-in that the provider may answer, once."""

    nonce: str
    code_verifier: str
    return_to: str | None


async def insert_log_in(
    tx: Transaction, *, state_hash: bytes, browser_hash: bytes, provider: str, nonce: str, code_verifier: str,
    return_to: str | None, expires_s: int,
) -> None:  # fmt: skip
    """Write a log-in that has begun."""
    row = {
        "state_hash": state_hash, "browser_hash": browser_hash, "provider": provider, "nonce": nonce,
        "code_verifier": code_verifier, "return_to": return_to,
        "expires_at": func.now() + text("make_interval(secs => :expires_s)").bindparams(expires_s=expires_s),
    }  # fmt: skip
    await tx.execute(insert(social_log_ins).values(row))


async def take_answer(tx: Transaction, state_hash: bytes, browser_hash: bytes, provider: str) -> Answerable | None:
    """What a log-in was begun with; it cannot be answered again. None: unknown, of another browser, answered or too old."""
    statement = text("""
        WITH found AS (
          SELECT state_hash, nonce, code_verifier, return_to FROM social_log_ins
           WHERE state_hash = :state_hash AND browser_hash = :browser_hash AND provider = :provider
             AND nonce IS NOT NULL AND expires_at > now() FOR UPDATE)
        UPDATE social_log_ins AS s SET nonce = NULL, code_verifier = NULL FROM found WHERE s.state_hash = found.state_hash
        RETURNING found.nonce, found.code_verifier, found.return_to""")
    values = {"state_hash": state_hash, "browser_hash": browser_hash, "provider": provider}
    row = (await tx.execute(statement, values)).one_or_none()
    return None if row is None else Answerable(row.nonce, row.code_verifier, row.return_to)


async def give_ticket(tx: Transaction, state_hash: bytes, ticket_hash: bytes, user_id: UserId, expires_s: int) -> None:
    """Let whoever holds the ticket become this user, for `expires_s`."""
    expires_at = func.now() + text("make_interval(secs => :expires_s)").bindparams(expires_s=expires_s)
    statement = update(social_log_ins).where(social_log_ins.c.state_hash == state_hash)
    await tx.execute(statement.values(ticket_hash=ticket_hash, user_id=user_id, expires_at=expires_at))


async def find_ticket(reader: Reader, ticket_hash: bytes) -> tuple[UserId, str] | None:
    """Whose ticket this is, and of which provider."""
    statement = select(social_log_ins.c.user_id, social_log_ins.c.provider).where(
        social_log_ins.c.ticket_hash == ticket_hash, social_log_ins.c.expires_at > func.now()
    )
    row = (await reader.execute(statement)).one_or_none()
    return None if row is None else (UserId.of(row.user_id), row.provider)


async def take_ticket(tx: Transaction, ticket_hash: bytes) -> bool:
    """Take a ticket, which is good once."""
    statement = delete(social_log_ins).where(
        social_log_ins.c.ticket_hash == ticket_hash, social_log_ins.c.expires_at > func.now()
    )
    return bool((await tx.execute(statement)).rowcount)


async def user_of_identity(tx: Transaction, issuer: str, subject: str) -> UserId | None:
    """Who is linked with this identity; notes that it was used."""
    statement = (
        update(linked_identities)
        .where(linked_identities.c.issuer == issuer, linked_identities.c.subject == subject)
        .values(last_used_at=func.now())
        .returning(linked_identities.c.user_id)
    )
    found = (await tx.execute(statement)).scalar_one_or_none()
    return None if found is None else UserId.of(found)


async def insert_identity(
    tx: Transaction, user_id: UserId, *, provider: str, issuer: str, subject: str, email: str | None
) -> IdentityId:
    """Link an identity with a user."""
    identity_id = IdentityId.new()
    row = {
        "id": identity_id, "user_id": user_id, "provider": provider, "issuer": issuer, "subject": subject, "email": email,
        "last_used_at": func.now(),
    }  # fmt: skip
    await tx.execute(insert(linked_identities).values(row))
    return identity_id


async def select_identities(reader: Reader, user_id: UserId) -> list[LinkedIdentity]:
    """The identities that open this user's account, newest first."""
    statement = select(linked_identities).where(linked_identities.c.user_id == user_id).order_by(linked_identities.c.id.desc())
    names = ("provider", "email", "last_used_at", "created_at")
    rows = (await reader.execute(statement)).mappings()
    return [LinkedIdentity(IdentityId.of(row["id"]), **{name: row[name] for name in names}) for row in rows]


async def delete_identity(tx: Transaction, user_id: UserId, identity_id: IdentityId) -> bool:
    """Unlink one; False: there is none such."""
    own = (linked_identities.c.id == identity_id) & (linked_identities.c.user_id == user_id)
    return bool((await tx.execute(delete(linked_identities).where(own))).rowcount)


async def delete_expired_log_ins(tx: Transaction) -> int:
    """Forget log-ins that nobody finished; returns how many."""
    return int((await tx.execute(delete(social_log_ins).where(social_log_ins.c.expires_at < func.now()))).rowcount)
