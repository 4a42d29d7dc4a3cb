"""Reads what Stripe answers: its objects, as plain values, into the facts that billing knows. Amounts of cents become nano-USD here."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal
from uuid import UUID

from fabric.billing.card_gateway import BalanceTransaction, DisputeFacts, Fee, PaymentFacts
from fabric.billing.gateway import BankPayout, ConnectedAccount, GatewayRefund, Payment, Transfer
from fabric.core.errors import Invalid
from fabric.core.ids import PayoutId, RefundId, UserId
from fabric.core.money import NANOS_PER_CENT

Fields = Mapping[str, Any]

CURRENCY = "usd"
AUTOMATIC, CHECKOUT = "automatic", "checkout"
"""`metadata.kind` of our payment intents."""
LACKING = {
    "defaults.external_account": "a bank account for payouts",
    "external_account": "a bank account for payouts",
    "identity.country": "the country",
    "identity.individual.address": "the home address",
    "identity.individual.date_of_birth": "the date of birth",
    "identity.individual.email": "the email address",
    "identity.individual.given_name": "the first name",
    "identity.individual.surname": "the last name",
    "identity.individual.phone": "the phone number",
    "identity.individual.id_numbers": "an identification number",
    "identity.individual.documents": "an identity document",
    "identity.business_details": "details of the business",
    "identity.attestations.terms_of_service": "agreement to Stripe's terms",
}
"""What Stripe says in names of fields, in words; the longest beginning counts."""


def is_live(key: str) -> bool:
    """Whether a secret or restricted key moves real money."""
    return key.startswith(("sk_live_", "rk_live_"))


def nanos(cents: int) -> int:
    """Cents as nano-USD."""
    return int(cents) * NANOS_PER_CENT


def moment(seconds: int) -> datetime:
    """Stripe's moments."""
    return datetime.fromtimestamp(int(seconds), UTC)


def id_of(fields: Fields) -> str:
    """The id of any object."""
    return str(fields["id"])


def in_our_currency(fields: Fields) -> Fields:
    """The same fields.

    Raises:
        Invalid: their amounts are of another currency, whose cents are not ours.
    """
    if fields.get("currency", CURRENCY) != CURRENCY:
        raise Invalid(f"{fields['id']} is of {fields['currency']}, and the books are of {CURRENCY}.")
    return fields


def session_payment(session: Fields) -> Payment:
    """A Checkout Session as a payment.

    Raises:
        Invalid: of another currency.
    """
    in_our_currency(session)
    user_id = _user(session) or _user({"metadata": {"user": session.get("client_reference_id") or ""}})
    paid = session["payment_status"] == "paid"
    return Payment(
        session["id"], user_id or UserId.of(UUID(int=0)), nanos(session["amount_total"]), "paid" if paid else "pending",
        bool(session["livemode"]), None if paid or session["status"] != "open" else session.get("url"),
    )  # fmt: skip


def session_facts(session: Fields) -> PaymentFacts:
    """A Checkout Session whose intent, charge and balance transaction are expanded."""
    intent = session.get("payment_intent") or {}
    failed = session["status"] == "complete" and intent.get("status") in {"requires_payment_method", "canceled"}
    saved = intent.get("setup_future_usage") == "off_session"
    return PaymentFacts(
        session_payment(session), ended=session["status"] == "expired" or failed, intent_id=intent.get("id"),
        method_id=_id(intent.get("payment_method")) if saved else None, fee=_fee(intent), failure=_failure(intent),
    )  # fmt: skip


def intent_facts(intent: Fields) -> PaymentFacts | None:
    """A payment intent of an automatic top-up; None for any other."""
    user_id = _user(intent)
    if user_id is None or intent["metadata"].get("kind") != AUTOMATIC:
        return None
    in_our_currency(intent)
    paid = intent["status"] == "succeeded"
    payment = Payment(intent["id"], user_id, nanos(intent["amount"]), "paid" if paid else "pending", bool(intent["livemode"]))
    ended = intent["status"] in {"requires_payment_method", "requires_action", "canceled"}
    return PaymentFacts(payment, ended=ended, intent_id=intent["id"], fee=_fee(intent), failure=_failure(intent))


def dispute_facts(dispute: Fields) -> DisputeFacts:
    """A dispute. Money moved only as far as its balance transactions say."""
    moved = dispute.get("balance_transactions") or []
    taken = [txn for txn in moved if txn["amount"] < 0]
    back = [txn for txn in moved if txn["amount"] > 0]
    status: Literal["no_money", "open", "won", "lost"] = "no_money"
    if taken:
        status = "lost" if dispute["status"] == "lost" else "won" if back else "open"
    return DisputeFacts(
        dispute["id"], _id(dispute.get("payment_intent")), status, nanos(-sum(txn["amount"] for txn in taken)),
        nanos(sum(txn["fee"] for txn in taken)), nanos(-sum(txn["fee"] for txn in back)), str(dispute.get("reason") or ""),
    )  # fmt: skip


