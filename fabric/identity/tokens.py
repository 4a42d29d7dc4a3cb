"""Access tokens: short-lived JWTs (HS256) that need no look-up."""

from dataclasses import dataclass
from typing import Any, cast

import jwt

from fabric.core import clock
from fabric.core.errors import CredentialExpired, NotFound, Unauthenticated
from fabric.core.ids import UserId
from fabric.core.settings import AuthSettings
from fabric.identity.access import SCOPES, Principal, Role

ALGORITHM = "HS256"
ISSUER = "fabric"


@dataclass(frozen=True, slots=True)
class AccessToken:
    """A token and for how long it is good."""

    text: str
    expires_s: int


def issue_access_token(settings: AuthSettings, user_id: UserId, role: str) -> AccessToken:
    """A token that makes its bearer this user for `access_token_s`."""
    issued_at = int(clock.now().timestamp())
    claims = {"iss": ISSUER, "sub": str(user_id), "role": role, "iat": issued_at, "exp": issued_at + settings.access_token_s}
    return AccessToken(jwt.encode(claims, _key(settings), ALGORITHM), settings.access_token_s)


def principal_of_access_token(settings: AuthSettings, token: str) -> Principal:
    """Whom the token speaks for.

    Raises:
        CredentialExpired: it was good once.
        Unauthenticated: it was never ours.
    """
    claims = _claims(settings, token)
    try:
        user_id = UserId.parse(claims["sub"])
    except NotFound:
        raise Unauthenticated("This access token is not valid.") from None
    if claims["exp"] <= clock.now().timestamp():
        raise CredentialExpired("This access token has expired; refresh it.")
    return Principal(user_id, cast(Role, claims["role"]), frozenset(SCOPES))


def _claims(settings: AuthSettings, token: str) -> dict[str, Any]:
    # The expiry is compared with core.clock afterwards; the library would ask the system.
    options = {"require": ["sub", "exp", "iss", "role"], "verify_exp": False, "verify_iat": False}
    try:
        claims: dict[str, Any] = jwt.decode(token, _key(settings), [ALGORITHM], issuer=ISSUER, options=cast(Any, options))
    except jwt.InvalidTokenError:
        raise Unauthenticated("This access token is not valid.") from None
    if not isinstance(claims["sub"], str) or claims["role"] not in {"user", "operator"} or not isinstance(claims["exp"], int):
        raise Unauthenticated("This access token is not valid.")
    return claims


def _key(settings: AuthSettings) -> str:
    assert settings.jwt_key is not None, "wiring refuses settings without it"
    return settings.jwt_key.get_secret_value()
