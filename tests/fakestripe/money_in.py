"""Customers, Checkout Sessions and the page behind them, payment intents, charges, refunds, disputes."""

from typing import Any

from tests.fakestripe.refusals import Refused, declined
from tests.fakestripe.world import World

CHARGE_CENTS_MIN = 50
CHARGE_CENTS_MAX = 99_999_999
FEE_PARTS_PER_MILLION, FEE_CENTS = 29_000, 30
DISPUTE_FEE_CENTS = 1500
SESSION_LIFE_S = 24 * 3600


def fee_of(cents: int) -> int:
    """2.9 % and 30 cents."""
    return cents * FEE_PARTS_PER_MILLION // 1_000_000 + FEE_CENTS


# ── what the API does ────────────────────────────────────────────────────────────────────────────────────────────────────


def create_customer(world: World, given: dict[str, Any], account: str) -> dict[str, Any]:
    """A customer."""
    return world.make("customer", "cus", email=given.get("email"), name=given.get("name"), metadata=given.get("metadata", {}))


def create_session(world: World, given: dict[str, Any], account: str) -> dict[str, Any]:
    """A Checkout Session; its payment intent comes into being when somebody pays."""
    if given.get("mode") != "payment" or not given.get("line_items") or not given.get("success_url"):
        raise Refused(400, "invalid_request_error", "A session needs mode=payment, line_items and success_url.")
    total = sum(line["price_data"]["unit_amount"] * line.get("quantity", 1) for line in given["line_items"])
    _check_amount(total, {line["price_data"]["currency"] for line in given["line_items"]})
    if "customer" in given:
        world.get("customer", given["customer"])
        if "customer_email" in given or "customer_creation" in given:
            raise Refused(400, "invalid_request_error", "You may only specify one of these parameters: customer, customer_email.")
    session = world.make(
        "checkout.session", "cs", amount_total=total, currency="usd", mode="payment", status="open", payment_status="unpaid",
        payment_intent=None, customer=given.get("customer"), client_reference_id=given.get("client_reference_id"),
        metadata=given.get("metadata", {}), success_url=given["success_url"], cancel_url=given.get("cancel_url"),
        expires_at=given.get("expires_at") or world.now() + SESSION_LIFE_S, payment_intent_data=given.get("payment_intent_data", {}),
    )  # fmt: skip
    session["url"] = f"https://checkout.fakestripe.test/c/pay/{session['id']}"
    return session


def create_intent(world: World, given: dict[str, Any], account: str) -> dict[str, Any]:
    """A payment intent; confirmed at once when asked, as for a saved payment method."""
    _check_amount(given["amount"], {given["currency"]})
    if "customer" in given:
        world.get("customer", given["customer"])
    intent = _intent(world, given["amount"], given.get("customer"), given.get("metadata", {}), given.get("payment_method"))
    if given.get("confirm"):
        _confirm(world, intent, off_session=bool(given.get("off_session")))
    return intent


def create_refund(world: World, given: dict[str, Any], account: str) -> dict[str, Any]:
    """Send money back to where it came from."""
    charge = _charge_of(world, given)
    amount = given.get("amount", charge["amount"] - charge["amount_refunded"])
    if charge["disputed"]:
        raise Refused(400, "invalid_request_error", "This charge has been charged back.", code="charge_disputed")
    if not 0 < amount <= charge["amount"] - charge["amount_refunded"]:
        raise Refused(
            400,
            "invalid_request_error",
            "Refund amount is greater than unrefunded amount on charge.",
            code="charge_already_refunded",
        )
    refund = world.make(
        "refund", "re", amount=amount, currency="usd", charge=charge["id"], payment_intent=charge["payment_intent"],
        metadata=given.get("metadata", {}), status="pending" if world.refunds_take_time else "succeeded", reason=given.get("reason"),
    )  # fmt: skip
    charge["amount_refunded"] += amount
    refund["balance_transaction"] = world.book("refund", -amount, refund["id"])["id"]
    world.happened("refund.created", refund)
    world.happened("charge.refunded", charge)
    return refund


# ── what people do on the page, and what banks do later ──────────────────────────────────────────────────────────────────


