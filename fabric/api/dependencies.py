"""Principal, services and events for a request.

    @router.post("", status_code=201, response_model=JobOut)
    async def submit(request: Request, body: JobIn, principal: JobsCaller, services: ServicesDep): ...

    JobsCaller (FilesCaller, ModelsCaller, WalletCaller, ProvidersCaller, AccountCaller)
                       Principal of an access token or API key that reaches this scope; 401 and 403 otherwise. Counts against the
                       caller's rate limit. `Caller` asks for no scope. OperatorCaller: whoever runs this fabric.
    ServicesDep        wiring.Services; open transactions yourself: `async with services.database.transaction() as tx:`
    EventsDep          events.stream.EventHub: `await hub.wait(job_id, after_seq, timeout_s)`; long waits go inside `hub.watching()`
    RequestIdDep       the id of this request ("req_…" or what the caller sent), for jobs.request_id and ledger metadata
    MachineCredential  the bearer token of a machine (`fpc_…`), unchecked; the routes of providers check it
    WheelDep           the wheel of this fabric, which new machines install; None where it runs uninstalled
    AnonymousDep       for routes without a credential: counts against the limit of the address
    AskGateDep         how the gate beside this process is asked; None without one
    OriginDep          from where the request comes, for sessions and the audit log: `origin.of(principal)`

Do not commit in a dependency with `yield`: it would end after the answer is on its way.
"""

import asyncio
from collections.abc import Callable
from typing import Annotated, Any, cast

from fastapi import Depends, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer, SecurityScopes

from fabric.api.rate_limit import RateLimiter
from fabric.core.addresses import caller_address
from fabric.core.errors import Forbidden, Unauthenticated, Unavailable
from fabric.events.stream import EventHub
from fabric.identity.access import Principal
from fabric.identity.authenticate import authenticate
from fabric.identity.origin import Origin, device_of, network_of
from fabric.providers import distribution
from fabric.wiring import Services

_bearer = HTTPBearer(scheme_name="Bearer", description="An access token or an API key (`fab_…`).", auto_error=False)
_machine = HTTPBearer(
    scheme_name="MachineCredential", description="A machine's own credential (`fpc_…`), given at enrolment.", auto_error=False
)


def get_services(request: Request) -> Services:
    """The services of this process, built when the app started."""
    return cast(Services, request.app.state.services)


def get_events(request: Request) -> EventHub:
    """The one EventHub of this process."""
    return cast(EventHub, request.app.state.events)


def get_limiter(request: Request) -> RateLimiter:
    """The request counts of this process."""
    return cast(RateLimiter, request.app.state.limiter)


AskGate = Callable[[str], dict[str, Any]]
"""A question to the gate's control socket, such as `refusals`; blocks, and raises OSError when nobody answers."""


def get_ask_gate(request: Request) -> AskGate | None:
    """How the gate is asked; None: no gate stands beside this process."""
    return cast("AskGate | None", request.app.state.ask_gate)


def get_request_id(request: Request) -> str:
    """The id that the answer carries as X-Request-Id."""
    return cast(str, request.scope["state"]["request_id"])


def get_address(request: Request) -> str | None:
    """The caller's address: of the connection, or what a trusted proxy names (see core.addresses)."""
    peer = request.client.host if request.client else None
    return caller_address(peer, request.headers.getlist("X-Forwarded-For"), request.app.state.trusted_proxies)


def get_origin(request: Request) -> Origin:
    """From where this request comes."""
    return Origin(get_address(request), device_of(request.headers.get("User-Agent")), get_request_id(request))


OriginDep = Annotated[Origin, Depends(get_origin)]
ServicesDep = Annotated[Services, Depends(get_services)]
EventsDep = Annotated[EventHub, Depends(get_events)]
LimiterDep = Annotated[RateLimiter, Depends(get_limiter)]
AskGateDep = Annotated[Callable[[str], dict[str, Any]] | None, Depends(get_ask_gate)]
RequestIdDep = Annotated[str, Depends(get_request_id)]


async def get_principal(
    request: Request,
    scopes: SecurityScopes,
    services: ServicesDep,
    limiter: LimiterDep,
    credential: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)],
) -> Principal:
    """Who is calling.

    Raises:
        Unauthenticated: no credential, or one that is not good.
        Forbidden: a scope is missing.
        RateLimited: too many requests.
    """
    # Counted before the credential is looked at, so that guessing one is limited too.
    limits = services.settings.limits
    limiter.take(f"address:{network_of(get_address(request) or '')}", per_minute=limits.address_requests_per_minute)
    if credential is None:
        raise Unauthenticated("Send a credential: `Authorization: Bearer …`.")
    principal = await authenticate(services.database, services.settings.auth, credential.credentials)
    request.scope["state"]["user_id"] = str(principal.user_id)
    own = principal.requests_per_minute or limits.requests_per_minute
    limiter.take(f"credential:{principal.credential_id}", per_minute=min(own, limits.requests_per_minute))
    principal.require(*scopes.scopes)
    return principal


async def get_machine_credential(credential: Annotated[HTTPAuthorizationCredentials | None, Security(_machine)]) -> str:
    """The bearer token of a machine, not yet checked.

    Raises:
        Unauthenticated: there is none.
    """
    if credential is None:
        raise Unauthenticated("Send the machine's credential: `Authorization: Bearer fpc_…`.")
    return credential.credentials


async def count_anonymous(request: Request, limiter: LimiterDep, services: ServicesDep) -> None:
    """Count a request that shows no credential against its address.

    Raises:
        RateLimited: too many.
    """
    allowed = services.settings.limits.anonymous_requests_per_minute
    limiter.take(f"anonymous:{network_of(get_address(request) or '')}", per_minute=allowed)


def caller(*scopes: str) -> Any:
    """The dependency behind the annotated callers below, for other sets of scopes."""
    return Security(get_principal, scopes=list(scopes))


async def get_account_operator(principal: Annotated[Principal, caller("account")]) -> Principal:
    """An operator of this fabric, who may act on people's accounts.

    Raises:
        Forbidden: it is anybody else.
    """
    return await get_operator(principal)


async def get_operator(principal: Annotated[Principal, caller("providers")]) -> Principal:
    """An operator of this fabric.

    Raises:
        Forbidden: it is anybody else.
    """
    if principal.role != "operator":
        raise Forbidden("Only an operator of this fabric may do that.")
    return principal


async def get_wallet_operator(principal: Annotated[Principal, caller("wallet")]) -> Principal:
    """An operator of this fabric, who may look into its books.

    Raises:
        Forbidden: it is anybody else.
    """
    return await get_operator(principal)


Caller = Annotated[Principal, caller()]
AccountCaller = Annotated[Principal, caller("account")]
FilesCaller = Annotated[Principal, caller("files")]
ModelsCaller = Annotated[Principal, caller("models")]
JobsCaller = Annotated[Principal, caller("jobs")]
WalletCaller = Annotated[Principal, caller("wallet")]


async def get_wheel() -> distribution.Wheel | None:
    """The wheel that new machines install; made at the first call."""
    try:
        return await asyncio.to_thread(distribution.wheel)
    except Unavailable:
        return None


ProvidersCaller = Annotated[Principal, caller("providers")]
MachineCredential = Annotated[str, Depends(get_machine_credential)]
WheelDep = Annotated[distribution.Wheel | None, Depends(get_wheel)]
OperatorCaller = Annotated[Principal, Depends(get_operator)]
AccountOperator = Annotated[Principal, Depends(get_account_operator)]
WalletOperator = Annotated[Principal, Depends(get_wallet_operator)]
AnonymousDep = Annotated[None, Depends(count_anonymous)]
