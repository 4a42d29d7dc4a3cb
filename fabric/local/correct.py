"""`fabric ledger correct`: posts a correction with an operator's name and a reason, as the owner of the database."""

import asyncio
import json
from collections.abc import Sequence
from urllib.parse import urlsplit, urlunsplit

from rich.console import Console

from fabric.billing import corrections, ledger
from fabric.core.errors import FabricError
from fabric.core.ids import TransactionId
from fabric.core.settings import Settings, load_settings
from fabric.db.engine import Database
from fabric.local.audit import AUDIT_TIMEOUT_S
from fabric.local.home import Home


def run_correction(lines: Sequence[str], *, key: str, operator: str, reason: str, as_json: bool = False) -> int:
    """Post it and print its id; 0 when it was posted and the books are right, 1 when not, 2 when it could not be."""
    console = Console(highlight=False)
    settings = load_settings()
    url = owner_url(settings)
    if url is None:
        console.print(
            f"The database's owner is not known here: no fabric in {settings.home}, and FABRIC_DATABASE_URL is not set."
        )
        return 2
    try:
        transaction_id, findings = asyncio.run(post_correction(url, lines, key=key, operator=operator, reason=reason))
    except FabricError as error:
        console.print(f"[red]{error.code}[/red]: {error.detail}")
        return 2
    if as_json:
        found = {finding.name: finding.rows for finding in findings}
        print(json.dumps({"transaction_id": str(transaction_id), "findings": found}, default=str))
        return 1 if findings else 0
    console.print(str(transaction_id))
    for finding in findings:
        console.print(f"[red]{finding.name}[/red]: {finding.rows}")
    return 1 if findings else 0


async def post_correction(
    url: str, lines: Sequence[str], *, key: str, operator: str, reason: str
) -> tuple[TransactionId, list[ledger.Finding]]:
    """The correction, and what the audits say afterwards.

    Raises:
        Invalid: the lines cannot be read or do not balance.
        IdempotencyMismatch: the key was used for another correction.
    """
    legs = [corrections.leg_of(line) for line in lines]
    database = Database(url, pool_size=1, statement_timeout_s=AUDIT_TIMEOUT_S)
    try:
        transaction_id = await corrections.correct(database, key, legs, operator=operator, reason=reason)
        async with database.reading() as reader:
            return transaction_id, await ledger.audit(reader)
    finally:
        await database.close()


def owner_url(settings: Settings) -> str | None:
    """The owner's URL: the one that is set, or that of the embedded server, whose password only its own user can read."""
    if settings.database.url is not None:
        return settings.database.url.get_secret_value()
    password = Home(settings.home).postgres.with_name("postgres.password")
    if settings.database.app_url is None or not password.exists():
        return None
    parts = urlsplit(settings.database.app_url.get_secret_value())
    return urlunsplit(parts._replace(netloc=f"fabric:{password.read_text()}@{parts.hostname or ''}"))
