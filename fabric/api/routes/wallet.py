"""/api/v1/wallet: balance, entries, history, top-ups, refunds, limits, promotional credit. Its domain package is billing."""

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from fabric.api.dependencies import OriginDep, RequestIdDep, ServicesDep, WalletCaller
from fabric.api.idempotency import idempotent, key_of, replayed
from fabric.api.pagination import PageDep, page_of
from fabric.api.schemas.common import Page
from fabric.api.schemas.earnings import HistoryOut
from fabric.api.schemas.wallet import (
    EntryOut,
    LimitsIn,
    LimitsOut,
    PromotionIn,
    PromotionOut,
    RefundIn,
    RefundOut,
    RefundsOut,
    TopUpIn,
    TopUpOut,
    WalletOut,
)
from fabric.billing import funding, history, limits, promotions, refunds, top_ups, wallet
from fabric.core.errors import Forbidden
from fabric.core.ids import RequestId, UserId
from fabric.core.money import usd_nanos
from fabric.db.engine import Transaction
from fabric.identity import audit, users

router = APIRouter(prefix="/api/v1/wallet", tags=["wallet"])


@router.get("", response_model=WalletOut)
async def show_wallet(principal: WalletCaller, services: ServicesDep) -> WalletOut:
    """What you have: available, held for jobs, earned by your machines."""
    async with services.database.reading() as reader:
        balance = await wallet.balance(reader, principal.user_id)
        state = await limits.read_wallet(reader, principal.user_id)
    return WalletOut.of(balance, state, livemode=services.payments.livemode)


@router.get("/entries", response_model=Page[EntryOut])
async def list_entries(principal: WalletCaller, services: ServicesDep, page: PageDep) -> Page[EntryOut]:
    """The lines on your available credit, newest first."""
    async with services.database.reading() as reader:
        rows = await wallet.entries(reader, principal.user_id, page.before, page.fetch)
    return page_of(rows, page, cursor=lambda entry: entry.id, render=partial(EntryOut.of, livemode=services.payments.livemode))


@router.get("/history", response_model=HistoryOut)
async def show_history(
    principal: WalletCaller,
    services: ServicesDep,
    days: Annotated[int, Query(ge=1, le=history.DAYS_MAX, description="So many days, today included.")] = 30,
) -> HistoryOut:
    """What your jobs cost and your machines earned, by UTC day and in this month."""
    async with services.database.reading() as reader:
        return HistoryOut.of(await history.read_history(reader, principal.user_id, days), livemode=services.payments.livemode)


@router.post("/top-ups", status_code=201, response_model=TopUpOut)
async def top_up(
    request: Request, body: TopUpIn, principal: WalletCaller, services: ServicesDep, request_id: RequestIdDep
) -> Response:
    """Put money in: `url` is where you pay, and credit comes when the money is ours.

    Without a payment service it is play money, credited at once and marked `"livemode": false`.
    """
    raw = await request.body()
    if (replay := await replayed(request, principal, services, raw)) is not None:
        return replay
    amount = usd_nanos(body.amount_usd)
    funding.check_amount(amount, services.settings.billing)
    async with services.database.reading() as reader:
        await funding.require_open_wallet(reader, principal.user_id)
    # The payment service is asked outside the transaction; under the same key it answers with the same payment.
    key = key_of(request) or str(RequestId.new())
    if services.cards is not None:
        user = await users.user(services.database, principal.user_id)
        begun = await top_ups.begin(
            services.database, services.cards, user.id, user.email, amount, key, save_method=body.save_method
        )  # fmt: skip
    else:
        begun = await services.payments.begin_payment(principal.user_id, amount, key)

    async def act(tx: Transaction) -> TopUpOut:
        if begun.status == "pending":
            return TopUpOut.pending(begun)
        return TopUpOut.of(await funding.credit_payment(tx, begun, request_id=request_id))

    return await idempotent(request, principal, services, raw, act, status=201)


@router.post("/refunds", status_code=201, response_model=RefundsOut)
async def request_refund(request: Request, body: RefundIn, principal: WalletCaller, services: ServicesDep) -> Response:
    """Have unspent credit sent back to the payments it came from, the newest first."""
    amount = None if body.amount_usd is None else usd_nanos(body.amount_usd)

    async def act(tx: Transaction) -> RefundsOut:
        made = await refunds.request_refund(tx, principal.user_id, amount, reason=body.reason)
        livemode = services.payouts.livemode
        return RefundsOut(data=[RefundOut.of(refund, livemode=livemode) for refund in made], livemode=livemode)

    return await idempotent(request, principal, services, await request.body(), act, status=201)


@router.get("/refunds", response_model=Page[RefundOut])
async def list_refunds(principal: WalletCaller, services: ServicesDep, page: PageDep) -> Page[RefundOut]:
    """Your refunds, newest first."""
    async with services.database.reading() as reader:
        rows = await refunds.refunds_of(reader, principal.user_id, before=page.before, limit=page.fetch)
    return page_of(rows, page, cursor=lambda refund: refund.id, render=partial(RefundOut.of, livemode=services.payouts.livemode))


@router.get("/limits", response_model=LimitsOut)
async def show_limits(principal: WalletCaller, services: ServicesDep) -> LimitsOut:
    """Your own spending limits."""
    async with services.database.reading() as reader:
        return LimitsOut.of(await limits.read_wallet(reader, principal.user_id), livemode=services.payments.livemode)


@router.patch("/limits", response_model=LimitsOut)
async def change_limits(body: LimitsIn, principal: WalletCaller, services: ServicesDep) -> LimitsOut:
    """Limit what you can spend in a day or on a job, from the next job on. What is left out stays as it is."""
    given = {name: None if text is None else usd_nanos(text) for name, text in body.model_dump(exclude_unset=True).items()}
    async with services.database.transaction() as tx:
        now = await limits.take_wallet(tx, principal.user_id)
        day, job = given.get("day_usd", now.day_limit_nanos), given.get("job_usd", now.job_limit_nanos)
        state = await limits.set_limits(tx, principal.user_id, day_nanos=day, job_nanos=job)
        return LimitsOut.of(state, livemode=services.payments.livemode)


@router.post("/promotions", status_code=201, response_model=PromotionOut)
async def give_credit(
    request: Request, body: PromotionIn, principal: WalletCaller, services: ServicesDep, origin: OriginDep
) -> Response:
    """Give somebody credit that can be spent and never leaves; for operators. Machines of yours cannot earn it."""
    if principal.role != "operator":
        raise Forbidden("Only an operator of this fabric may give credit.")
    user_id, amount = UserId.parse(body.user_id), usd_nanos(body.amount_usd)

    async def act(tx: Transaction) -> PromotionOut:
        billing = services.settings.billing
        given = await promotions.give_credit(tx, principal.user_id, user_id, amount, body.reason, billing=billing)
        await audit.record(tx, "credit_given", user_id, origin.of(principal), usd_nanos=amount, reason=body.reason)
        return PromotionOut.of(given, livemode=services.payouts.livemode)

    return await idempotent(request, principal, services, await request.body(), act, status=201)
