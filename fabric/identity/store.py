"""SQL for users, API keys and the answers kept for idempotency keys."""

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
from fabric.db.tables.identity import api_keys, idempotency_keys, users

LAST_USED_PRECISION_S = 60


@dataclass(frozen=True, slots=True)
class User:
    """A person who logs in."""

    id: UserId
    email: str
    role: str
    password_hash: str | None  # None: logs in through an identity provider only
    created_at: datetime
    is_email_verified: bool = False
    has_second_factor: bool = False


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
    requests_per_minute: int | None = None


@dataclass(frozen=True, slots=True)
class KeyBearer:
    """What a shown API key says of its bearer."""

    key_id: ApiKeyId
    user_id: UserId
    role: str
    scopes: list[str]
    expired: bool
    use_is_old_news: bool  # last_used_at is recent enough
    requests_per_minute: int | None


@dataclass(frozen=True, slots=True)
class Answer:
    """A success that is kept for an idempotency key."""

    body_hash: bytes
    status: int
    body: bytes
    media_type: str | None


async def insert_user(
    tx: Transaction, user_id: UserId, email: str, password_hash: str | None, role: str, *, is_verified: bool = False
) -> User | None:
    """Write a user; None when the e-mail address is taken."""
    verified_at = func.now() if is_verified else None
    statement = (
        postgres_insert(users)
        .values(id=user_id, email=email, password_hash=password_hash, role=role, email_verified_at=verified_at)
        .on_conflict_do_nothing()
        .returning(users)
    )
    return _user((await tx.execute(statement)).mappings().one_or_none())


async def user_by_email(reader: Reader, email: str) -> User | None:
    """Whoever logs in with this address, however it is capitalised."""
    statement = select(users).where(func.lower(users.c.email) == email.lower())
    return _user((await reader.execute(statement)).mappings().one_or_none())


async def user_by_id(reader: Reader, user_id: UserId) -> User | None:
    """One user who is not deleted."""
    alive = (users.c.id == user_id) & users.c.deleted_at.is_(None)
    return _user((await reader.execute(select(users).where(alive))).mappings().one_or_none())


async def select_users(
    reader: Reader, email: str | None, before: UUID | None, limit: int, *, part: str | None = None
) -> list[User]:
    """Users who are not deleted, newest first, older than `before`; with an address, the one who has it; with a part of one, all."""
    statement = select(users).where(users.c.deleted_at.is_(None))
    if email is not None:
        statement = statement.where(func.lower(users.c.email) == email.lower())
    if part is not None:
        statement = statement.where(users.c.email.icontains(part, autoescape=True))
    if before is not None:
        statement = statement.where(users.c.id < before)
    rows = (await reader.execute(statement.order_by(users.c.id.desc()).limit(limit))).mappings()
    return [user for row in rows if (user := _user(row)) is not None]


async def set_role(tx: Transaction, user_id: UserId, role: str) -> bool:
    """Make a user an operator or an operator a user; False when there is no such user, or no other operator would be left.

    Operators are locked, so that two who demote one another do not both succeed.
    """
    operators = select(users.c.id).where(users.c.role == "operator", users.c.deleted_at.is_(None)).order_by(users.c.id)
    found = {row.id for row in await tx.execute(operators.with_for_update())}
    if role != "operator" and found == {user_id}:
        return False
    alive = (users.c.id == user_id) & users.c.deleted_at.is_(None)
    return bool((await tx.execute(update(users).where(alive).values(role=role))).rowcount)


async def verify_email(tx: Transaction, user_id: UserId, email: str) -> bool:
    """Note that this address, if it is still the user's, is really theirs."""
    own = (users.c.id == user_id) & (func.lower(users.c.email) == email.lower())
    return bool((await tx.execute(update(users).where(own).values(email_verified_at=func.now()))).rowcount)


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
               coalesce(k.last_used_at > now() - make_interval(secs => :precision_s), false) AS use_is_old_news, k.requests_per_minute
        FROM api_keys k JOIN users u ON u.id = k.user_id
        WHERE k.key_hash = :key_hash AND k.revoked_at IS NULL AND u.deleted_at IS NULL""")
    row = (await reader.execute(statement, {"key_hash": key_hash, "precision_s": LAST_USED_PRECISION_S})).one_or_none()
    if row is None:
        return None
    return KeyBearer(
        ApiKeyId.of(row.id),
        UserId.of(row.user_id),
        row.role,
        row.scopes,
        row.expired,
        row.use_is_old_news,
        row.requests_per_minute,
    )


async def note_key_use(tx: Transaction, key_id: ApiKeyId) -> None:
    """Remember that a key was used now."""
    await tx.execute(update(api_keys).where(api_keys.c.id == key_id).values(last_used_at=func.now()))


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


def _user(row: Any) -> User | None:
    if row is None:
        return None
    return User(
        UserId.of(row["id"]), row["email"], row["role"], row["password_hash"], row["created_at"],
        row["email_verified_at"] is not None, row["totp_confirmed_at"] is not None,
    )  # fmt: skip


def _api_key(row: Any) -> ApiKey:
    fields: Sequence[str] = (
        "label",
        "hint",
        "scopes",
        "expires_at",
        "revoked_at",
        "last_used_at",
        "created_at",
        "requests_per_minute",
    )
    return ApiKey(ApiKeyId.of(row["id"]), **{name: row[name] for name in fields})
