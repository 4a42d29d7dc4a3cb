"""`fabric ledger audit`: runs every audit of the ledger and prints what it found."""

import asyncio
import json

from rich.console import Console

from fabric.billing import ledger
from fabric.core.errors import FabricError
from fabric.core.settings import load_settings
from fabric.db.engine import Database

AUDIT_TIMEOUT_S = 3600.0  # audits read all of history


def run_audit(*, as_json: bool = False) -> int:
    """Print the findings; 0 when the books are right, 1 when not, 2 when they could not be read."""
    console = Console(highlight=False)
    settings = load_settings()
    if settings.database.app_url is None:
        console.print(f"No fabric has run in {settings.home} yet (set FABRIC_HOME to name another).")
        return 2
    try:
        balance, findings = asyncio.run(read_books(settings.database.app_url.get_secret_value()))
    except FabricError as error:
        console.print(f"{error.detail} Is `fabric up` running?")
        return 2
    if as_json:
        found = {finding.name: finding.rows for finding in findings}
        print(json.dumps({"trial_balance_nanos": balance, "findings": found}, default=str))
        return 1 if findings or balance else 0
    console.print(f"trial balance: {balance} (must be 0)")
    for finding in findings:
        console.print(f"[red]{finding.name}[/red]: {finding.rows}")
    console.print("every audit is empty" if not findings else f"{len(findings)} audits found something")
    return 1 if findings or balance else 0


async def read_books(url: str) -> tuple[int, list[ledger.Finding]]:
    """The trial balance and all findings."""
    database = Database(url, pool_size=1, statement_timeout_s=AUDIT_TIMEOUT_S)
    try:
        async with database.reading() as reader:
            return await ledger.trial_balance(reader), await ledger.audit(reader)
    finally:
        await database.close()
