"""Which kind of money a fabric's books are of. Play money, test money and real money never share a ledger."""

from typing import Literal

from fabric.billing.named_sql import STATEMENTS
from fabric.billing.stripe_facts import is_live
from fabric.core.errors import WrongMoney
from fabric.core.settings import BillingSettings
from fabric.db.engine import Database

Mode = Literal["play", "test", "live"]
IN_WORDS: dict[str, str] = {
    "play": "play money (no FABRIC_BILLING_STRIPE_KEY)",
    "test": "test money (FABRIC_BILLING_STRIPE_KEY is a test key)",
    "live": "real money (FABRIC_BILLING_STRIPE_KEY is a live key)",
}


def mode_of(billing: BillingSettings) -> Mode:
    """What the settings say."""
    if billing.stripe_key is None:
        return "play"
    return "live" if is_live(billing.stripe_key.get_secret_value()) else "test"


async def claim(database: Database, billing: BillingSettings) -> Mode:
    """Let the books be of the kind of money that the settings say; the first start decides for good.

    Raises:
        WrongMoney: they are of another kind; nothing was changed.
        DatabaseUnavailable: nothing is known.
    """
    wanted = mode_of(billing)
    async with database.transaction() as tx:
        found = str((await tx.execute(STATEMENTS["claim_mode"], {"mode": wanted})).scalar_one())
    if found != wanted:
        raise WrongMoney(
            f"The books in this database are of {IN_WORDS[found]}, and the settings say {IN_WORDS[wanted]}. They do not mix: put the key "
            "back as it was, or start with another FABRIC_HOME (or FABRIC_DATABASE_URL).",
            books=found, settings=wanted,
        )  # fmt: skip
    return wanted