def transfer_facts(transfer: Fields) -> tuple[Transfer, PayoutId | None]:
    """A transfer and our payout."""
    return Transfer(transfer["id"], nanos(transfer["amount"])), _ours(transfer, "payout", PayoutId)


def bank_payout_facts(payout: Fields) -> tuple[BankPayout, PayoutId | None]:
    """A payout of a connected account, and ours."""
    status: Literal["pending", "paid", "failed"] = (
        "paid" if payout["status"] == "paid" else "failed" if payout["status"] in {"failed", "canceled"} else "pending"
    )
    failure = payout.get("failure_message") or payout.get("failure_code") if status == "failed" else None
    attempt = str((payout.get("metadata") or {}).get("attempt") or "")
    return (
        BankPayout(payout["id"], status, failure, int(attempt) if attempt.isdecimal() else None),
        _ours(payout, "payout", PayoutId),
    )


def refund_facts(refund: Fields) -> tuple[GatewayRefund, RefundId | None]:
    """A refund, and which of ours."""
    known: Mapping[str, Literal["done", "failed"]] = {"succeeded": "done", "failed": "failed", "canceled": "failed"}
    status: Literal["sent", "done", "failed"] = known.get(refund["status"], "sent")
    failure = str(refund.get("failure_reason") or "") or None if status == "failed" else None
    return GatewayRefund(refund["id"], status, failure), _ours(refund, "refund", RefundId)


def account_facts(account: Fields) -> tuple[ConnectedAccount, UserId | None]:
    """A connected account (v2) with its recipient configuration and requirements, and whose it is."""
    recipient = (account.get("configuration") or {}).get("recipient") or {}
    balance = (recipient.get("capabilities") or {}).get("stripe_balance") or {}
    states = [(balance.get(name) or {}).get("status") for name in ("stripe_transfers", "payouts")]
    requirements = account.get("requirements") or {}
    entries = [entry for entry in requirements.get("entries") or [] if entry.get("awaiting_action_from") != "stripe"]
    lacks = tuple(dict.fromkeys(in_words(entry["description"]) for entry in entries))
    deadline = ((requirements.get("summary") or {}).get("minimum_deadline") or {}).get("status")
    status: Literal["onboarding", "ready", "restricted"] = "onboarding"
    if states == ["active", "active"] and not account.get("closed"):
        status = "ready"
    elif account.get("closed") or deadline == "past_due" or {"rejected", "unsupported"} & set(states):
        status = "restricted"
    return ConnectedAccount(account["id"], status, () if status == "ready" else lacks), _user(account)


def balance_transaction(txn: Fields) -> BalanceTransaction:
    """A balance transaction whose source is expanded where it can be."""
    source = txn.get("source")
    fields: Fields = source if isinstance(source, Mapping) else {}
    return BalanceTransaction(
        txn["id"], txn["type"], moment(txn["created"]), nanos(txn["amount"]), nanos(txn["fee"]), _id(source),
        intent_id=_id(fields.get("payment_intent")), refund_id=_ours(fields, "refund", RefundId),
        reverses=txn["type"] == "adjustment" and txn["amount"] > 0,
    )  # fmt: skip


def in_words(description: str) -> str:
    """What an account lacks, for its owner."""
    known = [name for name in LACKING if description == name or description.startswith(f"{name}.")]
    if known:
        return LACKING[max(known, key=len)]
    return description.rpartition(".")[2].replace("_", " ")


def _fee(intent: Fields) -> Fee | None:
    charge = intent.get("latest_charge") if isinstance(intent.get("latest_charge"), Mapping) else None
    txn = charge.get("balance_transaction") if charge else None
    return Fee(txn["id"], nanos(txn["fee"])) if isinstance(txn, Mapping) else None


def _failure(intent: Fields) -> str | None:
    error = intent.get("last_payment_error")
    return str(error.get("message") or error.get("code")) if isinstance(error, Mapping) else None


def _id(reference: Any) -> str | None:
    return id_of(reference) if isinstance(reference, Mapping) else None if reference is None else str(reference)


def _user(fields: Fields) -> UserId | None:
    user_id: UserId | None = _ours(fields, "user", UserId)
    return user_id


def _ours(fields: Fields, name: str, kind: type[Any]) -> Any:
    """An id that we wrote into the metadata; None when there is none, or none of ours."""
    try:
        return kind.of(UUID(hex=(fields.get("metadata") or {}).get(name) or ""))
    except ValueError:
        return None
