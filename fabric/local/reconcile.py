"""`fabric ledger reconcile`: compares the ledger with the payment service and prints every difference."""

import asyncio
import json
from dataclasses import asdict
from datetime import timedelta

from rich.console import Console

from fabric import wiring
from fabric.billing import reconcile
from fabric.billing.reconcile import Report
from fabric.core import clock
from fabric.core.errors import FabricError
from fabric.core.settings import Settings, load_settings
from fabric.db.engine import Database


def run_reconciliation(days: int | None, *, as_json: bool = False) -> int:
    """Print what was found; 0 when both sides agree, 1 when not, 2 when they could not be compared."""
    console = Console(highlight=False, soft_wrap=True)
    settings = load_settings()
    if settings.database.app_url is None:
        console.print(f"No fabric has run in {settings.home} yet (set FABRIC_HOME to name another).")
        return 2
    if settings.billing.stripe_key is None:
        console.print(
            "FABRIC_BILLING_STRIPE_KEY is not set: this fabric deals in play money, and there is nothing to compare with."
        )
        return 2
    try:
        report = asyncio.run(compare(settings, days))
    except FabricError as error:
        console.print(f"[red]{error.code}[/red]: {error.detail}")
        return 2
    if as_json:
        print(json.dumps(asdict(report), default=str))
        return 1 if report.differences else 0
    console.print(
        f"{report.there} balance transactions, {report.here} ledger transactions, {report.on_their_way} on their way; "
        f"fees booked: {report.fees_booked}"
    )
    for difference in report.differences:
        console.print(str(difference), style="red", markup=False)
    if report.differences:
        console.print("Find out why. Then: fabric ledger correct … --key <the balance transaction's id>", markup=False)
    else:
        console.print("both sides agree")
    return 1 if report.differences else 0


async def compare(settings: Settings, days: int | None) -> Report:
    """The report of the last days; None: of everything."""
    assert settings.database.app_url is not None
    gateway = wiring.build_gateway(settings)
    assert gateway is not None
    database = Database(settings.database.app_url.get_secret_value(), pool_size=2)
    try:
        since = None if days is None else clock.now() - timedelta(days=days)
        return await reconcile.reconcile(database, gateway, since=since)
    finally:
        await gateway.close()
        await database.close()
