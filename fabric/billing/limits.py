"""What a user may spend: the state of the wallet, and the user's own limits for a day and for a job.

Whoever spends takes the row of the wallet first (before ledger accounts, after jobs), so two submits at once cannot both fit under a
limit that has room for one, and a dispute that freezes the wallet is seen by everything that comes after it.
"""

from dataclasses import dataclass
from typing import Literal

from fabric.billing.named_sql import STATEMENTS
from fabric.core.errors import Invalid, SpendingLimit, WalletClosed, WalletFrozen
from fabric.core.ids import UserId
from fabric.core.money import usd_text
from fabric.db.engine import Reader, Transaction

FROZEN = "This wallet is frozen, so nothing new can be spent from it"


@dataclass(frozen=True, slots=True)
class WalletState:
    """Whether a wallet may be used, and the user's own limits in nano-USD (None: no limit)."""

    status: Literal["active", "frozen", "closed"] = "active"
    reason: str | None = None
    day_limit_nanos: int | None = None
    job_limit_nanos: int | None = None

    def require_open(self) -> None:
        """Refuse to let anything new be spent.

        Raises:
            WalletFrozen: a payment is disputed, or an operator froze it.
            WalletClosed: it was closed.
        """
        if self.status == "frozen":
            raise WalletFrozen(f"{FROZEN}: {self.reason}" if self.reason else f"{FROZEN}.")
        if self.status == "closed":
            raise WalletClosed

    def require_within(self, hold_nanos: int, spent_today_nanos: int) -> None:
        """Refuse a hold that goes beyond the user's own limits.

        Args:
            hold_nanos: What the job would hold in all.
            spent_today_nanos: What the other jobs of this UTC day hold or have cost.

        Raises:
            SpendingLimit: it is more than that.
        """
        if self.job_limit_nanos is not None and hold_nanos > self.job_limit_nanos:
            raise SpendingLimit(
                f"The job would hold {usd_text(hold_nanos)} USD; your limit for one job is {usd_text(self.job_limit_nanos)} USD.",
                limit="job", limit_nanos=self.job_limit_nanos, wanted_nanos=hold_nanos,
            )  # fmt: skip
        if self.day_limit_nanos is not None and spent_today_nanos + hold_nanos > self.day_limit_nanos:
            raise SpendingLimit(
                f"Today's jobs hold or have cost {usd_text(spent_today_nanos)} USD; {usd_text(hold_nanos)} USD more is beyond your limit of "
                f"{usd_text(self.day_limit_nanos)} USD for a day.",
                limit="day", limit_nanos=self.day_limit_nanos, wanted_nanos=hold_nanos, spent_nanos=spent_today_nanos,
            )  # fmt: skip


async def take_wallet(tx: Transaction, user_id: UserId) -> WalletState:
    """The wallet, locked until the transaction ends."""
    row = (await tx.execute(STATEMENTS["take_wallet"], {"user": user_id})).one()
    return WalletState(row.status, row.status_reason, row.day_limit_nanos, row.job_limit_nanos)


async def read_wallet(reader: Reader, user_id: UserId) -> WalletState:
    """The wallet as it is."""
    row = (await reader.execute(STATEMENTS["read_wallet"], {"user": user_id})).one_or_none()
    return WalletState() if row is None else WalletState(row.status, row.status_reason, row.day_limit_nanos, row.job_limit_nanos)


async def set_limits(tx: Transaction, user_id: UserId, *, day_nanos: int | None, job_nanos: int | None) -> WalletState:
    """Write a user's own limits; None takes one away. They count from the next job on. The rest of the wallet stays as it is.

    Raises:
        Invalid: a limit of nothing, which would be a closed wallet.
    """
    if 0 in (day_nanos, job_nanos):
        raise Invalid("A limit is more than 0; leave it out to have none.")
    await take_wallet(tx, user_id)
    await tx.execute(STATEMENTS["set_limits"], {"user": user_id, "day": day_nanos, "job": job_nanos})
    return await take_wallet(tx, user_id)


async def freeze(tx: Transaction, user_id: UserId, reason: str) -> None:
    """Let nothing new be spent or paid out until it thaws. What runs goes on: its credit is held already."""
    await take_wallet(tx, user_id)
    await tx.execute(STATEMENTS["set_wallet_status"], {"user": user_id, "status": "frozen", "reason": reason})


async def thaw(tx: Transaction, user_id: UserId) -> None:
    """Let it be used again; a closed wallet stays closed."""
    await take_wallet(tx, user_id)
    await tx.execute(STATEMENTS["set_wallet_status"], {"user": user_id, "status": "active", "reason": None})


async def close_wallet(tx: Transaction, user_id: UserId, reason: str) -> None:
    """Close it for good: money that still arrives is sent back."""
    await take_wallet(tx, user_id)
    await tx.execute(STATEMENTS["set_wallet_status"], {"user": user_id, "status": "closed", "reason": reason})
