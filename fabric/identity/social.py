"""Log-in through an identity provider: begun in a browser, answered to that browser alone, exchanged for tokens once.

    begin   → the browser goes to the provider, with a cookie that only it has
    finish  ← the provider sends it back with a code: the person is looked up, linked or made; the browser gets a ticket
    exchange  the ticket (and the second factor's code) for a session

Who is linked already is found by the provider's own id for them. Anybody else is known by an address only if the provider says
that it is verified; and an account that exists is linked only if it has confirmed that address here: otherwise somebody could
register with a stranger's address and wait for them. A link is told by mail and written to the audit log.
"""

import hashlib
import secrets
from dataclasses import dataclass
from urllib.parse import urlsplit

from fabric.core.errors import AlreadyExists, Conflict, Forbidden, Invalid, NotFound, Unauthenticated
from fabric.core.ids import IdentityId, UserId
from fabric.core.settings import AuthSettings
from fabric.db.engine import Database, Transaction
from fabric.identity import audit, letters, second_factor, social_store, store, throttle
from fabric.identity.openid import OpenIdProvider, Vouched
from fabric.identity.origin import Origin
from fabric.identity.refresh import TokenPair, start_session
from fabric.identity.store import User
from fabric.identity.users import checked_email
from fabric.mail import outbox

UNDER_WAY_S = 600
TICKET_S = 300
RETURN_CHARACTERS_MAX = 500
AGAIN = "This log-in is too old, was finished, or was begun in another browser; begin anew."


@dataclass(frozen=True, slots=True)
class Begun:
    """Where the browser goes, and the secret that only it gets."""

    url: str
    browser_secret: str


async def begin(database: Database, settings: AuthSettings, provider: OpenIdProvider, return_to: str | None) -> Begun:
    """Begin a log-in.

    Args:
        database: Keeps what was begun, hashed.
        settings: Know the public address.
        provider: With whom.
        return_to: A path of this endpoint where the browser ends, with `#ticket=…`; None: a page that shows the ticket.

    Raises:
        Invalid: `return_to` is no such path.
        Unavailable: the provider does not answer.
    """
    if return_to is not None:
        check_return(return_to)
    state, nonce, verifier, browser_secret = (secrets.token_urlsafe(32) for _ in range(4))
    url = await provider.authorization_url(
        redirect_uri(settings, provider), state=state, nonce=nonce, code_verifier=verifier
    )  # outside the transaction: it may ask the provider
    async with database.transaction() as tx:
        await social_store.insert_log_in(
            tx, state_hash=_hash(state), browser_hash=_hash(browser_secret), provider=provider.settings.name, nonce=nonce,
            code_verifier=verifier, return_to=return_to, expires_s=UNDER_WAY_S,
        )  # fmt: skip
    return Begun(url, browser_secret)


async def finish(
    database: Database, settings: AuthSettings, provider: OpenIdProvider, *, state: str, code: str, browser_secret: str,
    origin: Origin,
) -> tuple[str, str | None]:  # fmt: skip
    """Take the provider's answer; returns the ticket, and where the browser wanted to end.

    Raises:
        Unauthenticated: the log-in is unknown, too old, finished, or of another browser; or the provider does not vouch.
        Forbidden: the provider knows no verified address of theirs.
        AlreadyExists: somebody registered with the address and never confirmed it.
        Unavailable: the provider does not answer.
    """
    async with database.transaction() as tx:
        begun = await social_store.take_answer(tx, _hash(state), _hash(browser_secret), provider.settings.name)
    if begun is None:
        raise Unauthenticated(AGAIN)
    vouched = await provider.vouched_for(
        code, redirect_uri(settings, provider), nonce=begun.nonce, code_verifier=begun.code_verifier
    )
    ticket = secrets.token_urlsafe(32)
    async with database.transaction() as tx:
        user_id = await _who(tx, provider.settings.name, vouched, origin)
        await social_store.give_ticket(tx, _hash(state), _hash(ticket), user_id, TICKET_S)
    return ticket, begun.return_to


