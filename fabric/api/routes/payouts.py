"""/api/v1/payouts: the payout account, payouts on request or weekly. Its domain package is billing."""

from functools import partial

from fastapi import APIRouter, Request, Response

from fabric.api.dependencies import ServicesDep, WalletCaller
from fabric.api.idempotency import idempotent
from fabric.api.pagination import PageDep, page_of
from fabric.api.schemas.common import Page
from fabric.api.schemas.payouts import OnboardingIn, OnboardingOut, PayoutAccountOut, PayoutIn, PayoutOut, ScheduleIn
from fabric.billing import payout_accounts, payouts
from fabric.billing.payout_accounts import PayoutAccount
from fabric.core.ids import PayoutId, UserId
from fabric.core.money import usd_nanos
from fabric.db.engine import Transaction
from fabric.identity import users
from fabric.wiring import Services

router = APIRouter(prefix="/api/v1/payouts", tags=["payouts"])


@router.get("/account", response_model=PayoutAccountOut)
async def show_account(principal: WalletCaller, services: ServicesDep) -> PayoutAccountOut:
    """Where your earnings go, what is still missing, and how much there is. Asks the payment service while something is missing."""
    async with services.database.reading() as reader:
        account = await payout_accounts.find_account(reader, principal.user_id)
    if account is not None and account.status != "ready":
        account = await payout_accounts.refreshed(services.database, services.payouts, principal.user_id)
    return await _shown(services, principal.user_id, account)


@router.post("/account/onboarding", response_model=OnboardingOut)
async def begin_onboarding(body: OnboardingIn, principal: WalletCaller, services: ServicesDep) -> OnboardingOut:
    """A link to where you complete your account; ask for a new one whenever you need it."""
    user = await users.user(services.database, principal.user_id)
    account, url = await payout_accounts.begin_onboarding(
        services.database, services.payouts, user.id, user.email, body.return_url
    )
    return OnboardingOut.model_validate({"url": url, "status": account.status, "livemode": services.payouts.livemode})


@router.patch("/account", response_model=PayoutAccountOut)
async def change_account(body: ScheduleIn, principal: WalletCaller, services: ServicesDep) -> PayoutAccountOut:
    """Be paid on request, or every week as soon as there is enough."""
    async with services.database.transaction() as tx:
        account = await payout_accounts.set_schedule(tx, principal.user_id, body.schedule)
    return await _shown(services, principal.user_id, account)


@router.post("", status_code=201, response_model=PayoutOut)
async def request_payout(request: Request, body: PayoutIn, principal: WalletCaller, services: ServicesDep) -> Response:
    """Have matured earnings paid out. It takes some days; look at the payout for where it is."""
    amount = None if body.amount_usd is None else usd_nanos(body.amount_usd)

    async def act(tx: Transaction) -> PayoutOut:
        made = await payouts.request_payout(tx, principal.user_id, amount, billing=services.settings.billing)
        return PayoutOut.of(made, livemode=services.payouts.livemode)

    return await idempotent(request, principal, services, await request.body(), act, status=201)


@router.get("", response_model=Page[PayoutOut])
async def list_payouts(principal: WalletCaller, services: ServicesDep, page: PageDep) -> Page[PayoutOut]:
    """Your payouts, newest first."""
    async with services.database.reading() as reader:
        rows = await payouts.payouts_of(reader, principal.user_id, before=page.before, limit=page.fetch)
    render = partial(PayoutOut.of, livemode=services.payouts.livemode)
    return page_of(rows, page, cursor=lambda payout: payout.id, render=render)


@router.get("/{payout_id}", response_model=PayoutOut)
async def show_payout(payout_id: str, principal: WalletCaller, services: ServicesDep) -> PayoutOut:
    """One payout."""
    async with services.database.reading() as reader:
        found = await payouts.get_payout(reader, principal.user_id, PayoutId.parse(payout_id))
    return PayoutOut.of(found, livemode=services.payouts.livemode)


async def _shown(services: Services, user_id: UserId, account: PayoutAccount | None) -> PayoutAccountOut:
    async with services.database.reading() as reader:
        earnings = await payout_accounts.earnings(reader, user_id)
    least = usd_nanos(services.settings.billing.payout_usd_min)
    return PayoutAccountOut.of(account, earnings, min_nanos=least, livemode=services.payouts.livemode)
