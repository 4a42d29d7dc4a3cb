"""Corrections of the books by an operator: any balanced lines, with a name and a reason, by the database's owner only.

The application's role cannot execute them, so nobody who takes over a control process can write a posting of his own making.
"""

from collections.abc import Sequence
from uuid import UUID

from fabric.billing import chart, flows
from fabric.billing.flows import Leg
from fabric.billing.named_sql import STATEMENTS
from fabric.core.errors import Invalid, NotFound
from fabric.core.ids import TransactionId, UserId
from fabric.core.money import usd_nanos
from fabric.db.engine import Database

KINDS = {kind.name for kind in chart.CHART} - {chart.JOB_HOLD.name, chart.PROVIDER_PENDING.name}


def leg_of(text: str) -> Leg:
    """Read one line such as `D platform:goodwill 1.50` or `C requestor:usr_…:available 1.50`.

    Raises:
        Invalid: it is none.
    """
    side, _, rest = text.strip().partition(" ")
    account, _, amount = rest.strip().rpartition(" ")
    kind, owner = account.strip(), None
    parts = kind.split(":")
    if len(parts) > 1 and kind not in KINDS:
        try:
            owner = _owner(parts[1])
        except (NotFound, ValueError):
            raise Invalid(f"{text!r} names no ledger account; its owner is a user.") from None
        kind = ":".join([parts[0], "*", *parts[2:]])
    nanos = usd_nanos(amount)
    if side not in {"D", "C"} or kind not in KINDS or ("*" in kind) != (owner is not None) or nanos == 0:
        raise Invalid(
            f"{text!r} is no line: `D` or `C`, a ledger account, an amount of USD. Accounts: {', '.join(sorted(KINDS))}."
        )
    return Leg(kind, owner, side, nanos)


async def correct(database: Database, key: str, legs: Sequence[Leg], *, operator: str, reason: str) -> TransactionId:
    """Post a correction; again under the same key, and it is the same one.

    Args:
        database: Connected as the database's owner.
        key: Names this correction.
        legs: Lines that balance.
        operator: Who does it.
        reason: Why.

    Raises:
        Invalid: the lines do not balance, an account would be overdrawn, or operator or reason is missing.
        IdempotencyMismatch: the key was used for something else.
    """
    if sum(leg.amount_nanos if leg.side == "D" else -leg.amount_nanos for leg in legs) or len(legs) < 2:
        raise Invalid("Debits and credits of a correction are equal.")
    async with database.transaction() as tx:
        transaction_id = await flows.correct(tx, key, legs, operator, reason)
        values = {"transaction_id": transaction_id, "operator": operator, "reason": reason}
        await tx.execute(STATEMENTS["note_correction"], values)
    return transaction_id


def _owner(text: str) -> UserId:
    return UserId.parse(text) if "_" in text else UserId.of(UUID(text))
