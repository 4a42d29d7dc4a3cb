"""Bodies of /api/v1/auth and /api/v1/api-keys."""

from typing import Annotated, Literal

from pydantic import Field, SecretStr

from fabric.api.schemas.common import Body, Moment
from fabric.identity.refresh import TokenPair
from fabric.identity.store import ApiKey, User

Password = Annotated[SecretStr, Field(min_length=1, max_length=1024)]
Email = Annotated[str, Field(min_length=3, max_length=254)]
Code = Annotated[str, Field(min_length=1, max_length=40)]
"""Of an authenticator app, or a recovery code."""
Token = Annotated[str, Field(min_length=1, max_length=512)]


class RegisterIn(Body):
    """A new account."""

    email: Email
    password: Password
    """At least 8 characters."""


class LoginIn(Body):
    """Who logs in."""

    email: Email
    password: Password
    code: Code | None = None
    """Of the second factor, where one is on."""


class RefreshIn(Body):
    """A refresh token, as the last log-in or refresh gave it."""

    refresh_token: Token


class TokensOut(Body):
    """Credentials of a log-in."""

    access_token: str
    """Send it as `Authorization: Bearer …`."""
    token_type: Literal["bearer"] = "bearer"  # noqa: S105
    expires_in: int
    """Seconds that the access token is good for."""
    refresh_token: str
    """Good for one use; showing it again ends the log-in."""
    refresh_expires_in: int
    """Seconds that the refresh token is good for."""

    @classmethod
    def of(cls, pair: TokenPair) -> "TokensOut":
        """Show a pair."""
        return cls(
            access_token=pair.access.text, expires_in=pair.access.expires_s,
            refresh_token=pair.refresh, refresh_expires_in=pair.refresh_expires_s,
        )  # fmt: skip


class MeOut(Body):
    """The person behind a credential."""

    id: str
    email: str
    role: Literal["user", "operator"]
    created_at: Moment
    email_verified: bool
    """Whether you have shown that the address is yours."""
    pending_email: str | None = None
    """The address that you asked for and have not confirmed."""
    second_factor: bool
    """Whether logging in asks for a code."""
    has_password: bool
    """False: you log in through an identity provider only."""

    @classmethod
    def of(cls, user: User, pending_email: str | None = None) -> "MeOut":
        """Show a user."""
        return cls(
            id=str(user.id), email=user.email, role="operator" if user.role == "operator" else "user", created_at=user.created_at,
            email_verified=user.is_email_verified, pending_email=pending_email, second_factor=user.has_second_factor,
            has_password=user.password_hash is not None,
        )  # fmt: skip


class MeChange(Body):
    """What shall become different."""

    current_password: Password | None = None
    """Needed where the account has one; else a log-in that is minutes old."""
    email: Email | None = None
    """Counts once it is confirmed."""
    new_password: Password | None = None
    """Ends all log-ins at once."""


class ApiKeyIn(Body):
    """A new API key."""

    label: Annotated[str, Field(min_length=1, max_length=100)]
    scopes: list[str] | None = None
    """Some of account, files, models, jobs, wallet, providers; default: all but account, as far as you have them."""
    expires_s: Annotated[int, Field(ge=1)] | None = None
    """Seconds from now; null: never."""
    requests_per_minute: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    """A limit for this key, below this fabric's own; null: that one."""


class ApiKeyOut(Body):
    """An API key as its owner sees it."""

    id: str
    label: str
    hint: str
    """The first characters."""
    scopes: list[str]
    expires_at: Moment | None
    last_used_at: Moment | None
    """Precise to a minute."""
    created_at: Moment
    requests_per_minute: int | None = None

    @classmethod
    def of(cls, key: ApiKey) -> "ApiKeyOut":
        """Show a key without its secret."""
        return cls(
            id=str(key.id), label=key.label, hint=key.hint, scopes=key.scopes, expires_at=key.expires_at,
            last_used_at=key.last_used_at, created_at=key.created_at, requests_per_minute=key.requests_per_minute,
        )  # fmt: skip


class ApiKeyCreated(ApiKeyOut):
    """A new API key with its secret."""

    key: str
    """Shown this once."""
