"""Promotional credit: given by an operator, spent before own money, never paid out, and not earned by machines of whoever gave it."""

from collections.abc import Sequence
from dataclasses import dataclass

from fabric.billing import flows
from fabric.billing.named_sql import STATEMENTS
from fabric.core.errors import Invalid, NotFound
from fabric.core.ids import PromotionId, TransactionId, UserId
from fabric.core.money import usd_nanos, usd_text
from fabric.core.settings import BillingSettings
from fabric.db.engine import Reader, Transaction

REASON_CHARACTERS_MAX = 500


@dataclass(frozen=True, slots=True)
class Promotion:
    """Credit that was given."""

    id: PromotionId
    transaction_id: TransactionId
    user_id: UserId
    amount_nanos: int
    reason: str


async def give_credit(
    tx: Transaction, giver_id: UserId, user_id: UserId, amount_nanos: int, reason: str, *, billing: BillingSettings
) -> Promotion:
    """Give a user credit. The caller has checked that the giver is an operator.

    Raises:
        NotFound: no such user.
        Invalid: nothing, more than one top-up may be, or no reason.
    """
    if not 0 < amount_nanos <= usd_nanos(billing.top_up_usd_max):
        raise Invalid(f"Promotional credit is more than 0 and at most {usd_text(usd_nanos(billing.top_up_usd_max))} USD.")
    if not 0 < len(reason.strip()) <= REASON_CHARACTERS_MAX:
        raise Invalid(f"Say why, in at most {REASON_CHARACTERS_MAX} characters.")
    if not (await tx.execute(STATEMENTS["user_exists"], {"user": user_id})).scalar_one():
        raise NotFound(f"There is no user {user_id}.")
    promotion_id = PromotionId.new()
    metadata = {"giver": str(giver_id), "reason": reason}
    transaction_id = await flows.give_promotion(tx, user_id, amount_nanos, promotion_id.hex, metadata)
    values = {
        "id": promotion_id, "user": user_id, "giver": giver_id, "amount": amount_nanos, "reason": reason,
        "transaction_id": transaction_id,
    }  # fmt: skip
    await tx.execute(STATEMENTS["insert_promotion"], values)
    return Promotion(promotion_id, transaction_id, user_id, amount_nanos, reason)


async def givers_to(reader: Reader, user_id: UserId) -> Sequence[UserId]:
    """Who ever gave this user credit: machines of theirs may not earn it."""
    return [UserId.of(row.giver_id) for row in await reader.execute(STATEMENTS["givers_to"], {"user": user_id})]
