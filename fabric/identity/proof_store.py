"""SQL for what proves who somebody is: mailed tokens, second factors, recovery codes; and for counted attempts."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, func, insert, select, text, update

from fabric.core.ids import Id, UserId
from fabric.db.engine import Reader, Transaction
from fabric.db.tables.identity import emailed_tokens, recovery_codes, throttles, users


@dataclass(frozen=True, slots=True)
class MailedToken:
    """A token that was shown and taken."""

    user_id: UserId
    purpose: str
    email: str


@dataclass(frozen=True, slots=True)
class SecondFactor:
    """What is kept of a second factor."""

    secret: bytes | None  # encrypted
    is_on: bool
    last_step: int


async def put_token(
    tx: Transaction, purpose: str, token_hash: bytes, expires_s: int, *, user_id: UserId | None = None,
    of_email: str | None = None, to_email: str | None = None,
) -> MailedToken | None:  # fmt: skip
    """Write the token of a user, named by id or by address, in place of the last one of its purpose; None: no such user.

    Args:
        tx: The transaction.
        purpose: verify_email, change_email or reset_password.
        token_hash: Of the token.
        expires_s: From now.
        user_id: Whose; or
        of_email: whose address.
        to_email: The address that it proves; default: the user's present one.
    """
    statement = text("""
        INSERT INTO emailed_tokens (id, user_id, purpose, email, token_hash, expires_at)
        SELECT :id, u.id, :purpose, coalesce(CAST(:to_email AS text), u.email), :token_hash, now() + make_interval(secs => :expires_s)
          FROM users u
         WHERE (u.id = CAST(:user_id AS uuid) OR lower(u.email) = lower(CAST(:of_email AS text))) AND u.deleted_at IS NULL
        ON CONFLICT (user_id, purpose) DO UPDATE
          SET token_hash = excluded.token_hash, expires_at = excluded.expires_at, email = excluded.email, created_at = now()
        RETURNING user_id, email""")
    values = {
        "id": Id.new(), "user_id": user_id, "of_email": of_email, "to_email": to_email, "purpose": purpose,
        "token_hash": token_hash, "expires_s": expires_s,
    }  # fmt: skip
    row = (await tx.execute(statement, values)).one_or_none()
    return None if row is None else MailedToken(UserId.of(row.user_id), purpose, row.email)


async def take_token(tx: Transaction, purposes: list[str], token_hash: bytes) -> MailedToken | None:
    """The token's row, which is gone with it: it is good once. None: unknown, used or expired."""
    statement = (
        delete(emailed_tokens)
        .where(emailed_tokens.c.token_hash == token_hash, emailed_tokens.c.purpose.in_(purposes))
        .where(emailed_tokens.c.expires_at > func.now())
        .returning(emailed_tokens.c.user_id, emailed_tokens.c.purpose, emailed_tokens.c.email)
    )
    row = (await tx.execute(statement)).one_or_none()
    return None if row is None else MailedToken(UserId.of(row.user_id), row.purpose, row.email)


async def has_token(reader: Reader, purposes: list[str], token_hash: bytes) -> bool:
    """Whether such a token could be taken now."""
    wanted = emailed_tokens.c.token_hash == token_hash
    statement = select(emailed_tokens.c.id).where(
        wanted, emailed_tokens.c.purpose.in_(purposes), emailed_tokens.c.expires_at > func.now()
    )
    return (await reader.execute(statement)).one_or_none() is not None


async def pending_email(reader: Reader, user_id: UserId) -> str | None:
    """The address that the user wants to change to and has not confirmed."""
    statement = select(emailed_tokens.c.email).where(
        emailed_tokens.c.user_id == user_id, emailed_tokens.c.purpose == "change_email", emailed_tokens.c.expires_at > func.now()
    )
    return (await reader.execute(statement)).scalar_one_or_none()


async def second_factor(reader: Reader, user_id: UserId) -> SecondFactor:
    """What is kept of this user's second factor."""
    columns = (users.c.totp_secret, users.c.totp_confirmed_at.isnot(None).label("is_on"), users.c.totp_last_step)
    row = (await reader.execute(select(*columns).where(users.c.id == user_id))).one_or_none()
    return SecondFactor(None, False, 0) if row is None else SecondFactor(row.totp_secret, row.is_on, row.totp_last_step)


