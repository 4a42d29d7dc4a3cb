"""What a user sees of the ledger: balance, holds, earnings, entries."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from fabric.billing import store
from fabric.core.ids import JobId, TransactionId, UserId
from fabric.db.engine import Reader


@dataclass(frozen=True, slots=True)
class Balance:
    """One user's money, in nano-USD. Everybody is requestor and provider at once."""

    available_nanos: int  # may be spent
    held_nanos: int  # reserved for unfinished jobs
    earned_pending_nanos: int  # by all machines of the user, within the dispute window
    earned_available_nanos: int  # may be paid out
    promotional_nanos: int = 0  # given: is spent first, and never leaves


@dataclass(frozen=True, slots=True)
class WalletEntry:
    """One line on the credit of a requestor."""

    id: TransactionId
    kind: str  # topup, hold, release …
    amount_nanos: int  # above zero when credit came in
    balance_nanos: int  # available afterwards
    job_id: JobId | None
    livemode: bool | None  # of top-ups: whether it was real money
    created_at: datetime


async def balance(reader: Reader, user_id: UserId) -> Balance:
    """What this user has now; zeros for somebody who never had anything."""
    row = await store.read_balance(reader, user_id)
    return Balance(row["available"], row["held"], row["earned_pending"], row["earned_available"], row["promotional"])


async def entries(reader: Reader, user_id: UserId, before: UUID | None, limit: int) -> Sequence[WalletEntry]:
    """Lines on this user's available credit, newest first; `before` is the id of the last one seen."""
    return [
        WalletEntry(
            id=TransactionId.of(row["transaction_id"]), kind=row["kind"], amount_nanos=row["amount"], balance_nanos=row["balance"],
            job_id=None if row["job_id"] is None else JobId.of(row["job_id"]), livemode=row["metadata"].get("livemode"),
            created_at=row["created_at"],
        )
        for row in await store.read_entries(reader, user_id, before, limit)
    ]  # fmt: skip
