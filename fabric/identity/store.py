"""SQL for users, API keys, refresh tokens and the answers kept for idempotency keys."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import delete, func, insert, or_, select, text, update
from sqlalchemy.dialects.postgresql import insert as postgres_insert
from sqlalchemy.exc import IntegrityError

from fabric.core.ids import ApiKeyId, UserId
from fabric.db.engine import Reader, Transaction
from fabric.db.tables.identity import api_keys, idempotency_keys, refresh_tokens, users

LAST_USED_PRECISION_S = 60


@dataclass(frozen=True, slots=True)
class User:
    """A person who logs in."""

    id: UserId
    email: str
    role: str
    password_hash: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class ApiKey:
    """An API key as its owner sees it."""

    id: ApiKeyId
    label: str
    hint: str
    scopes: list[str]
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class KeyBearer:
    """What a shown API key says of its bearer."""

    key_id: ApiKeyId
    user_id: UserId
    role: str
    scopes: list[str]
    expired: bool
    use_is_old_news: bool  # last_used_at is recent enough


@dataclass(frozen=True, slots=True)
class RefreshRow:
    """A refresh token that was shown, locked."""

    user_id: UserId
    role: str
    family: UUID
    expired: bool
    used: bool
    revoked: bool


@dataclass(frozen=True, slots=True)
class Answer:
    """A success that is kept for an idempotency key."""

    body_hash: bytes
    status: int
    body: bytes
    media_type: str | None


async def insert_user(tx: Transaction, user_id: UserId, email: str, password_hash: str, role: str) -> User | None:
    """Write a user; None when the e-mail address is taken."""
    statement = (
        postgres_insert(users)
        .values(id=user_id, email=email, password_hash=password_hash, role=role)
        .on_conflict_do_nothing()
        .returning(users)
    )
    return _user((await tx.execute(statement)).mappings().one_or_none())


async def user_by_email(reader: Reader, email: str) -> User | None:
    """Whoever logs in with this address, however it is capitalised."""
    statement = select(users).where(func.lower(users.c.email) == email.lower())
    return _user((await reader.execute(statement)).mappings().one_or_none())


async def user_by_id(reader: Reader, user_id: UserId) -> User | None:
    """One user."""
    return _user((await reader.execute(select(users).where(users.c.id == user_id))).mappings().one_or_none())


async def update_user(tx: Transaction, user_id: UserId, changes: dict[str, Any]) -> bool:
    """Change columns of a user; False when the new e-mail address is taken."""
    try:
        async with tx.begin_nested():
            await tx.execute(update(users).where(users.c.id == user_id).values(changes))
    except IntegrityError:
        return False
    return True


async def lock_user(tx: Transaction, user_id: UserId) -> None:
    """Let one transaction at a time count what this user has."""
    await tx.execute(select(users.c.id).where(users.c.id == user_id).with_for_update(key_share=True))


async def insert_api_key(tx: Transaction, user_id: UserId, values: dict[str, Any], expires_s: int | None) -> ApiKey:
    """Write an API key; it expires `expires_s` from now on the database's clock (None: never)."""
    expires_at = (
        None if expires_s is None else func.now() + text("make_interval(secs => :expires_s)").bindparams(expires_s=expires_s)
    )
    statement = insert(api_keys).values(user_id=user_id, expires_at=expires_at, **values).returning(api_keys)
    return _api_key((await tx.execute(statement)).mappings().one())


async def count_live_api_keys(reader: Reader, user_id: UserId) -> int:
    """API keys of this user that are neither revoked nor expired."""
    live = or_(api_keys.c.expires_at.is_(None), api_keys.c.expires_at > func.now())
    statement = select(func.count()).where(api_keys.c.user_id == user_id, api_keys.c.revoked_at.is_(None), live)
    return int((await reader.execute(statement)).scalar_one())


async def select_api_keys(reader: Reader, user_id: UserId, before: UUID | None, limit: int) -> list[ApiKey]:
    """This user's keys, newest first, older than `before`; revoked ones are gone."""
    statement = select(api_keys).where(api_keys.c.user_id == user_id, api_keys.c.revoked_at.is_(None))
    if before is not None:
        statement = statement.where(api_keys.c.id < before)
    rows = (await reader.execute(statement.order_by(api_keys.c.id.desc()).limit(limit))).mappings()
    return [_api_key(row) for row in rows]


async def find_api_key(reader: Reader, user_id: UserId, key_id: ApiKeyId) -> ApiKey | None:
    """One key of this user that is not revoked."""
    own = (api_keys.c.id == key_id) & (api_keys.c.user_id == user_id) & api_keys.c.revoked_at.is_(None)
    row = (await reader.execute(select(api_keys).where(own))).mappings().one_or_none()
    return None if row is None else _api_key(row)


async def revoke_api_key(tx: Transaction, user_id: UserId, key_id: ApiKeyId) -> bool:
    """Make a key of this user worthless from now on; False when there is none."""
    own = (api_keys.c.id == key_id) & (api_keys.c.user_id == user_id) & api_keys.c.revoked_at.is_(None)
    return bool((await tx.execute(update(api_keys).where(own).values(revoked_at=func.now()))).rowcount)