async def exchange(
    database: Database, settings: AuthSettings, ticket: str, *, code: str | None = None, origin: Origin
) -> TokenPair:
    """A new session for a ticket, once.

    Raises:
        Unauthenticated: the ticket is unknown, used or too old; or the code is wrong.
        SecondFactorNeeded: a code is needed too; the ticket stays good.
        RateLimited: too many attempts.
    """
    await throttle.take(database, throttle.LOG_IN_BY_ADDRESS, origin.network)
    async with database.reading() as reader:
        found = await social_store.find_ticket(reader, _hash(ticket))
        user = await store.user_by_id(reader, found[0]) if found else None
    if found is None or user is None:
        raise Unauthenticated(AGAIN)
    await second_factor.check(database, settings, user, code, origin)
    async with database.transaction() as tx:
        if not await social_store.take_ticket(tx, _hash(ticket)):
            raise Unauthenticated(AGAIN)
        await throttle.give_back(tx, throttle.LOG_IN_BY_ADDRESS, origin.network)
        return await start_session(tx, settings, user.id, origin, method=found[1])


async def unlink(tx: Transaction, user: User, identity_id: IdentityId, origin: Origin) -> None:
    """Let a provider open the account no longer.

    Raises:
        NotFound: no such identity of this user.
        Conflict: nothing else opens the account.
    """
    await store.lock_user(tx, user.id)
    linked = await social_store.select_identities(tx, user.id)
    if user.password_hash is None and len(linked) == 1 and linked[0].id == identity_id:
        raise Conflict("Nothing else opens your account; choose a password first (`reset` sends you a mail).")
    if not await social_store.delete_identity(tx, user.id, identity_id):
        raise NotFound(f"There is no identity {identity_id} of yours.")
    await audit.record(tx, "identity_unlinked", user.id, origin, identity=str(identity_id))


def redirect_uri(settings: AuthSettings, provider: OpenIdProvider) -> str:
    """Where the provider sends browsers back to; it must know this address."""
    return f"{settings.public_url.rstrip('/')}/api/v1/auth/social/{provider.settings.name}/callback"


def check_return(return_to: str) -> None:
    """Let pass a path of this endpoint and nothing that a browser could take for another place.

    Raises:
        Invalid: it is something else.
    """
    parts = urlsplit(return_to)
    is_path = return_to.startswith("/") and not return_to.startswith("//") and not parts.scheme and not parts.netloc
    is_plain = return_to.isascii() and return_to.isprintable() and not set(return_to) & set("\\# <>\"'")
    if not is_path or not is_plain or len(return_to) > RETURN_CHARACTERS_MAX:
        raise Invalid("`return_to` is a path of this endpoint, such as /console.")


async def _who(tx: Transaction, provider: str, vouched: Vouched, origin: Origin) -> UserId:
    known = await social_store.user_of_identity(tx, vouched.issuer, vouched.subject)
    if known is not None:
        return known
    if vouched.email is None or not vouched.is_email_verified:
        raise Forbidden(f"{provider} knows no verified e-mail address of yours; confirm one there, or register here.")
    email = checked_email(vouched.email)
    user = await store.user_by_email(tx, email)
    if user is not None and not user.is_email_verified:
        raise AlreadyExists(
            "Somebody has registered here with this address and never confirmed it. Log in with the password and confirm the "
            "address, or reset the password; then this log-in works too."
        )
    is_new = user is None
    if user is None:
        user = await store.insert_user(tx, UserId.new(), email, None, "user", is_verified=True)
        if user is None:
            raise Unauthenticated(AGAIN)  # somebody registered at this very moment
        await audit.record(tx, "registered", user.id, origin.by(user.id), method=provider)
    await social_store.insert_identity(
        tx, user.id, provider=provider, issuer=vouched.issuer, subject=vouched.subject, email=email
    )
    await audit.record(tx, "identity_linked", user.id, origin.by(user.id), provider=provider)
    if not is_new:
        await outbox.queue(tx, user.email, *letters.identity_linked(provider))
    return user.id


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