async def write_second_factor(tx: Transaction, user_id: UserId, *, secret: bytes | None) -> bool:
    """Write a secret that is not confirmed yet; None switches the second factor off. False: it is on, and a secret was given."""
    statement = update(users).where(users.c.id == user_id).values(totp_secret=secret, totp_confirmed_at=None, totp_last_step=0)
    if secret is not None:
        statement = statement.where(users.c.totp_confirmed_at.is_(None))
    return bool((await tx.execute(statement)).rowcount)


async def use_step(tx: Transaction, user_id: UserId, step: int, *, confirms: bool) -> bool:
    """Take the code of a time step, which is good once and makes older ones worthless; False: it was taken."""
    changes: dict[str, Any] = {"totp_last_step": step}
    state = users.c.totp_confirmed_at.isnot(None)
    if confirms:
        changes["totp_confirmed_at"], state = func.now(), users.c.totp_confirmed_at.is_(None)
    statement = update(users).where(users.c.id == user_id, users.c.totp_last_step < step, state).values(changes)
    return bool((await tx.execute(statement)).rowcount)


async def write_recovery_codes(tx: Transaction, user_id: UserId, hashes: list[bytes]) -> None:
    """Replace this user's recovery codes."""
    await tx.execute(delete(recovery_codes).where(recovery_codes.c.user_id == user_id))
    if hashes:
        await tx.execute(insert(recovery_codes), [{"user_id": user_id, "code_hash": code_hash} for code_hash in hashes])


async def use_recovery_code(tx: Transaction, user_id: UserId, code_hash: bytes) -> bool:
    """Take a recovery code; False: there is none such."""
    statement = delete(recovery_codes).where(recovery_codes.c.user_id == user_id, recovery_codes.c.code_hash == code_hash)
    return bool((await tx.execute(statement)).rowcount)


async def count_recovery_codes(reader: Reader, user_id: UserId) -> int:
    """How many are left."""
    statement = select(func.count()).select_from(recovery_codes).where(recovery_codes.c.user_id == user_id)
    return int((await reader.execute(statement)).scalar_one())


async def count_attempt(tx: Transaction, key_hash: bytes, window_s: int) -> tuple[int, float]:
    """Count one; returns how many there were in the present window, this one included, and how long that goes on."""
    statement = text("""
        INSERT INTO throttles AS t (key_hash, count, expires_at) VALUES (:key_hash, 1, now() + make_interval(secs => :window_s))
        ON CONFLICT (key_hash) DO UPDATE
          SET count = CASE WHEN t.expires_at <= now() THEN 1 ELSE least(t.count + 1, 1000000) END,
              expires_at = CASE WHEN t.expires_at <= now() THEN excluded.expires_at ELSE t.expires_at END
        RETURNING count AS attempts, CAST(extract(epoch FROM expires_at - now()) AS float8) AS left_s""")
    row = (await tx.execute(statement, {"key_hash": key_hash, "window_s": window_s})).one()
    return int(row.attempts), float(row.left_s)


async def uncount_attempt(tx: Transaction, key_hash: bytes) -> None:
    """Take one count back."""
    statement = update(throttles).where(throttles.c.key_hash == key_hash, throttles.c.count > 0)
    await tx.execute(statement.values(count=throttles.c.count - 1))


async def clear_attempts(tx: Transaction, key_hash: bytes) -> None:
    """Forget the count."""
    await tx.execute(delete(throttles).where(throttles.c.key_hash == key_hash))


async def delete_expired_proofs(tx: Transaction) -> int:
    """Forget mailed tokens and counts that mean nothing any more; returns how many."""
    gone = int((await tx.execute(delete(emailed_tokens).where(emailed_tokens.c.expires_at < func.now()))).rowcount)
    return gone + int((await tx.execute(delete(throttles).where(throttles.c.expires_at < func.now()))).rowcount)