async def bearer_of(reader: Reader, key_hash: bytes) -> KeyBearer | None:
    """Whose key this is; None when nobody's, or revoked."""
    statement = text("""
        SELECT k.id, k.user_id, u.role, k.scopes, coalesce(k.expires_at <= now(), false) AS expired,
               coalesce(k.last_used_at > now() - make_interval(secs => :precision_s), false) AS use_is_old_news
        FROM api_keys k JOIN users u ON u.id = k.user_id WHERE k.key_hash = :key_hash AND k.revoked_at IS NULL""")
    row = (await reader.execute(statement, {"key_hash": key_hash, "precision_s": LAST_USED_PRECISION_S})).one_or_none()
    if row is None:
        return None
    return KeyBearer(ApiKeyId.of(row.id), UserId.of(row.user_id), row.role, row.scopes, row.expired, row.use_is_old_news)


async def note_key_use(tx: Transaction, key_id: ApiKeyId) -> None:
    """Remember that a key was used now."""
    await tx.execute(update(api_keys).where(api_keys.c.id == key_id).values(last_used_at=func.now()))


async def insert_refresh_token(
    tx: Transaction, token_id: UUID, user_id: UserId, *, family: UUID, token_hash: bytes, expires_s: int
) -> None:
    """Write a refresh token that is good for `expires_s` on the database's clock."""
    expires_at = func.now() + text("make_interval(secs => :expires_s)").bindparams(expires_s=expires_s)
    row = {"id": token_id, "user_id": user_id, "family": family, "token_hash": token_hash, "expires_at": expires_at}
    await tx.execute(insert(refresh_tokens).values(row))


async def lock_refresh_token(tx: Transaction, token_hash: bytes) -> RefreshRow | None:
    """The row of a shown token; a second request with the same token waits until the first has ended."""
    statement = text("""
        SELECT t.user_id, u.role, t.family, t.expires_at <= now() AS expired, t.used_at IS NOT NULL AS used,
               t.revoked_at IS NOT NULL AS revoked
        FROM refresh_tokens t JOIN users u ON u.id = t.user_id WHERE t.token_hash = :token_hash FOR UPDATE OF t""")
    row = (await tx.execute(statement, {"token_hash": token_hash})).one_or_none()
    return None if row is None else RefreshRow(UserId.of(row.user_id), row.role, row.family, row.expired, row.used, row.revoked)


async def mark_refresh_token_used(tx: Transaction, token_hash: bytes) -> None:
    """From now on showing this token again is a sign of theft."""
    await tx.execute(update(refresh_tokens).where(refresh_tokens.c.token_hash == token_hash).values(used_at=func.now()))


async def revoke_refresh_tokens(tx: Transaction, *, family: UUID | None = None, user_id: UserId | None = None) -> None:
    """Make worthless all tokens of one log-in, or of one user."""
    statement = update(refresh_tokens).where(refresh_tokens.c.revoked_at.is_(None)).values(revoked_at=func.now())
    if family is not None:
        statement = statement.where(refresh_tokens.c.family == family)
    if user_id is not None:
        statement = statement.where(refresh_tokens.c.user_id == user_id)
    assert family is not None or user_id is not None, "of whom?"
    await tx.execute(statement)


async def try_lock_idempotency_key(tx: Transaction, user_id: UserId, key: str) -> bool:
    """Take a user's key for the rest of this transaction; False when another one holds it."""
    statement = text("SELECT pg_try_advisory_xact_lock(hashtextextended(:name, 0))")
    return bool((await tx.execute(statement, {"name": f"idempotency {user_id.hex} {key}"})).scalar_one())


async def find_answer(reader: Reader, user_id: UserId, key: str) -> Answer | None:
    """The answer kept for a key."""
    statement = select(idempotency_keys).where(idempotency_keys.c.user_id == user_id, idempotency_keys.c.key == key)
    row = (await reader.execute(statement)).mappings().one_or_none()
    return None if row is None else Answer(row["body_hash"], row["response_status"], row["response_body"], row["response_type"])


async def keep_answer(tx: Transaction, user_id: UserId, key: str, answer: Answer) -> None:
    """Keep an answer for a key that is locked and has none."""
    row = {
        "user_id": user_id, "key": key, "body_hash": answer.body_hash, "response_status": answer.status,
        "response_body": answer.body, "response_type": answer.media_type,
    }  # fmt: skip
    await tx.execute(insert(idempotency_keys).values(row))


async def delete_old_answers(tx: Transaction, older_than_s: int) -> int:
    """Forget answers; returns how many."""
    limit = func.now() - text("make_interval(secs => :older_than_s)").bindparams(older_than_s=older_than_s)
    return int((await tx.execute(delete(idempotency_keys).where(idempotency_keys.c.created_at < limit))).rowcount)


async def delete_old_refresh_tokens(tx: Transaction, expired_for_s: int) -> int:
    """Forget refresh tokens long after they expired; returns how many."""
    limit = func.now() - text("make_interval(secs => :expired_for_s)").bindparams(expired_for_s=expired_for_s)
    return int((await tx.execute(delete(refresh_tokens).where(refresh_tokens.c.expires_at < limit))).rowcount)


def _user(row: Any) -> User | None:
    if row is None:
        return None
    return User(UserId.of(row["id"]), row["email"], row["role"], row["password_hash"], row["created_at"])


def _api_key(row: Any) -> ApiKey:
    fields: Sequence[str] = ("label", "hint", "scopes", "expires_at", "revoked_at", "last_used_at", "created_at")
    return ApiKey(ApiKeyId.of(row["id"]), **{name: row[name] for name in fields})
