"""/api/v1/providers: join tokens, registration, heartbeats, status.

Two kinds of callers: owners with their own credential, and machines with the one that enrolment gave them.
"""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import Response
from fastapi.security import HTTPAuthorizationCredentials, SecurityScopes

from fabric.accounts.store import work_now
from fabric.api.dependencies import (
    AnonymousDep,
    LimiterDep,
    MachineCredential,
    ProvidersCaller,
    ServicesDep,
    WheelDep,
    get_address,
    get_principal,
)
from fabric.api.pagination import PageDep, page_of
from fabric.api.schemas.common import Page
from fabric.api.schemas.earnings import EarningsOut, ReasonsOut
from fabric.api.schemas.heartbeats import HeartbeatIn, OrdersOut
from fabric.api.schemas.providers import (
    EnrolledOut,
    EnrollIn,
    JoinTokenIn,
    JoinTokenOut,
    NewJoinTokenOut,
    ProviderChangeIn,
    ProviderOut,
    SessionIn,
    SessionOut,
)
from fabric.billing import history
from fabric.catalog import registry
from fabric.core.errors import NotFound
from fabric.core.ids import JoinTokenId, ModelId, ProviderId, UserId
from fabric.db.engine import Reader
from fabric.jobs.idle import reasons
from fabric.jobs.idle_facts import read_idle_facts
from fabric.marketplace import prices
from fabric.providers import enroll, presence, store, token_store
from fabric.wiring import Services

router = APIRouter(prefix="/api/v1/providers", tags=["providers"])


async def get_machine(
    provider_id: str, services: ServicesDep, limiter: LimiterDep, credential: MachineCredential
) -> store.Provider:
    """The machine that calls, by its own credential.

    Raises:
        Unauthenticated: the credential is unknown or revoked.
        NotFound: it belongs to another machine than the path names.
    """
    async with services.database.reading() as reader:
        machine = await enroll.machine_of_credential(reader, credential)
    if machine.id != ProviderId.parse(provider_id):
        raise NotFound
    limiter.take(machine.id.hex)
    return machine


async def get_owned_or_calling(
    request: Request, provider_id: str, services: ServicesDep, limiter: LimiterDep, credential: MachineCredential
) -> store.Provider:
    """The machine in the path, for itself or for its owner.

    Raises:
        Unauthenticated: the credential is no good.
        Forbidden: the owner's key lacks the scope.
        NotFound: it is neither the caller nor the caller's.
    """
    if credential.startswith(enroll.CREDENTIAL_PREFIX):
        return await get_machine(provider_id, services, limiter, credential)
    bearer = HTTPAuthorizationCredentials(scheme="Bearer", credentials=credential)
    principal = await get_principal(request, SecurityScopes(["providers"]), services, limiter, bearer)
    async with services.database.reading() as reader:
        return await store.provider(reader, principal.user_id, ProviderId.parse(provider_id))


CallingMachine = Annotated[store.Provider, Depends(get_machine)]
OwnedOrCallingMachine = Annotated[store.Provider, Depends(get_owned_or_calling)]
Days = Annotated[int, Query(ge=1, le=history.DAYS_MAX, description="So many days, today included.")]


# ── join tokens ──────────────────────────────────────────────────────────────────────────────────────────────────────


@router.post("/join-tokens", status_code=201, response_model=NewJoinTokenOut)
async def create_join_token(body: JoinTokenIn, principal: ProvidersCaller, services: ServicesDep) -> NewJoinTokenOut:
    """Make a token for `provider-join`. It is shown this once; we keep only its hash."""
    async with services.database.transaction() as tx:
        token, secret = await enroll.create_join_token(
            tx, principal.user_id, label=body.label, uses_max=body.uses_max, expires_s=body.expires_s,
            live_max=services.settings.limits.join_tokens_max,
        )  # fmt: skip
    return NewJoinTokenOut(**JoinTokenOut.of(token).model_dump(), token=secret)


@router.get("/join-tokens", response_model=Page[JoinTokenOut])
async def list_join_tokens(principal: ProvidersCaller, services: ServicesDep, page: PageDep) -> Page[JoinTokenOut]:
    """Your tokens, newest first."""
    async with services.database.reading() as reader:
        rows = await token_store.list_join_tokens(reader, principal.user_id, page.before, page.fetch)
    return page_of(rows, page, cursor=lambda token: token.id, render=JoinTokenOut.of)


@router.delete("/join-tokens/{token_id}", status_code=204)
async def revoke_join_token(token_id: str, principal: ProvidersCaller, services: ServicesDep) -> Response:
    """Let nobody else in with this token; machines that joined stay."""
    async with services.database.transaction() as tx:
        await token_store.revoke_join_token(tx, principal.user_id, JoinTokenId.parse(token_id))
    return Response(status_code=204)


# ── machines speak ───────────────────────────────────────────────────────────────────────────────────────────────────


@router.post("/enroll", status_code=201, response_model=EnrolledOut)
async def enroll_machine(request: Request, body: EnrollIn, services: ServicesDep, _: AnonymousDep) -> EnrolledOut:
    """Join with a token; answers with the machine's own credential and its session."""
    application = body.application(_address(request))
    async with services.database.transaction() as tx:
        suggested_rate = await _suggested_rates(tx, services)
        made = await enroll.enroll(tx, services.settings, body.token, application, suggested_rate)
    return EnrolledOut(
        provider_id=str(made.provider_id), credential=made.credential, session=SessionOut.model_validate(made.session)
    )


