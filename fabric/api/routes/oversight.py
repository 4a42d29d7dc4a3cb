"""/api/v1/operator: what only an operator of this fabric may see: everybody's jobs and machines, the books, each part's health."""

import asyncio
from datetime import timedelta
from typing import Annotated, Literal

from fastapi import APIRouter, Query

from fabric.accounts import oversight, store
from fabric.accounts.oversight import Part
from fabric.api.dependencies import AskGateDep, OperatorCaller, ServicesDep, WalletOperator
from fabric.api.pagination import PageDep, page_of
from fabric.api.schemas.common import Money, Page
from fabric.api.schemas.oversight import (
    AnyJobOut,
    AnyMachineOut,
    AuditOut,
    BooksOut,
    GateOut,
    KindOut,
    PartOut,
    PartsOut,
    ReconciliationOut,
)
from fabric.billing import ledger, reconcile
from fabric.core import clock
from fabric.core.errors import Conflict, DatabaseUnavailable, StorageUnavailable
from fabric.core.ids import UserId
from fabric.dispatch.leadership import LOCK_KEY
from fabric.wiring import Services

RECONCILED_DAYS = 7

router = APIRouter(prefix="/api/v1/operator", tags=["operator"])
OwnedBy = Annotated[str | None, Query(max_length=40, description="Only this user's.")]


@router.get("/jobs", response_model=Page[AnyJobOut])
async def list_all_jobs(
    principal: OperatorCaller,
    services: ServicesDep,
    page: PageDep,
    status: Annotated[Literal["queued", "running", "succeeded", "failed", "cancelled"] | None, Query()] = None,
    user_id: OwnedBy = None,
) -> Page[AnyJobOut]:
    """Everybody's jobs, newest first; neither inputs nor results."""
    owner_id = None if user_id is None else UserId.parse(user_id)
    async with services.database.reading() as reader:
        rows = await oversight.jobs(reader, status=status, owner_id=owner_id, before=page.before, limit=page.fetch)
    return page_of(rows, page, cursor=lambda job: job.id, render=AnyJobOut.of)


@router.get("/providers", response_model=Page[AnyMachineOut])
async def list_all_machines(
    principal: OperatorCaller,
    services: ServicesDep,
    page: PageDep,
    status: Annotated[Literal["enrolled", "online", "paused", "draining", "offline", "removed"] | None, Query()] = None,
    user_id: OwnedBy = None,
) -> Page[AnyMachineOut]:
    """Everybody's machines, newest first; banned and removed ones too."""
    owner_id = None if user_id is None else UserId.parse(user_id)
    async with services.database.reading() as reader:
        rows = await oversight.machines(reader, status=status, owner_id=owner_id, before=page.before, limit=page.fetch)
    return page_of(rows, page, cursor=lambda machine: machine.id, render=AnyMachineOut.of)


@router.get("/health", response_model=PartsOut)
async def show_parts(principal: OperatorCaller, services: ServicesDep) -> PartsOut:
    """Whether each part of this fabric does its work."""
    found = [await _storage(services)]
    try:
        async with services.database.reading() as reader:
            found += [Part("database", True, "answers"), *await oversight.parts(reader, lock_key=LOCK_KEY)]
    except DatabaseUnavailable:
        found.append(Part("database", False, "cannot be reached"))
    return PartsOut(parts=[PartOut.of(part) for part in found])


@router.get("/gate", response_model=GateOut)
async def show_refusals(principal: OperatorCaller, ask_gate: AskGateDep) -> GateOut:
    """What the gate refused since it started: counts by reason, and the latest cases."""
    if ask_gate is None:
        return GateOut(reached=False)
    try:
        return GateOut.of(await asyncio.to_thread(ask_gate, "refusals"))
    except OSError:
        return GateOut(reached=False)


@router.get("/ledger", response_model=BooksOut)
async def show_books(principal: WalletOperator, services: ServicesDep) -> BooksOut:
    """The sums of the ledger's accounts, by kind."""
    async with services.database.reading() as reader:
        kinds = [KindOut(kind=kind, balance=Money.of(nanos)) for kind, nanos in (await store.balances_by_kind(reader)).items()]
        balance = Money.of(await ledger.trial_balance(reader))
    return BooksOut(trial_balance=balance, kinds=kinds, livemode=services.payments.livemode)


@router.post("/ledger/audit", response_model=AuditOut)
async def audit_books(principal: WalletOperator, services: ServicesDep) -> AuditOut:
    """Read every audit of the ledger now. Long histories are audited with `fabric ledger audit`, which has time."""
    async with services.database.reading() as reader:
        findings, balance = await ledger.audit(reader), await ledger.trial_balance(reader)
    return AuditOut.of(len(ledger.AUDITS), findings, balance)


@router.post("/ledger/reconciliation", response_model=ReconciliationOut)
async def reconcile_books(principal: WalletOperator, services: ServicesDep) -> ReconciliationOut:
    """Compare the last days of the ledger with the payment service now; nothing is mended."""
    if services.cards is None:
        raise Conflict("This fabric deals in play money; there is no payment service to compare the books with.")
    since = clock.now() - timedelta(days=RECONCILED_DAYS)
    return ReconciliationOut.of(await reconcile.reconcile(services.database, services.cards, since=since))


async def _storage(services: Services) -> Part:
    try:
        await services.store.check()
    except StorageUnavailable:  # its own words may name paths and buckets
        return Part("storage", False, "cannot be reached")
    return Part("storage", True, "answers")
