"""/api/v1/wallet: balance, entries, top-up. Its domain package is billing."""

from fastapi import APIRouter, Request, Response

from fabric.api.dependencies import RequestIdDep, ServicesDep, WalletCaller
from fabric.api.idempotency import idempotent, key_of, replayed
from fabric.api.pagination import PageDep, page_of
from fabric.api.schemas.common import Page
from fabric.api.schemas.wallet import EntryOut, TopUpIn, TopUpOut, WalletOut
from fabric.billing import funding, wallet
from fabric.core.ids import RequestId
from fabric.core.money import usd_nanos
from fabric.db.engine import Transaction

router = APIRouter(prefix="/api/v1/wallet", tags=["wallet"])


@router.get("", response_model=WalletOut)
async def show_wallet(principal: WalletCaller, services: ServicesDep) -> WalletOut:
    """What you have: available, held for jobs, earned by your machines."""
    async with services.database.reading() as reader:
        balance = await wallet.balance(reader, principal.user_id)
    return WalletOut.of(balance, livemode=services.payments.livemode)


@router.get("/entries", response_model=Page[EntryOut])
async def list_entries(principal: WalletCaller, services: ServicesDep, page: PageDep) -> Page[EntryOut]:
    """The lines on your available credit, newest first."""
    async with services.database.reading() as reader:
        rows = await wallet.entries(reader, principal.user_id, page.before, page.fetch)
    return page_of(rows, page, cursor=lambda entry: entry.id, render=EntryOut.of)


@router.post("/top-ups", status_code=201, response_model=TopUpOut)
async def top_up(
    request: Request, body: TopUpIn, principal: WalletCaller, services: ServicesDep, request_id: RequestIdDep
) -> Response:
    """Put money in. Without a payment service it is play money, credited at once and marked `"livemode": false`."""
    raw = await request.body()
    if (replay := await replayed(request, principal, services, raw)) is not None:
        return replay
    amount = usd_nanos(body.amount_usd)
    funding.check_amount(amount, services.settings.billing)
    # The payment service is asked outside the transaction; under the same key it answers with the same payment.
    payment = await services.payments.begin_payment(principal.user_id, amount, key_of(request) or str(RequestId.new()))

    async def act(tx: Transaction) -> TopUpOut:
        return TopUpOut.of(await funding.credit_payment(tx, payment, request_id=request_id))

    return await idempotent(request, principal, services, raw, act, status=201)
