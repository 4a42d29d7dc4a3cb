"""Calls to Stripe: the only importer of its SDK. Tells what was refused for certain from what is not known.

Every call that makes something carries our own idempotency key. Under such a key Stripe repeats its first answer, a 500 too: then
what was made is looked up instead.
"""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar

import stripe

from fabric.billing.card_gateway import SignedEvent
from fabric.billing.gateway import GatewayRefused
from fabric.billing.stripe_facts import is_live
from fabric.core import clock
from fabric.core.errors import IdempotencyMismatch, Invalid, Malformed, NotFound, PaymentsUnavailable
from fabric.core.money import NANOS_PER_CENT
from fabric.core.telemetry import logger

Made = TypeVar("Made")
Fields = Mapping[str, Any]
log = logger(__name__)

TIMEOUT_S = 20.0
PAGE = 100
LOOK_BACK_MAX = 500  # objects that a look-up by metadata reads
CLOCK_SKEW_S = 300.0


class StripeClient:
    """One Stripe account, as far as asking and listening go."""

    def __init__(
        self, key: str, *, webhook_secrets: Sequence[str] = (), api_url: str | None = None, return_url: str = "https://localhost",
        retries: int = 2,
    ) -> None:  # fmt: skip
        """Connect lazily.

        Args:
            key: A secret or restricted key; its beginning says whether the money is real.
            webhook_secrets: Of all endpoints; several of one while it is rolled.
            api_url: Another server than Stripe's, for tests.
            return_url: Where Checkout sends people afterwards.
            retries: How often the SDK repeats a request, under the same key, before it is given up for now.
        """
        self._livemode = is_live(key)
        self._secrets = tuple(webhook_secrets)
        self._return_url = return_url.rstrip("/")
        self._http = stripe.HTTPXClient(timeout=TIMEOUT_S)
        self._api = stripe.StripeClient(
            key, http_client=self._http, max_network_retries=retries, base_addresses={"api": api_url} if api_url else None
        )

    @property
    def livemode(self) -> bool:
        """Whether this is real money."""
        return self._livemode

    async def close(self) -> None:
        """Give connections back."""
        await self._http.close_async()  # type: ignore[no-untyped-call]

    def verify_event(self, payload: bytes, signature: str | None, *, thin: bool) -> SignedEvent:
        """Check the raw bytes of a webhook with each of our secrets.

        Raises:
            Malformed: not signed with one of them, too old, from the future, or no event.
        """
        if not any(self._is_signed(payload, signature, secret) for secret in self._secrets):
            raise Malformed("The signature is not good.")
        if _signed_at(signature or "") > clock.now().timestamp() + CLOCK_SKEW_S:  # the SDK looks at the past only
            raise Malformed("The signature is from the future.")
        try:
            if (json.loads(payload).get("object") == "v2.core.event") is not thin:
                raise Malformed("This endpoint is for events of the other kind.")
            if thin:
                note = self._api.parse_event_notification_without_verification(payload)
                return SignedEvent(note.id, "thin", note.type, note.livemode, payload)
            event = self._api.construct_event_without_verification(payload)
            return SignedEvent(event.id, "snapshot", event.type, bool(event.livemode), payload)
        except (ValueError, KeyError, TypeError, AttributeError):
            raise Malformed("This is no event.") from None

    async def read(self, asked: Awaitable[Any]) -> Fields:
        """The fields of an answer.

        Raises:
            NotFound: there is no such thing.
            GatewayRefused: it was refused for certain.
            PaymentsUnavailable: no answer, or none that says anything.
        """
        try:
            answer = await asked
        except stripe.StripeError as error:
            raise _explained(error) from error
        fields: Fields = answer.to_dict()
        return fields

    async def made(
        self, asked: Awaitable[Any], find: Callable[[], Awaitable[Made | None]], read: Callable[[Fields], Made]
    ) -> Made:
        """What a call has made; when Stripe only repeats that it failed in the middle, what is found of it."""
        try:
            return read(await self.read(asked))
        except _FailedBefore as failed:
            if (found := await find()) is not None:
                return found
            raise PaymentsUnavailable from failed
        except NotFound as refusal:  # something that it names does not exist, so nothing was made
            raise GatewayRefused(refusal.detail) from refusal

    async def every(self, asked: Awaitable[Any], limit: int | None = None) -> AsyncIterator[Fields]:
        """The objects of a list, page by page."""
        try:
            read = 0
            async for thing in (await asked).auto_paging_iter():
                yield thing.to_dict()
                if limit is not None and (read := read + 1) >= limit:
                    return
        except stripe.StripeError as error:
            raise _explained(error) from error

    async def find(self, asked: Awaitable[Any], metadata: Mapping[str, str]) -> Fields | None:
        """The newest object of a list with our marks."""
        async for thing in self.every(asked, LOOK_BACK_MAX):
            if all((thing.get("metadata") or {}).get(name) == value for name, value in metadata.items()):
                return thing
        return None

    def _is_signed(self, payload: bytes, signature: str | None, secret: str) -> bool:
        try:
            return bool(stripe.WebhookSignature.verify_header(payload, signature, secret, int(CLOCK_SKEW_S)))
        except (stripe.SignatureVerificationError, ValueError):
            return False


def whole_cents_of(amount_nanos: int) -> int:
    """An amount in cents.

    Raises:
        Invalid: it has fractions of a cent, which no payment service can move.
    """
    cents, rest = divmod(amount_nanos, NANOS_PER_CENT)
    if rest or cents <= 0:
        raise Invalid("Real payments are of whole cents.")
    return cents


class _FailedBefore(PaymentsUnavailable):
    """Stripe repeats that the first call under this key failed in the middle."""


def _explained(error: stripe.StripeError) -> Exception:
    status = error.http_status
    if isinstance(error, stripe.APIConnectionError) or status is None or status in {409, 429}:
        return PaymentsUnavailable()
    if status >= 500:
        replayed = (error.headers or {}).get("idempotent-replayed") == "true"
        return _FailedBefore() if replayed else PaymentsUnavailable()
    if isinstance(error, stripe.AuthenticationError | stripe.PermissionError):
        log.error("stripe_key_refused", status=status, request=error.request_id)
        return PaymentsUnavailable("The payment service does not accept our key.")
    if isinstance(error, stripe.IdempotencyError):
        return IdempotencyMismatch()
    if status == 404:
        return NotFound(error.user_message)
    return GatewayRefused(error.user_message or error.code or "refused")


def _signed_at(signature: str) -> float:
    return float(next((part[2:] for part in signature.split(",") if part.startswith("t=")), "0"))
