"""What a job may spend: its hold, within the wallet's state and limits, and more of it while it runs.

Lock order: the job, its owner's wallet, then ledger accounts.
"""

from typing import Any
from uuid import UUID

from fabric.billing import flows, ledger, limits, promotions
from fabric.billing.limits import WalletState
from fabric.core.errors import Invalid, NotFound
from fabric.core.ids import JobId, UserId
from fabric.core.money import NANOS_MAX, usd_text
from fabric.db.engine import Transaction
from fabric.events import outbox
from fabric.jobs.lifecycle import require_open
from fabric.jobs.statements import STATEMENTS

CLOCKS_APART_MS = 600_000  # ids are made on another clock than the database's


def within_limit(hold_nanos: int, wallet: WalletState) -> int:
    """What a job without a budget of its own holds: no more than its owner's limit for one job, which is its budget then."""
    return hold_nanos if wallet.job_limit_nanos is None else min(hold_nanos, wallet.job_limit_nanos)


async def hold_credit(tx: Transaction, owner_id: UserId, job_id: JobId, hold_nanos: int) -> None:
    """Reserve the credit of a job whose row was just written.

    Raises:
        InsufficientFunds: the wallet cannot cover the hold.
        WalletFrozen: nothing new may be spent.
        WalletClosed: nothing may be spent at all.
        SpendingLimit: it is beyond the owner's own limits.
    """
    await _check_spending(tx, owner_id, job_id, hold_nanos)
    hold = await ledger.place_hold(tx, owner_id, job_id, hold_nanos)
    if hold.promotional_nanos:
        givers = await promotions.givers_to(tx, owner_id)
        await tx.execute(STATEMENTS["bar_owners"], {"job_id": job_id, "owner_ids": list(givers)})


async def add_to_budget(tx: Transaction, owner_id: UserId, job_id: JobId, amount_nanos: int, key: str) -> int:
    """Let an unfinished job spend more of its owner's own money; what it holds then, in nano-USD.

    A job that waits for funds goes on. The same key again adds nothing.

    Raises:
        NotFound: no such job, or somebody else's.
        AlreadyFinished: it has ended; its hold was given back.
        Invalid: nothing is added.
        InsufficientFunds: the wallet does not have it.
        WalletFrozen: nothing new may be spent.
        WalletClosed: nothing may be spent at all.
        SpendingLimit: it is beyond the owner's own limits.
    """
    row: Any = next(iter((await tx.execute(STATEMENTS["lock_jobs"], {"job_ids": [job_id]})).mappings()), None)
    if row is None or row["owner_id"] != owner_id:
        raise NotFound(f"There is no job {job_id} of yours.")
    require_open(row["status"])
    held = int(row["held_nanos"]) + amount_nanos
    if amount_nanos <= 0 or held > NANOS_MAX:
        raise Invalid(f"{usd_text(amount_nanos)} USD is nothing to add.")
    await _check_spending(tx, owner_id, job_id, held)
    if row["held_nanos"]:
        held = await flows.add_to_hold(tx, owner_id, job_id, amount_nanos, key)
    else:
        await hold_credit(tx, owner_id, job_id, amount_nanos)
    await tx.execute(STATEMENTS["add_to_budget"], {"job_id": job_id, "held": held})
    await outbox.record(tx, job_id, "job.funded", {"held": {"usd_nanos": held, "usd": usd_text(held)}})
    await outbox.notify_dispatch(tx, "jobs")
    return held


async def _check_spending(tx: Transaction, owner_id: UserId, job_id: JobId, hold_nanos: int) -> None:
    wallet = await limits.take_wallet(tx, owner_id)
    wallet.require_open()
    spent = 0 if wallet.day_limit_nanos is None else await _spent_today(tx, owner_id, job_id)
    wallet.require_within(hold_nanos, spent)


async def _spent_today(tx: Transaction, owner_id: UserId, but_id: JobId) -> int:
    """What the other jobs that were submitted on this UTC day hold, or have cost."""
    began = (await tx.execute(STATEMENTS["today"])).one().began
    first_id = UUID(int=int(began.timestamp() * 1000) - CLOCKS_APART_MS << 80)
    values = {"owner_id": owner_id, "since": began, "first_id": first_id, "but_id": but_id}
    return int((await tx.execute(STATEMENTS["spent_since"], values)).one().nanos)
