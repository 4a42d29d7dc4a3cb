"""/api/v1/wallet/top-ups/{id} and /api/v1/wallet/auto-top-up, and the page that people come back to. Its domain package is billing."""

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from fabric.api.dependencies import ServicesDep, WalletCaller
from fabric.api.schemas.top_ups import AutoTopUpIn, AutoTopUpOut, TopUpStateOut
from fabric.billing import automatic_top_ups, top_ups
from fabric.core.money import usd_nanos

router = APIRouter(prefix="/api/v1/wallet", tags=["wallet"])
page = APIRouter(tags=["wallet"])

THANKS = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Fabric</title>
<body style="font-family:sans-serif;margin:4em auto;max-width:36em">
<h1>Thank you</h1><p>Your wallet is credited as soon as the payment is confirmed. Cards take seconds, bank debits take days.</p>
<p>You can close this page; nothing depends on it.</p>{money}</body></html>
"""
NOT_REAL = "<p><strong>No real money:</strong> this fabric deals in play money or test money.</p>"


@router.get("/top-ups/{payment_id}", response_model=TopUpStateOut)
async def show_top_up(payment_id: str, principal: WalletCaller, services: ServicesDep) -> TopUpStateOut:
    """Where a top-up is. While it is pending the payment service is asked, so it is credited even where no webhook can come."""
    async with services.database.reading() as reader:
        state = await top_ups.find_top_up(reader, principal.user_id, payment_id)
    if state.status == "pending" and services.cards is not None:
        await top_ups.look_at(services.database, services.cards, payment_id)
        async with services.database.reading() as reader:
            state = await top_ups.find_top_up(reader, principal.user_id, payment_id)
    return TopUpStateOut.of(state)


@router.get("/auto-top-up", response_model=AutoTopUpOut)
async def show_auto_top_up(principal: WalletCaller, services: ServicesDep) -> AutoTopUpOut:
    """Your automatic top-up; off until you switch it on."""
    async with services.database.reading() as reader:
        found = await automatic_top_ups.read(reader, principal.user_id)
    return AutoTopUpOut.of(found, livemode=services.payments.livemode)


@router.put("/auto-top-up", response_model=AutoTopUpOut)
async def set_auto_top_up(body: AutoTopUpIn, principal: WalletCaller, services: ServicesDep) -> AutoTopUpOut:
    """Have a saved payment method charged when your credit falls below a threshold, at most so much in a UTC day.

    The payment method is the one that you let be saved at your last top-up (`save_method`).
    """
    async with services.database.transaction() as tx:
        written = await automatic_top_ups.write(
            tx, principal.user_id, enabled=body.enabled, threshold_nanos=usd_nanos(body.threshold_usd),
            amount_nanos=usd_nanos(body.amount_usd), day_max_nanos=usd_nanos(body.day_max_usd), billing=services.settings.billing,
        )  # fmt: skip
    return AutoTopUpOut.of(written, livemode=services.payments.livemode)


@page.get("/topped-up", response_class=HTMLResponse)
async def topped_up(services: ServicesDep) -> HTMLResponse:
    """Where Checkout sends people afterwards. It credits nothing: it may be loaded by anybody, or never."""
    return HTMLResponse(THANKS.format(money="" if services.payments.livemode else NOT_REAL))
