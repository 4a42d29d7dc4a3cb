"""Principal and scopes: the answer to "may this caller do that?".

    principal.user_id            whose request it is; every query carries it as the owner predicate
    principal.may("jobs")        whether the credential reaches that part of the API
    principal.require("jobs")    the same, raising Forbidden

A person who logged in may do everything of their own; an API key has the scopes it was made with. `account` covers the person
themselves: password, e-mail address and API keys.
"""

from dataclasses import dataclass
from typing import Literal

from fabric.core.errors import Forbidden, Invalid
from fabric.core.ids import ApiKeyId, SessionId, UserId

Role = Literal["user", "operator"]

SCOPES = ("account", "files", "models", "jobs", "wallet", "providers")
DEFAULT_KEY_SCOPES = ("files", "models", "jobs", "wallet", "providers")


@dataclass(frozen=True, slots=True)
class Principal:
    """Who is calling, and what the credential reaches."""

    user_id: UserId
    role: Role
    scopes: frozenset[str]
    api_key_id: ApiKeyId | None = None  # None: a person's own access token
    session_id: SessionId | None = None  # of the access token; None: an API key
    requests_per_minute: int | None = None  # the key's own limit

    @property
    def credential_id(self) -> str:
        """Names the credential, for counting."""
        return (self.api_key_id or self.session_id or self.user_id).hex

    def may(self, scope: str) -> bool:
        """Whether the credential reaches `scope`."""
        return scope in self.scopes

    def require(self, *scopes: str) -> None:
        """Let pass whoever reaches all of `scopes`.

        Raises:
            Forbidden: one is missing.
        """
        missing = [scope for scope in scopes if not self.may(scope)]
        if missing:
            raise Forbidden(f"This credential lacks the scope {missing[0]!r}.", missing_scopes=missing)


def checked_scopes(wanted: list[str] | None, granted_by: Principal) -> list[str]:
    """The scopes of a new key, in the order of SCOPES; nobody can grant what they do not have.

    Raises:
        Invalid: an unknown scope, or none at all.
        Forbidden: the granting credential lacks one.
    """
    if wanted is None:
        return [scope for scope in DEFAULT_KEY_SCOPES if granted_by.may(scope)]
    unknown = sorted(set(wanted) - set(SCOPES))
    if unknown or not wanted:
        raise Invalid(f"Scopes are some of {', '.join(SCOPES)}" + (f", not {unknown[0]!r}." if unknown else "."))
    granted_by.require(*wanted)
    return [scope for scope in SCOPES if scope in wanted]
