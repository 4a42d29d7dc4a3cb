"""Client errors, one for each public error code.

FabricClientError
├── NotConnected          the endpoint cannot be reached
├── PlaintextRefused      the endpoint is not encrypted, so nothing secret was sent
├── WrongCertificate      the endpoint could not prove who it is
├── ApiError              the endpoint refused; one subclass for each code of fabric.core.errors
├── JobFailed             the job ended as failed or cancelled
├── JobTimeout            the job has not ended within the time given to wait()
├── PartialResult         some items failed; `.results` and `.errors` carry what there is
└── ItemFailed            one item failed; `.index`, `.code` and `.detail` say which and why

Each message says what happened and why; where something can be done about it, `.advice` says what, and a notebook shows it below
the message.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

from fabric.client.advice import ADVICE, JOB_ADVICE, JOB_ADVICE_ELSE, WAITING

REASONS_SHOWN_MAX = 5


class FabricClientError(Exception):
    """Anything that this client raises on purpose."""

    advice: str = ""
    """What to do about it."""

    def _advise(self, advice: str) -> None:
        """Keep what to do, and have tracebacks show it below the message."""
        if advice:
            self.advice = advice
            self.add_note(advice)


class NotConnected(FabricClientError):
    """The endpoint cannot be reached. Is the URL right, and is the fabric up?"""

    def __init__(self, message: str) -> None:
        """Say what to look at."""
        super().__init__(message)
        self._advise("Is the URL right (Client(url) or FABRIC_URL), and is the fabric up? `fabric doctor` looks at both.")


class PlaintextRefused(FabricClientError):
    """The endpoint is not encrypted and not on this machine; no credential was sent."""


class WrongCertificate(FabricClientError):
    """The endpoint could not prove who it is; no credential was sent."""


class JobTimeout(FabricClientError):
    """The job has not ended within the time given to wait(); it goes on, wait() again or cancel()."""

    def __init__(self, message: str) -> None:
        """Say that nothing is lost."""
        super().__init__(message)
        self._advise(
            "The job goes on and nothing is lost: wait() again, also from another process with client.job(id), or cancel()."
        )


class JobFailed(FabricClientError):
    """The job ended without a full result; `.job` carries its last state."""

    def __init__(self, message: str, job: dict[str, Any]) -> None:
        """Keep the job as the endpoint showed it."""
        super().__init__(message)
        self.job = job
        code = str((job.get("error") or {}).get("code", ""))
        self._advise(JOB_ADVICE.get(code, JOB_ADVICE_ELSE if job.get("status") == "failed" else ""))


class PartialResult(FabricClientError):
    """Some items failed. `.results` has the others, `.errors` says which failed and why."""

    def __init__(self, message: str, results: dict[str, Any], errors: list[dict[str, Any]]) -> None:
        """Keep what there is."""
        reasons = {f"{one['code']}: {one['detail']}" for one in errors}
        first = "".join(f"\n  {reason}" for reason in sorted(reasons)[:REASONS_SHOWN_MAX])
        super().__init__(message + first)
        self.results = results
        self.errors = errors
        self._advise(
            'The others are in `.results`, or take them with results(on_error="mask"); job.retry() does again what is missing.'
        )


class ItemFailed(FabricClientError):
    """One item failed, its neighbours did not. Raised by `map` and the executor; a row of `outcomes()`."""

    def __init__(self, message: str, *, index: int, code: str, detail: str, job_id: str | None = None) -> None:
        """Keep which item of what was given, and why."""
        super().__init__(message)
        self.index = index
        self.code = code
        self.detail = detail
        self.job_id = job_id

    @property
    def reason(self) -> str:
        """Why, in one line."""
        return f"{self.code}: {self.detail}"

    @classmethod
    def of(cls, index: int, error: Mapping[str, Any] | None, job: Mapping[str, Any], at: int | None = None) -> "ItemFailed":
        """The failure of item `index` of a job; `at` is its place in what was given, where that was several jobs."""
        told = error or job.get("error") or {"code": f"job_{job['status']}", "detail": "the job ended before this item was done"}
        place = index if at is None else at
        message = f"item {place} failed: {told['code']}: {told['detail']} ({job['id']})"
        return cls(message, index=place, code=str(told["code"]), detail=str(told["detail"]), job_id=str(job["id"]))


class ApiError(FabricClientError):
    """The endpoint refused the request."""

    code: ClassVar[str] = "error"

    def __init__(self, detail: str, *, status: int, problem: dict[str, Any]) -> None:
        """Keep the whole problem document."""
        request_id = problem.get("request_id")
        errors = "".join(f"\n  {'.'.join(map(str, e.get('loc', [])))}: {e.get('msg')}" for e in problem.get("errors") or [])
        super().__init__(f"{detail}{errors}" + (f" [{request_id}]" if request_id else ""))
        self.detail = detail
        self.status = status
        self.problem = problem
        self._advise(ADVICE.get(str(problem.get("code", "")), ""))


class Invalid(ApiError):
    """The request cannot be accepted as it is."""

    code = "invalid"


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
    """The items of this output differ in shape, so they are no single array."""

    code = "ragged"


class QuoteMismatch(Invalid):
    """This quote was given for other work."""

    code = "quote_mismatch"


class IdempotencyMismatch(Invalid):
    """This Idempotency-Key was used with another body."""

    code = "idempotency_mismatch"


class Malformed(ApiError):
    """The request body cannot be read."""

    code = "malformed"


class Unauthenticated(ApiError):
    """No valid credential; give api_key= or set FABRIC_API_KEY."""

    code = "unauthenticated"


class CredentialExpired(Unauthenticated):
    """The credential has expired; log in again or make a new API key."""

    code = "credential_expired"


class SecondFactorNeeded(Unauthenticated):
    """The account asks for a second factor; give code= too."""

    code = "second_factor_needed"


class InsufficientFunds(ApiError):
    """Not enough credit; top up or lower the budget."""

    code = "insufficient_funds"


class Forbidden(ApiError):
    """This credential may not do that."""

    code = "forbidden"


class WalletFrozen(Forbidden):
    """This wallet is frozen, so nothing new can be spent from it."""

    code = "wallet_frozen"


class WalletClosed(Forbidden):
    """This wallet is closed."""

    code = "wallet_closed"


class SpendingLimit(Forbidden):
    """That is more than your own spending limit allows."""

    code = "spending_limit"


class NotFound(ApiError):
    """No such thing, or it belongs to somebody else."""

    code = "not_found"


class ResultsDeleted(ApiError):
    """The results were kept for as long as the job said, and are gone."""

    code = "results_deleted"


class Conflict(ApiError):
    """The current state does not allow that."""

    code = "conflict"


class WrongMoney(Conflict):
    """The fabric's books are of another kind of money than its settings say."""

    code = "wrong_money"


