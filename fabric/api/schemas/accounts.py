"""Bodies about accounts beyond log-in: sessions, recovery, second factor, social log-in, audit log, deletion."""

from typing import Annotated, Any, Literal

from pydantic import Field

from fabric.api.schemas.auth import Code, Email, Password, Token
from fabric.api.schemas.common import Body, Moment
from fabric.identity.audit_store import AuditLine
from fabric.identity.second_factor import Enrolment
from fabric.identity.session_store import Session
from fabric.identity.social_store import LinkedIdentity
from fabric.identity.store import User


class SessionOut(Body):
    """One log-in."""

    id: str
    current: bool
    """Whether this request is of it."""
    method: str
    """`password`, or the identity provider's name."""
    device: str | None
    """What the client called itself."""
    address: str | None
    """From where it was last refreshed."""
    last_seen_at: Moment
    """Precise to a minute."""
    expires_at: Moment
    created_at: Moment

    @classmethod
    def of(cls, session: Session, current: object) -> "SessionOut":
        """Show a session; `current` is the id of the caller's own."""
        return cls(
            id=str(session.id), current=session.id == current, method=session.method, device=session.device,
            address=session.address, last_seen_at=session.last_seen_at, expires_at=session.expires_at, created_at=session.created_at,
        )  # fmt: skip


class SessionsEnded(Body):
    """How many log-ins were ended."""

    ended: int


class EmailIn(Body):
    """Whose."""

    email: Email


class MailedTokenIn(Body):
    """What a mail brought."""

    token: Token


class PasswordResetIn(Body):
    """A new password, and the token that a mail brought."""

    token: Token
    new_password: Password


class Accepted(Body):
    """It will be done; a mail follows where there is somebody to send it to."""

    status: Literal["accepted"] = "accepted"


class ProofIn(Body):
    """That it is really you."""

    current_password: Password | None = None
    """Needed where the account has one; else a log-in that is minutes old."""


class ProofAndCodeIn(ProofIn):
    """That it is really you, second factor included."""

    code: Code | None = None


class CodeIn(Body):
    """A code of the authenticator app."""

    code: Code


class EnrolmentOut(Body):
    """What an authenticator app needs; shown this once."""

    secret: str
    """To type, base 32."""
    otpauth_url: str
    """To show as a QR code."""

    @classmethod
    def of(cls, enrolment: Enrolment) -> "EnrolmentOut":
        """Show an enrolment."""
        return cls(secret=enrolment.secret, otpauth_url=enrolment.otpauth_url)


class RecoveryCodesOut(Body):
    """For when the app is lost; shown this once."""

    recovery_codes: list[str]
    """Each is good once."""


class ProvidersOut(Body):
    """Where one can log in as well."""

    data: list[str]
    """Names, for /api/v1/auth/social/{name}/start in a browser."""


class TicketIn(Body):
    """What the browser got at the end."""

    ticket: Token
    code: Code | None = None
    """Of the second factor, where one is on."""


class IdentityOut(Body):
    """An identity that opens the account."""

    id: str
    provider: str
    email: str | None
    """As the provider knew it when it was linked."""
    last_used_at: Moment | None
    created_at: Moment

    @classmethod
    def of(cls, identity: LinkedIdentity) -> "IdentityOut":
        """Show one."""
        return cls(
            id=str(identity.id), provider=identity.provider, email=identity.email, last_used_at=identity.last_used_at,
            created_at=identity.created_at,
        )  # fmt: skip


class IdentitiesOut(Body):
    """All of them."""

    data: list[IdentityOut]


class AuditLineOut(Body):
    """One act."""

    id: str
    act: str
    user_id: str | None
    """Whose account it is about."""
    actor_id: str | None
    """Who did it; null: nobody who was logged in."""
    api_key_id: str | None
    session_id: str | None
    address: str | None
    request_id: str | None
    details: dict[str, Any]
    created_at: Moment

    @classmethod
    def of(cls, line: AuditLine) -> "AuditLineOut":
        """Show a line."""
        ids = {name: getattr(line, name) for name in ("user_id", "actor_id", "api_key_id", "session_id")}
        return cls(
            id=str(line.id), act=line.act, address=line.address, request_id=line.request_id, details=line.details,
            created_at=line.created_at, **{name: None if value is None else str(value) for name, value in ids.items()},
        )  # fmt: skip

    @classmethod
    def own(cls, line: AuditLine, user_id: object) -> "AuditLineOut":
        """Show a line to a user: from where others acted is theirs to know."""
        shown = cls.of(line)
        if line.actor_id is not None and line.actor_id != user_id:
            shown.actor_id = shown.address = shown.request_id = shown.session_id = shown.api_key_id = None
        return shown


class DeletionIn(ProofAndCodeIn):
    """The end of an account."""

    give_up_credit: bool = False
    """Give up credit and earnings that are left; without it they stand in the way."""


class UserOut(Body):
    """A user as an operator sees them."""

    id: str
    email: str
    role: Literal["user", "operator"]
    email_verified: bool
    second_factor: bool
    created_at: Moment

    @classmethod
    def of(cls, user: User) -> "UserOut":
        """Show a user."""
        return cls(
            id=str(user.id), email=user.email, role="operator" if user.role == "operator" else "user",
            email_verified=user.is_email_verified, second_factor=user.has_second_factor, created_at=user.created_at,
        )  # fmt: skip


class RoleIn(Body):
    """What a user shall be."""

    role: Annotated[Literal["user", "operator"], Field()]
