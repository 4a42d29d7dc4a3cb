"""The whole error tree; each class has a code, an HTTP status and `retryable`.

    FabricError
    ├── Invalid 422                 invalid
    │   ├── InvalidModel            invalid_model
    │   ├── InvalidInput            invalid_input
    │   ├── EmptyJob                empty_job
    │   ├── Ragged                  ragged
    │   ├── QuoteMismatch           quote_mismatch
    │   └── IdempotencyMismatch     idempotency_mismatch
    ├── Malformed 400               malformed
    ├── Unauthenticated 401         unauthenticated
    │   ├── CredentialExpired       credential_expired
    │   └── SecondFactorNeeded      second_factor_needed
    ├── InsufficientFunds 402       insufficient_funds
    ├── Forbidden 403               forbidden
    │   ├── WalletFrozen            wallet_frozen
    │   ├── WalletClosed            wallet_closed
    │   └── SpendingLimit           spending_limit
    ├── NotFound 404                not_found
    ├── Conflict 409                conflict
    │   ├── NotOnboarded            not_onboarded
    │   ├── AlreadyExists           already_exists
    │   ├── AlreadyFinished         already_finished
    │   ├── QuoteExpired            quote_expired
    │   ├── QuoteUsed               quote_used
    │   └── RequestInProgress       request_in_progress
    ├── TooLarge 413                too_large
    ├── UnsupportedMedia 415        unsupported_media
    ├── RangeNotSatisfiable 416     range_not_satisfiable
    ├── RateLimited 429             rate_limited
    └── Unavailable 503             unavailable
        ├── DatabaseUnavailable     database_unavailable
        ├── StorageUnavailable      storage_unavailable
        ├── PaymentsUnavailable     payments_unavailable
        └── FleetUnavailable        fleet_unavailable

Errors are for the world's mistakes; assertions are for ours.
"""

from typing import Any, ClassVar


class FabricError(Exception):
    """Something went wrong inside Fabric."""

    code: ClassVar[str] = "internal"
    status: ClassVar[int] = 500
    retryable: ClassVar[bool] = False

    def __init__(self, detail: str | None = None, **fields: Any) -> None:
        """Keep `detail` (default: the class docstring) and extra public `fields` such as `errors=[{loc, msg}]`."""
        self.detail = detail or (type(self).__doc__ or "").strip()
        self.fields = fields
        super().__init__(self.detail)


class Invalid(FabricError):
    """The request is well formed but its content cannot be accepted."""

    code, status = "invalid", 422


class InvalidModel(Invalid):
    """The model file cannot be accepted."""

    code = "invalid_model"


class InvalidInput(Invalid):
    """The inputs do not fit the model."""

    code = "invalid_input"


class EmptyJob(Invalid):
    """The job has no items."""

    code = "empty_job"


class Ragged(Invalid):
    """The items of this output differ in shape, so they are no single array; fetch them as parts."""

    code = "ragged"


class QuoteMismatch(Invalid):
    """This quote was given for other work."""

    code = "quote_mismatch"


class IdempotencyMismatch(Invalid):
    """This Idempotency-Key was already used with another body."""

    code = "idempotency_mismatch"


class Malformed(FabricError):
    """The request body cannot be read."""

    code, status = "malformed", 400


class Unauthenticated(FabricError):
    """No valid credential was given."""

    code, status = "unauthenticated", 401


class CredentialExpired(Unauthenticated):
    """This credential has expired."""

    code = "credential_expired"


class SecondFactorNeeded(Unauthenticated):
    """This account asks for a second factor; send a `code` of the authenticator app, or a recovery code."""

    code = "second_factor_needed"


class InsufficientFunds(FabricError):
    """The wallet does not hold enough credit."""

    code, status = "insufficient_funds", 402


class Forbidden(FabricError):
    """This caller may not do that."""

    code, status = "forbidden", 403


class WalletFrozen(Forbidden):
    """This wallet is frozen, so nothing new can be spent from it."""

    code = "wallet_frozen"


class WalletClosed(Forbidden):
    """This wallet is closed."""

    code = "wallet_closed"


class SpendingLimit(Forbidden):
    """That is more than your own spending limit allows."""

    code = "spending_limit"


class NotFound(FabricError):
    """There is no such thing here, or it belongs to somebody else."""

    code, status = "not_found", 404


class ResultsDeleted(FabricError):
    """The results were kept for as long as the job said, and are gone."""

    code, status = "results_deleted", 410


class Conflict(FabricError):
    """The current state does not allow that."""

    code, status = "conflict", 409


class WrongMoney(Conflict):
    """The books are of another kind of money."""

    code = "wrong_money"


class PaymentRefused(Conflict):
    """The payment service has refused."""

    code = "payment_refused"


class NotOnboarded(Conflict):
    """Earnings can be paid out when the payout account is complete; ask for the onboarding link."""

    code = "not_onboarded"


class AlreadyExists(Conflict):
    """It exists already."""

    code = "already_exists"


class AlreadyFinished(Conflict):
    """It has already ended."""

    code = "already_finished"


class QuoteExpired(Conflict):
    """This quote has expired; ask for another one."""

    code = "quote_expired"


class QuoteUsed(Conflict):
    """A job was submitted with this quote already; ask for another one."""

    code = "quote_used"


class RequestInProgress(Conflict):
    """The first request with this Idempotency-Key is still running."""

    code, retryable = "request_in_progress", True


class TooLarge(FabricError):
    """The body is larger than the limit."""

    code, status = "too_large", 413


class UnsupportedMedia(FabricError):
    """This media type is not supported."""

    code, status = "unsupported_media", 415


class RangeNotSatisfiable(FabricError):
    """The requested byte range lies outside the object."""

    code, status = "range_not_satisfiable", 416


class RateLimited(FabricError):
    """Too many requests; slow down."""

    code, status, retryable = "rate_limited", 429, True


class Unavailable(FabricError):
    """This part of Fabric cannot answer now; try again."""

    code, status, retryable = "unavailable", 503, True


class DatabaseUnavailable(Unavailable):
    """The database cannot be reached now; try again."""

    code = "database_unavailable"


class StorageUnavailable(Unavailable):
    """The object storage cannot be reached now; try again."""

    code = "storage_unavailable"


class PaymentsUnavailable(Unavailable):
    """The payment service cannot be reached now; try again."""

    code = "payments_unavailable"


class FleetUnavailable(Unavailable):
    """No provider can be reached now; try again."""

    code = "fleet_unavailable"
