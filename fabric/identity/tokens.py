"""Access tokens: short-lived JWTs (HS256) that name a session; whether that still lives is looked up with each request."""

from dataclasses import dataclass
from typing import Any, cast

import jwt

from fabric.core import clock
from fabric.core.errors import CredentialExpired, NotFound, Unauthenticated
from fabric.core.ids import SessionId, UserId
from fabric.core.settings import AuthSettings
from fabric.db.engine import Database
from fabric.identity import session_store
from fabric.identity.access import SCOPES, Principal

ALGORITHM = "HS256"
ISSUER = "fabric"


@dataclass(frozen=True, slots=True)
class AccessToken:
    """A token and for how long it is good."""

    text: str
    expires_s: int


@dataclass(frozen=True, slots=True)
class Claims:
    """What a good token says."""

    user_id: UserId
    session_id: SessionId


def issue_access_token(settings: AuthSettings, user_id: UserId, session_id: SessionId) -> AccessToken:
    """A token that makes its bearer this user for `access_token_s`, unless the session ends before."""
    issued_at = int(clock.now().timestamp())
    claims = {
        "iss": ISSUER, "sub": str(user_id), "sid": str(session_id), "iat": issued_at, "exp": issued_at + settings.access_token_s,
    }  # fmt: skip
    return AccessToken(jwt.encode(claims, _key(settings), ALGORITHM), settings.access_token_s)


def claims_of_access_token(settings: AuthSettings, token: str) -> Claims:
    """What the token says, if it is one of ours and not too old.

    Raises:
        CredentialExpired: it was good once.
        Unauthenticated: it was never ours.
    """
    # The expiry is compared with core.clock afterwards; the library would ask the system.
    options = {"require": ["sub", "sid", "exp", "iss"], "verify_exp": False, "verify_iat": False}
    try:
        claims: dict[str, Any] = jwt.decode(token, _key(settings), [ALGORITHM], issuer=ISSUER, options=cast(Any, options))
        if not all(isinstance(claims[name], str) for name in ("sub", "sid")) or not isinstance(claims["exp"], int):
            raise Unauthenticated("This access token is not valid.")
        read = Claims(UserId.parse(claims["sub"]), SessionId.parse(claims["sid"]))
    except (jwt.InvalidTokenError, NotFound):
        raise Unauthenticated("This access token is not valid.") from None
    if claims["exp"] <= clock.now().timestamp():
        raise CredentialExpired("This access token has expired; refresh it.")
    return read


async def principal_of_access_token(database: Database, settings: AuthSettings, token: str) -> Principal:
    """Whom the token speaks for; remembers (once a minute) that the session was used.

    Raises:
        CredentialExpired: it was good once, and its session may be over.
        Unauthenticated: it was never ours.
    """
    claims = claims_of_access_token(settings, token)
    async with database.reading() as reader:
        bearer = await session_store.bearer_of(reader, claims.session_id)
    if bearer is None or bearer.is_over or bearer.user_id != claims.user_id:
        raise CredentialExpired("This log-in has ended; log in again.")
    if not bearer.seen_lately:
        async with database.transaction() as tx:
            await session_store.note_seen(tx, claims.session_id)
    role = "operator" if bearer.role == "operator" else "user"
    return Principal(claims.user_id, role, frozenset(SCOPES), session_id=claims.session_id)  # type: ignore[arg-type]


def _key(settings: AuthSettings) -> str:
    assert settings.jwt_key is not None, "wiring refuses settings without it"
    return settings.jwt_key.get_secret_value()