def pay(world: World, session_id: str) -> dict[str, Any]:
    """Somebody pays with a card, or passes 3-D Secure."""
    session, intent = _begin(world, session_id)
    _succeed(world, intent)
    session.update(status="complete", payment_status="paid")
    world.happened("checkout.session.completed", session)
    return session


def ask_for_authentication(world: World, session_id: str) -> dict[str, Any]:
    """The card's bank wants 3-D Secure: nothing is paid until it is passed (`pay`)."""
    session, intent = _begin(world, session_id)
    intent["status"] = "requires_action"
    world.happened("payment_intent.requires_action", intent)
    return session


def decline(world: World, session_id: str) -> dict[str, Any]:
    """The card is refused; the page stays open for another."""
    session, intent = _begin(world, session_id)
    intent.update(
        status="requires_payment_method", last_payment_error={"code": "card_declined", "message": "Your card was declined."}
    )
    world.happened("payment_intent.payment_failed", intent)
    return session


def pay_later(world: World, session_id: str) -> dict[str, Any]:
    """Somebody pays by a bank debit: the session is complete, the money is not there."""
    session, intent = _begin(world, session_id)
    intent["status"] = "processing"
    session.update(status="complete", payment_status="unpaid")
    world.happened("checkout.session.completed", session)
    return session


def arrive(world: World, session_id: str, *, ok: bool = True) -> dict[str, Any]:
    """A bank debit arrives, or does not."""
    session = world.get("checkout.session", session_id)
    intent = world.get("payment_intent", session["payment_intent"])
    if ok:
        _succeed(world, intent)
        session["payment_status"] = "paid"
        world.happened("checkout.session.async_payment_succeeded", session)
    else:
        intent.update(
            status="requires_payment_method", last_payment_error={"code": "debit_failed", "message": "The debit failed."}
        )
        world.happened("payment_intent.payment_failed", intent)
        world.happened("checkout.session.async_payment_failed", session)
    return session


def expire(world: World, session_id: str) -> dict[str, Any]:
    """Nobody paid."""
    session = world.get("checkout.session", session_id)
    if session["status"] != "open":
        raise Refused(400, "invalid_request_error", 'Only Checkout Sessions with a status in ["open"] can be expired.')
    session["status"] = "expired"
    world.happened("checkout.session.expired", session)
    return session


def settle_fees(world: World) -> None:
    """The balance transactions of charges that had none yet."""
    for charge in world.all("charge"):
        if charge["balance_transaction"] is None:
            charge["balance_transaction"] = world.book("charge", charge["amount"], charge["id"], fee=fee_of(charge["amount"]))[
                "id"
            ]
            world.happened("charge.updated", charge)


def refund_arrives(world: World, refund_id: str, *, ok: bool = True) -> dict[str, Any]:
    """A refund arrives, or comes back, also after it was said to have succeeded."""
    refund = world.get("refund", refund_id)
    if ok:
        refund["status"] = "succeeded"
        world.happened("refund.updated", refund)
        return refund
    refund.update(status="failed", failure_reason="expired_or_canceled_card")
    charge = world.get("charge", refund["charge"])
    charge["amount_refunded"] -= refund["amount"]
    refund["failure_balance_transaction"] = world.book("refund_failure", refund["amount"], refund["id"])["id"]
    world.happened("refund.failed", refund)
    return refund


def dispute(world: World, intent_id: str, *, amount: int | None = None, inquiry: bool = False) -> dict[str, Any]:
    """Somebody's bank wants a payment back; an inquiry moves no money yet."""
    charge = _charge_of(world, {"payment_intent": intent_id})
    opened = world.make(
        "dispute", "dp", amount=amount or charge["amount"], currency="usd", charge=charge["id"], payment_intent=intent_id,
        reason="fraudulent", status="warning_needs_response" if inquiry else "needs_response", balance_transactions=[], metadata={},
    )  # fmt: skip
    charge["disputed"] = True
    world.happened("charge.dispute.created", opened)
    if not inquiry:
        withdrawn = world.book(
            "adjustment", -opened["amount"], opened["id"], fee=DISPUTE_FEE_CENTS, category="dispute"
        )  # fmt: skip
        opened["balance_transactions"].append(withdrawn)
        world.happened("charge.dispute.funds_withdrawn", opened)
    return opened


