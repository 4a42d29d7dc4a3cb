"""The chart of ledger accounts: each kind, its owner and its allowed sign.

The database keeps the same table (`ledger.chart`) and makes every account from it; a test compares the two. In the name of a kind
`*` stands for the owner's id, so `requestor:*:available` names accounts such as `requestor:0199…:available`.
"""

from dataclasses import dataclass
from typing import Literal
from uuid import UUID

AccountClass = Literal["asset", "liability", "revenue", "expense"]


@dataclass(frozen=True, slots=True)
class AccountKind:
    """What is true of all accounts of a kind."""

    name: str
    account_class: AccountClass
    no_overdraft: bool = False  # debits may never exceed credits
    append_only: bool = False  # no running balance and so no lock: every capture touches it

    @property
    def normal_side(self) -> Literal["D", "C"]:
        """The side on which the balance grows."""
        return "D" if self.account_class in {"asset", "expense"} else "C"


PLATFORM_STRIPE = AccountKind("platform:stripe", "asset")
STRIPE_CONNECTED = AccountKind("stripe_connected:*", "asset")
RECEIVABLE = AccountKind("receivable:*", "asset")
REQUESTOR_AVAILABLE = AccountKind("requestor:*:available", "liability", no_overdraft=True)
REQUESTOR_PROMOTIONAL = AccountKind("requestor:*:promotional", "liability", no_overdraft=True)
REQUESTOR_REFUND_IN_TRANSIT = AccountKind("requestor:*:refund_in_transit", "liability", no_overdraft=True)
JOB_HOLD = AccountKind("job:*:hold", "liability", no_overdraft=True)
PROVIDER_PENDING = AccountKind("provider:*:pending", "liability", no_overdraft=True)
PROVIDER_AVAILABLE = AccountKind("provider:*:available", "liability", no_overdraft=True)
PROVIDER_IN_TRANSIT = AccountKind("provider:*:in_transit", "liability", no_overdraft=True)
PROVIDER_IN_STRIPE = AccountKind("provider:*:in_stripe", "liability", no_overdraft=True)
PROVIDER_DEBT = AccountKind("provider:*:debt", "asset")
PLATFORM_COMMISSION = AccountKind("platform:commission", "revenue", append_only=True)
PLATFORM_STRIPE_FEES = AccountKind("platform:stripe_fees", "expense", append_only=True)
PLATFORM_VERIFICATION = AccountKind("platform:verification", "expense", append_only=True)
PLATFORM_GOODWILL = AccountKind("platform:goodwill", "expense", append_only=True)
PLATFORM_CHARGEBACK_LOSS = AccountKind("platform:chargeback_loss", "expense", append_only=True)
PLATFORM_DISPUTE_FEES = AccountKind("platform:dispute_fees", "expense", append_only=True)
PLATFORM_PROMOTIONS = AccountKind("platform:promotions", "expense", append_only=True)

CHART = (
    PLATFORM_STRIPE, STRIPE_CONNECTED, RECEIVABLE, REQUESTOR_AVAILABLE, REQUESTOR_PROMOTIONAL, REQUESTOR_REFUND_IN_TRANSIT, JOB_HOLD,
    PROVIDER_PENDING, PROVIDER_AVAILABLE, PROVIDER_IN_TRANSIT, PROVIDER_IN_STRIPE, PROVIDER_DEBT, PLATFORM_COMMISSION,
    PLATFORM_STRIPE_FEES, PLATFORM_VERIFICATION, PLATFORM_GOODWILL, PLATFORM_CHARGEBACK_LOSS, PLATFORM_DISPUTE_FEES,
    PLATFORM_PROMOTIONS,
)  # fmt: skip


def account_name(kind: AccountKind, owner_id: UUID | None = None) -> str:
    """The name of one ledger account; kinds with a `*` need an owner, the others have none."""
    assert ("*" in kind.name) == (owner_id is not None), f"{kind.name} and {owner_id!r}"
    return kind.name if owner_id is None else kind.name.replace("*", str(UUID(int=owner_id.int)))
