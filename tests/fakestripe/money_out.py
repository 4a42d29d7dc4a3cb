"""Connect: accounts (v2) and their onboarding, transfers and reversals, payouts of connected accounts."""

from typing import Any

from tests.fakestripe.refusals import Refused, missing
from tests.fakestripe.world import PLATFORM, World, instant

ACCOUNT_URL = "/v2/core/accounts/"
NEW_ACCOUNT_LACKS = (
    "identity.individual.given_name",
    "identity.individual.id_numbers.us_ssn_last_4",
    "defaults.external_account",
)


# ── what the API does ────────────────────────────────────────────────────────────────────────────────────────────────────


def create_account(world: World, given: dict[str, Any], account: str) -> dict[str, Any]:
    """A connected account that lacks everything."""
    if "recipient" not in given.get("configuration", {}):
        raise Refused(400, "invalid_request_error", "fakestripe knows recipients only")
    made = world.make(
        "v2.core.account", "acct", contact_email=given.get("contact_email"), dashboard=given.get("dashboard"),
        metadata=given.get("metadata", {}), applied_configurations=["recipient"], closed=False,
    )  # fmt: skip
    made["created"] = instant(made["created"])
    world.objects[made["id"]] = {}
    _set_requirements(made, NEW_ACCOUNT_LACKS)
    world.told_thinly("v2.core.account.created", made["id"], "v2.core.account", ACCOUNT_URL + made["id"])
    return made


def create_account_link(world: World, given: dict[str, Any], account: str) -> dict[str, Any]:
    """Where an owner completes an account."""
    found = world.get("v2.core.account", given["account"])
    link = f"https://connect.fakestripe.test/setup/e/{found['id']}/{world.new_id('al')}"
    return {"object": "v2.core.account_link", "account": found["id"], "url": link, "expires_at": instant(world.now() + 600)}


def shown_account(found: dict[str, Any], include: list[str]) -> dict[str, Any]:
    """v2 leaves out what was not asked for."""
    shown = {k: v for k, v in found.items() if k not in {"configuration", "requirements"}}
    shown["configuration"] = found["configuration"] if "configuration.recipient" in include else None
    shown["requirements"] = found["requirements"] if "requirements" in include else None
    return shown


def create_transfer(world: World, given: dict[str, Any], account: str) -> dict[str, Any]:
    """Money of the platform into a connected account."""
    amount = given.get("amount", 0)
    destination = given["destination"]
    if amount <= 0 or given["currency"] != "usd":
        raise Refused(400, "invalid_request_error", "Invalid amount or currency")
    found = world.objects[PLATFORM].get(destination)
    if found is None:
        raise missing("destination", destination)
    if _capability(found, "stripe_transfers") != "active":
        raise Refused(
            400, "invalid_request_error", "Your destination account needs to have the transfers capability enabled.",
            code="insufficient_capabilities_for_transfer",
        )  # fmt: skip
    world.need(amount)
    transfer = world.make(
        "transfer", "tr", amount=amount, currency="usd", destination=destination, transfer_group=given.get("transfer_group"),
        metadata=given.get("metadata", {}), description=given.get("description"), reversed=False, amount_reversed=0,
    )  # fmt: skip
    transfer["balance_transaction"] = world.book("transfer", -amount, transfer["id"])["id"]
    world.book("payment", amount, transfer["id"], destination)
    world.happened("transfer.created", transfer)
    return transfer