class PaymentRefused(Conflict):
    """The payment service has refused; `detail` says why."""

    code = "payment_refused"


class NotOnboarded(Conflict):
    """The payout account is not complete; ask for the onboarding link."""

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
    """The first request with this key is still running."""

    code = "request_in_progress"


class TooLarge(ApiError):
    """Larger than the limit."""

    code = "too_large"


class UnsupportedMedia(ApiError):
    """This media type is not supported."""

    code = "unsupported_media"


class RangeNotSatisfiable(ApiError):
    """The byte range lies outside the object."""

    code = "range_not_satisfiable"


class RateLimited(ApiError):
    """Too many requests; slow down."""

    code = "rate_limited"


class Unavailable(ApiError):
    """This part of the fabric cannot answer now; try again."""

    code = "unavailable"


class PaymentsUnavailable(Unavailable):
    """The payment service cannot be reached now; try again."""

    code = "payments_unavailable"


class DatabaseUnavailable(Unavailable):
    """The database cannot be reached now; try again."""

    code = "database_unavailable"


class StorageUnavailable(Unavailable):
    """The object storage cannot be reached now; try again."""

    code = "storage_unavailable"


class FleetUnavailable(Unavailable):
    """No provider can be reached now; try again."""

    code = "fleet_unavailable"


def _leaves(base: type[ApiError]) -> dict[str, type[ApiError]]:
    found = {base.code: base}
    for child in base.__subclasses__():
        found |= _leaves(child)
    return found


ERRORS_BY_CODE = _leaves(ApiError)


def api_error(status: int, problem: dict[str, Any]) -> ApiError:
    """The exception that mirrors a problem document; unknown codes give ApiError itself."""
    kind = ERRORS_BY_CODE.get(str(problem.get("code")), ApiError)
    detail = str(problem.get("detail") or problem.get("title") or f"HTTP {status}")
    return kind(detail, status=status, problem=problem)


def job_failed(facts: dict[str, Any]) -> JobFailed:
    """The exception for a job that ended without a full result."""
    error = facts.get("error") or {}
    return JobFailed(f"{facts['id']} {facts['status']}: {error.get('code', '')} {error.get('detail', '')}".rstrip(": "), facts)


def waiting(facts: Mapping[str, Any]) -> str:
    """What a job that has not ended does or waits for, in words."""
    reason = str(facts.get("waiting_reason") or "it runs")
    return f"{reason}: {WAITING[reason]}" if reason in WAITING else reason