@router.post("/{provider_id}/session", response_model=SessionOut)
async def open_session(request: Request, body: SessionIn, machine: CallingMachine, services: ServicesDep) -> SessionOut:
    """Come back after a restart of the agent, its node or the cluster."""
    async with services.database.transaction() as tx:
        application = body.application(_address(request))
        suggested_rate = await _suggested_rates(tx, services)
        return SessionOut.model_validate(await enroll.rejoin(tx, services.settings, machine, application, suggested_rate))


@router.post("/{provider_id}/heartbeat", response_model=OrdersOut)
async def heartbeat(body: HeartbeatIn, machine: CallingMachine, services: ServicesDep, wheel: WheelDep) -> OrdersOut:
    """Report node and slots, hear what to become."""
    async with services.database.transaction() as tx:
        orders = await presence.heartbeat(tx, machine.id, body.report())
    return OrdersOut.of(orders, enroll.cluster_fingerprint(services.settings.ray), wheel.sha256 if wheel else None)


@router.post("/{provider_id}/drain", response_model=OrdersOut)
async def drain(machine: OwnedOrCallingMachine, services: ServicesDep, wheel: WheelDep) -> OrdersOut:
    """Finish what runs, take nothing new, then leave. For the machine itself and for its owner."""
    async with services.database.transaction() as tx:
        orders = await presence.drain(tx, machine)
    return OrdersOut.of(orders, enroll.cluster_fingerprint(services.settings.ray), wheel.sha256 if wheel else None)


# ── owners ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@router.get("", response_model=Page[ProviderOut])
async def list_providers(principal: ProvidersCaller, services: ServicesDep, page: PageDep) -> Page[ProviderOut]:
    """Your machines, newest first."""
    async with services.database.reading() as reader:
        rows = await store.list_providers(reader, principal.user_id, page.before, page.fetch)
        work = await work_now(reader, [machine.id for machine in rows])
    return page_of(
        rows, page, cursor=lambda machine: machine.id, render=lambda machine: ProviderOut.of(machine, work.get(machine.id, {}))
    )


@router.get("/{provider_id}", response_model=ProviderOut)
async def show_provider(provider_id: str, principal: ProvidersCaller, services: ServicesDep) -> ProviderOut:
    """One machine of yours."""
    async with services.database.reading() as reader:
        return await _shown(reader, await store.provider(reader, principal.user_id, ProviderId.parse(provider_id)))


@router.get("/{provider_id}/earnings", response_model=EarningsOut)
async def show_earnings(machine: OwnedOrCallingMachine, services: ServicesDep, days: Days = 30) -> EarningsOut:
    """What a machine earned, by UTC day. For the machine itself and for its owner."""
    async with services.database.reading() as reader:
        return EarningsOut.of(await history.read_earnings(reader, machine.id, days), livemode=services.payments.livemode)


@router.get("/{provider_id}/reasons", response_model=ReasonsOut)
async def show_reasons(machine: OwnedOrCallingMachine, services: ServicesDep) -> ReasonsOut:
    """Why a machine earns nothing, or not more, from what is known now. For the machine itself and for its owner."""
    async with services.database.reading() as reader:
        return ReasonsOut.of(reasons(await read_idle_facts(reader, machine, services.settings.billing)))


@router.patch("/{provider_id}", response_model=ProviderOut)
async def change_provider(
    provider_id: str, body: ProviderChangeIn, principal: ProvidersCaller, services: ServicesDep
) -> ProviderOut:
    """Change name, state (paused or online), schedule or prices, also those for single models.

    Leased work keeps the price it was leased at. A schedule counts once the machine took it (`schedule_wanted` until then).
    """
    async with services.database.transaction() as tx:
        model_ids = {name: await _model_id(tx, principal.user_id, name) for name in sorted(body.model_names)}
        changes = body.changes(model_ids)
        return await _shown(tx, await presence.change(tx, principal.user_id, ProviderId.parse(provider_id), changes))


@router.delete("/{provider_id}", status_code=204)
async def remove_provider(provider_id: str, principal: ProvidersCaller, services: ServicesDep) -> Response:
    """Cut a machine off: its credential is refused and its node is ended at once."""
    async with services.database.transaction() as tx:
        await presence.remove(tx, principal.user_id, ProviderId.parse(provider_id))
    return Response(status_code=204)


async def _model_id(reader: Reader, owner_id: UserId, name: str) -> str:
    """A model's id as it is, since others' private models have no name here; a name must be one that the owner could run."""
    if name.startswith(f"{ModelId.prefix}_"):
        return str(ModelId.parse(name))
    return str((await registry.find_version(reader, owner_id, name)).model_id)


async def _suggested_rates(reader: Reader, services: Services) -> enroll.RateOf:
    """What slots are suggested to ask now."""
    suggestions = (await prices.present(reader, services.settings.billing)).suggestions
    return lambda slot: suggestions.rate_nanos_per_hour(
        slot.accelerator, slot.device, threads=slot.threads, memory_gib=slot.memory_gib
    )


def _address(request: Request) -> str | None:
    return get_address(request)


async def _shown(reader: Reader, machine: store.Provider) -> ProviderOut:
    return ProviderOut.of(machine, (await work_now(reader, [machine.id])).get(machine.id, {}))