def reverse_transfer(world: World, given: dict[str, Any], account: str, transfer_id: str) -> dict[str, Any]:
    """Take a transfer back, while the connected account holds as much."""
    transfer = world.get("transfer", transfer_id)
    amount = given.get("amount", transfer["amount"] - transfer["amount_reversed"])
    if not 0 < amount <= transfer["amount"] - transfer["amount_reversed"]:
        raise Refused(400, "invalid_request_error", "The transfer has been reversed already.")
    world.need(amount, transfer["destination"], "Insufficient funds in the connected account to reverse this transfer.")
    reversal = world.make(
        "transfer_reversal", "trr", amount=amount, currency="usd", transfer=transfer_id, metadata=given.get("metadata", {})
    )
    transfer["amount_reversed"] += amount
    transfer["reversed"] = transfer["amount_reversed"] == transfer["amount"]
    reversal["balance_transaction"] = world.book("transfer_refund", amount, reversal["id"])["id"]
    world.book("payment_refund", -amount, reversal["id"], transfer["destination"])
    world.happened("transfer.reversed", transfer)
    return reversal


def create_payout(world: World, given: dict[str, Any], account: str) -> dict[str, Any]:
    """A connected account's money on its way to its bank."""
    if account == PLATFORM:
        raise Refused(400, "invalid_request_error", "fakestripe knows payouts of connected accounts only")
    if given["amount"] <= 0 or given["currency"] != "usd":
        raise Refused(400, "invalid_request_error", "Invalid amount or currency")
    if _capability(world.get("v2.core.account", account), "payouts") != "active":
        raise Refused(
            400, "invalid_request_error", "Cannot create payouts: this account has requirements that need to be collected."
        )
    world.need(given["amount"], account)
    payout = world.make(
        "payout", "po", account, amount=given["amount"], currency="usd", status="pending", metadata=given.get("metadata", {}),
        failure_code=None, failure_message=None,
    )  # fmt: skip
    payout["balance_transaction"] = world.book("payout", -given["amount"], payout["id"], account)["id"]
    world.happened("payout.created", payout, account)
    return payout


# ── what owners and banks do ─────────────────────────────────────────────────────────────────────────────────────────────


def complete_account(world: World, account_id: str, lacks: tuple[str, ...] = ()) -> None:
    """The owner goes through onboarding; what still lacks keeps the account from being paid."""
    found = world.get("v2.core.account", account_id)
    _set_requirements(found, lacks)
    for part in ("requirements", "configuration.recipient"):
        type = f"v2.core.account[{part}].{'updated' if part == 'requirements' else 'capability_status_updated'}"
        world.told_thinly(type, account_id, "v2.core.account", ACCOUNT_URL + account_id)


def bank_takes(world: World, account_id: str, payout_id: str) -> dict[str, Any]:
    """The bank has it."""
    payout = world.get("payout", payout_id, account_id)
    payout["status"] = "paid"
    world.happened("payout.paid", payout, account_id)
    return payout


def bank_refuses(world: World, account_id: str, payout_id: str) -> dict[str, Any]:
    """The bank does not take it, or sends it back after it was paid: it is in the connected account again."""
    payout = world.get("payout", payout_id, account_id)
    payout.update(status="failed", failure_code="account_closed", failure_message="The bank account has been closed.")
    payout["failure_balance_transaction"] = world.book("payout_failure", payout["amount"], payout_id, account_id)["id"]
    world.happened("payout.failed", payout, account_id)
    return payout


# ── parts ────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _set_requirements(found: dict[str, Any], lacks: tuple[str, ...]) -> None:
    status = "active" if not lacks else "restricted"
    capability = {"status": status, "status_details": []}
    found["configuration"] = {
        "customer": None, "merchant": None,
        "recipient": {
            "applied": True, "capabilities": {"stripe_balance": {"stripe_transfers": dict(capability), "payouts": dict(capability)}}
        },
    }  # fmt: skip
    found["requirements"] = {
        "entries": [
            {
                "description": what, "awaiting_action_from": "user", "errors": [], "requested_reasons": [],
                "minimum_deadline": {"status": "currently_due"}, "impact": {}, "reference": None,
            }
            for what in lacks
        ],
        "summary": {"minimum_deadline": {"status": "currently_due", "time": None}} if lacks else None,
    }  # fmt: skip


def _capability(found: dict[str, Any], name: str) -> str:
    return str(found["configuration"]["recipient"]["capabilities"]["stripe_balance"][name]["status"])
