"""API keys: mint, hash, look up, revoke.

A key is `fab_`, 40 random characters and a checksum of 6, all base 62. The checksum lets secret scanners and us tell a mistyped
key from a wrong one without a look-up. Keys are random, so one round of SHA-256 protects what is stored.
"""

import hashlib
import secrets
import string
import zlib

from fabric.core.errors import Conflict, CredentialExpired, Invalid, NotFound, Unauthenticated
from fabric.core.ids import ApiKeyId, UserId
from fabric.db.engine import Database, Transaction
from fabric.identity import audit, store
from fabric.identity.access import Principal
from fabric.identity.origin import Origin
from fabric.identity.store import ApiKey, KeyBearer

PREFIX = "fab_"
RANDOM_CHARACTERS = 40
CHECKSUM_CHARACTERS = 6
HINT_CHARACTERS = 8
LABEL_CHARACTERS_MAX = 100
EXPIRES_S_MAX = 10 * 365 * 86_400
_ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase


def mint() -> str:
    """A fresh key."""
    body = "".join(secrets.choice(_ALPHABET) for _ in range(RANDOM_CHARACTERS))
    return PREFIX + body + checksum(body)


def checksum(body: str) -> str:
    """Six characters that belong to these random ones."""
    value, digits = zlib.crc32(body.encode()), ""
    for _ in range(CHECKSUM_CHARACTERS):
        value, digit = divmod(value, len(_ALPHABET))
        digits = _ALPHABET[digit] + digits
    return digits


def is_well_formed(key: str) -> bool:
    """Whether the key could be one of ours; says nothing of whether it is."""
    body = key[len(PREFIX) : -CHECKSUM_CHARACTERS]
    return (
        key.isascii() and key.startswith(PREFIX) and len(body) == RANDOM_CHARACTERS
        and key[-CHECKSUM_CHARACTERS:] == checksum(body)
    )  # fmt: skip


async def create(
    tx: Transaction, user_id: UserId, *, label: str, scopes: list[str], expires_s: int | None = None, live_max: int = 50,
    requests_per_minute: int | None = None, origin: Origin | None = None,
) -> tuple[ApiKey, str]:  # fmt: skip
    """Make a key; the second value is the key itself, shown this once.

    Args:
        tx: The transaction.
        user_id: Whose.
        label: To recognise it by.
        scopes: What it reaches; `access.checked_scopes` says what one caller may grant.
        expires_s: From now on; None: never.
        live_max: Keys that one user may have.
        requests_per_minute: A limit of its own, below the fabric's.
        origin: Who makes it.

    Raises:
        Invalid: label or expiry out of range.
        Conflict: the user has `live_max` live keys already.
    """
    if not 0 < len(label) <= LABEL_CHARACTERS_MAX or not label.isprintable():
        raise Invalid(f"A label has 1 to {LABEL_CHARACTERS_MAX} printable characters.")
    if expires_s is not None and not 1 <= expires_s <= EXPIRES_S_MAX:
        raise Invalid(f"A key expires after 1 to {EXPIRES_S_MAX} seconds, or never.")
    await store.lock_user(tx, user_id)
    if await store.count_live_api_keys(tx, user_id) >= live_max:
        raise Conflict(f"You have {live_max} API keys; delete one first.")
    key = mint()
    values = {
        "id": ApiKeyId.new(), "label": label, "hint": key[:HINT_CHARACTERS], "key_hash": key_hash(key), "scopes": scopes,
        "requests_per_minute": requests_per_minute,
    }  # fmt: skip
    made = await store.insert_api_key(tx, user_id, values, expires_s)
    await audit.record(tx, "api_key_created", user_id, origin or Origin(), key=str(made.id), label=label, scopes=scopes)
    return made, key


async def revoke(tx: Transaction, user_id: UserId, key_id: ApiKeyId, origin: Origin | None = None) -> None:
    """Make a key worthless from this commit on.

    Raises:
        NotFound: no such key of this user.
    """
    if not await store.revoke_api_key(tx, user_id, key_id):
        raise NotFound(f"There is no API key {key_id} of yours.")
    await audit.record(tx, "api_key_deleted", user_id, origin or Origin(), key=str(key_id))


async def principal_of_api_key(database: Database, key: str) -> Principal:
    """Whom the key speaks for; remembers (once a minute) that it was used.

    Raises:
        Unauthenticated: mistyped, unknown or revoked.
        CredentialExpired: it was good once.
    """
    if not is_well_formed(key):
        raise Unauthenticated("This API key is mistyped.")
    async with database.reading() as reader:
        bearer = await store.bearer_of(reader, key_hash(key))
    if bearer is None:
        raise Unauthenticated("This API key is unknown or was deleted.")
    if bearer.expired:
        raise CredentialExpired("This API key has expired.")
    if not bearer.use_is_old_news:
        async with database.transaction() as tx:
            await store.note_key_use(tx, bearer.key_id)
    return _principal(bearer)


def key_hash(key: str) -> bytes:
    """What is stored of a key."""
    return hashlib.sha256(key.encode()).digest()


def _principal(bearer: KeyBearer) -> Principal:
    role = "operator" if bearer.role == "operator" else "user"
    return Principal(bearer.user_id, role, frozenset(bearer.scopes), bearer.key_id, None, bearer.requests_per_minute)  # type: ignore[arg-type]
