"""SQL that reads the ledger for one user. Writing is `billing.ledger`'s."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import RowMapping, text

from fabric.billing import chart
from fabric.core.ids import UserId
from fabric.db.engine import Reader

# Open holds are found by their holder, pending earnings by the machines that the user owns or owned; each sum touches a few rows.
BALANCE = text(
    """
    SELECT CAST(coalesce((SELECT a.credits - a.debits FROM ledger.accounts AS a WHERE a.name = :available), 0) AS bigint) AS available,
           CAST(coalesce((SELECT sum(a.credits - a.debits) FROM ledger.accounts AS a
                           WHERE a.holder_id = :user AND a.closed_at IS NULL), 0) AS bigint) AS held,
           CAST(coalesce((SELECT sum(e.credits - e.debits) FROM providers AS p
                            JOIN ledger.accounts AS e ON e.owner_id = p.id AND e.kind = :pending_kind
                           WHERE p.owner_id = :user), 0) AS bigint) AS earned_pending,
           CAST(coalesce((SELECT a.credits - a.debits FROM ledger.accounts AS a WHERE a.name = :payable), 0) AS bigint)
             AS earned_available,
           CAST(coalesce((SELECT a.credits - a.debits FROM ledger.accounts AS a WHERE a.name = :promotional), 0) AS bigint)
             AS promotional
    """
)

# A cursor that is not a line of this user's account gives nothing. The account is found first, so that its index gives the order and a
# page of a long history reads no more than a page.
ENTRIES = text(
    """
    SELECT e.transaction_id, t.kind, t.job_id, t.metadata, t.created_at, e.balance,
           CASE e.side WHEN 'C' THEN e.amount ELSE -e.amount END AS amount
      FROM ledger.entries AS e
      JOIN ledger.transactions AS t ON t.id = e.transaction_id
     WHERE e.account_id = (SELECT a.id FROM ledger.accounts AS a WHERE a.name = :available) AND e.seq IS NOT NULL
       AND (CAST(:before AS uuid) IS NULL
            OR e.seq < (SELECT c.seq FROM ledger.entries AS c WHERE c.transaction_id = :before AND c.account_id = e.account_id))
     ORDER BY e.seq DESC
     LIMIT :limit
    """
)


async def read_balance(reader: Reader, user_id: UserId) -> RowMapping:
    """Sums over the accounts of one user."""
    values = {
        "user": user_id, "available": _available(user_id), "pending_kind": chart.PROVIDER_PENDING.name,
        "payable": chart.account_name(chart.PROVIDER_AVAILABLE, user_id),
        "promotional": chart.account_name(chart.REQUESTOR_PROMOTIONAL, user_id),
    }  # fmt: skip
    return (await reader.execute(BALANCE, values)).mappings().one()


async def read_entries(reader: Reader, user_id: UserId, before: UUID | None, limit: int) -> Sequence[RowMapping]:
    """Lines of one user's available account, newest first."""
    values: dict[str, Any] = {"available": _available(user_id), "before": before, "limit": limit}
    return (await reader.execute(ENTRIES, values)).mappings().all()


def _available(user_id: UserId) -> str:
    return chart.account_name(chart.REQUESTOR_AVAILABLE, user_id)