def close_dispute(world: World, dispute_id: str, *, won: bool, fee_back: int = 0) -> dict[str, Any]:
    """The bank decides."""
    closed = world.get("dispute", dispute_id)
    closed["status"] = "won" if won else "lost"
    if won:
        back = world.book("adjustment", closed["amount"], dispute_id, fee=-fee_back, category="dispute_reversal")
        closed["balance_transactions"].append(back)
        world.get("charge", closed["charge"])["disputed"] = False
        world.happened("charge.dispute.funds_reinstated", closed)
    world.happened("charge.dispute.closed", closed)
    return closed


# ── parts ────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _check_amount(cents: int, currencies: set[str]) -> None:
    if currencies != {"usd"}:
        raise Refused(400, "invalid_request_error", f"Invalid currency: {', '.join(sorted(currencies))}", param="currency")
    if cents < CHARGE_CENTS_MIN:
        raise Refused(400, "invalid_request_error", "Amount must convert to at least 50 cents.", code="amount_too_small")
    if cents > CHARGE_CENTS_MAX:
        raise Refused(400, "invalid_request_error", "Amount must be no more than $999,999.99", code="amount_too_large")


def _intent(world: World, cents: int, customer: str | None, metadata: dict[str, str], method: str | None) -> dict[str, Any]:
    return world.make(
        "payment_intent", "pi", amount=cents, currency="usd", customer=customer, metadata=metadata, payment_method=method,
        status="requires_confirmation" if method else "requires_payment_method", latest_charge=None, last_payment_error=None,
        setup_future_usage=None,
    )  # fmt: skip


def _begin(world: World, session_id: str) -> tuple[dict[str, Any], dict[str, Any]]:
    session = world.get("checkout.session", session_id)
    if session["status"] != "open":
        raise Refused(400, "invalid_request_error", "This session is not open.")
    if session["payment_intent"] is None:
        asked = session["payment_intent_data"]
        intent = _intent(world, session["amount_total"], session["customer"], asked.get("metadata", {}), world.new_id("pm"))
        intent["setup_future_usage"] = asked.get("setup_future_usage")
        world.methods.setdefault(intent["payment_method"], "ok")
        session["payment_intent"] = intent["id"]
    return session, world.get("payment_intent", session["payment_intent"])


def _confirm(world: World, intent: dict[str, Any], *, off_session: bool) -> None:
    behaviour = world.methods.get(intent["payment_method"] or "", "unknown")
    if behaviour == "ok":
        _succeed(world, intent)
        return
    if behaviour == "unknown":
        raise Refused(
            400, "invalid_request_error", f"No such PaymentMethod: '{intent['payment_method']}'", code="resource_missing"
        )
    code = "authentication_required" if behaviour == "authentication" else "card_declined"
    assert off_session, "fakestripe confirms intents off session only"
    intent.update(status="requires_payment_method", last_payment_error={"code": code, "message": "Your card was declined."})
    world.happened("payment_intent.payment_failed", intent)
    raise declined(code, "Your card was declined.", dict(intent))


def _succeed(world: World, intent: dict[str, Any]) -> None:
    charge = world.make(
        "charge", "ch", amount=intent["amount"], currency="usd", payment_intent=intent["id"], customer=intent["customer"],
        amount_refunded=0, disputed=False, paid=True, status="succeeded", metadata=intent["metadata"], balance_transaction=None,
    )  # fmt: skip
    intent.update(status="succeeded", latest_charge=charge["id"])
    if not world.late_fees:
        charge["balance_transaction"] = world.book("charge", charge["amount"], charge["id"], fee=fee_of(charge["amount"]))["id"]
    world.happened("charge.succeeded", charge)
    world.happened("payment_intent.succeeded", intent)


def _charge_of(world: World, given: dict[str, Any]) -> dict[str, Any]:
    if "charge" in given:
        return world.get("charge", given["charge"])
    intent = world.get("payment_intent", given.get("payment_intent", ""))
    if intent["latest_charge"] is None:
        raise Refused(400, "invalid_request_error", "This PaymentIntent does not have a successful charge to refund.")
    return world.get("charge", intent["latest_charge"])
