"""The routes: for each the SDK's typed parameters and what it does."""

import importlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.fakestripe import money_in, money_out
from tests.fakestripe.world import PLATFORM, World

Act = Callable[..., dict[str, Any]]


@dataclass(frozen=True)
class Route:
    """One operation. `typed` is `module:class` below stripe.params."""

    method: str
    path: re.Pattern[str]
    typed: str
    act: Act

    @property
    def parameters(self) -> type:
        """The SDK's typed parameters."""
        module, name = self.typed.split(":")
        return getattr(importlib.import_module(f"stripe.params.{module}"), name)


def retrieve(kind: str) -> Act:
    """One object by its id."""

    def act(world: World, given: dict[str, Any], account: str, id: str) -> dict[str, Any]:
        return world.get(kind, id, account)

    return act


def listing(kind: str, *equal: str) -> Act:
    """The objects of a kind, newest first, in pages, with filters for equal fields and the time of creation."""

    def act(world: World, given: dict[str, Any], account: str, parent: str | None = None) -> dict[str, Any]:
        found = [o for o in world.all(kind, account) if all(o.get(f) == given[f] for f in equal if f in given)]
        if parent is not None:
            found = [o for o in found if o.get("transfer") == parent]
        if isinstance(created := given.get("created"), dict):
            found = [o for o in found if created.get("gte", 0) <= o["created"] < created.get("lt", 1 << 60)]
        if (types := given.get("types")) is not None:
            found = [o for o in found if o["type"] in types]
        if (after := given.get("starting_after")) is not None:
            found = found[[o["id"] for o in found].index(after) + 1 :]
        limit = given.get("limit", 10)
        return {"object": "list", "data": found[:limit], "has_more": len(found) > limit, "url": ""}

    return act


def balance(world: World, given: dict[str, Any], account: str) -> dict[str, Any]:
    """The sum of an account's balance transactions."""
    nothing = {"amount": 0, "currency": "usd", "source_types": {}}
    return {
        "object": "balance",
        "livemode": False,
        "available": [nothing | {"amount": world.balance(account)}],
        "pending": [nothing],
    }


def retrieve_account(world: World, given: dict[str, Any], account: str, id: str) -> dict[str, Any]:
    """A connected account, with what was asked to be included."""
    return money_out.shown_account(world.get("v2.core.account", id), given.get("include", []))


def create_account(world: World, given: dict[str, Any], account: str) -> dict[str, Any]:
    """The same for a new one."""
    return money_out.shown_account(money_out.create_account(world, given, account), given.get("include", []))


def list_accounts(world: World, given: dict[str, Any], account: str) -> dict[str, Any]:
    """Connected accounts, one page."""
    found = [money_out.shown_account(a, []) for a in world.all("v2.core.account", PLATFORM)]
    return {"data": found[: given.get("limit", 10)], "next_page_url": None, "previous_page_url": None}


def set_schedule(world: World, given: dict[str, Any], account: str) -> dict[str, Any]:
    """When an account pays out by itself."""
    found = world.get("v2.core.account", account)
    found["schedule"] = given["payments"]["payouts"]["schedule"]["interval"]
    return {"object": "balance_settings", "payments": given["payments"]}


ID = r"([A-Za-z0-9_]+)"
ROUTES = tuple(
    Route(method, re.compile(path.replace("{id}", ID) + r"\Z"), typed, act)
    for method, path, typed, act in [
        ("POST", "/v1/customers", "_customer_create_params:CustomerCreateParams", money_in.create_customer),
        ("GET", "/v1/customers", "_customer_list_params:CustomerListParams", listing("customer", "email")),
        ("POST", "/v1/checkout/sessions", "checkout._session_create_params:SessionCreateParams", money_in.create_session),
        ("GET", "/v1/checkout/sessions/{id}", "checkout._session_retrieve_params:SessionRetrieveParams", retrieve("checkout.session")),
        ("GET", "/v1/checkout/sessions", "checkout._session_list_params:SessionListParams",
         listing("checkout.session", "payment_intent", "customer", "status")),
        ("POST", "/v1/payment_intents", "_payment_intent_create_params:PaymentIntentCreateParams", money_in.create_intent),
        ("GET", "/v1/payment_intents/{id}", "_payment_intent_retrieve_params:PaymentIntentRetrieveParams", retrieve("payment_intent")),
        ("GET", "/v1/payment_intents", "_payment_intent_list_params:PaymentIntentListParams", listing("payment_intent", "customer")),
        ("POST", "/v1/refunds", "_refund_create_params:RefundCreateParams", money_in.create_refund),
        ("GET", "/v1/refunds/{id}", "_refund_retrieve_params:RefundRetrieveParams", retrieve("refund")),
        ("GET", "/v1/refunds", "_refund_list_params:RefundListParams", listing("refund", "payment_intent", "charge")),
        ("GET", "/v1/charges/{id}", "_charge_retrieve_params:ChargeRetrieveParams", retrieve("charge")),
        ("GET", "/v1/disputes/{id}", "_dispute_retrieve_params:DisputeRetrieveParams", retrieve("dispute")),
        ("GET", "/v1/balance_transactions", "_balance_transaction_list_params:BalanceTransactionListParams",
         listing("balance_transaction", "type", "source")),
        ("GET", "/v1/balance", "_balance_retrieve_params:BalanceRetrieveParams", balance),
        ("POST", "/v1/transfers", "_transfer_create_params:TransferCreateParams", money_out.create_transfer),
        ("GET", "/v1/transfers/{id}", "_transfer_retrieve_params:TransferRetrieveParams", retrieve("transfer")),
        ("GET", "/v1/transfers", "_transfer_list_params:TransferListParams", listing("transfer", "transfer_group", "destination")),
        ("POST", "/v1/transfers/{id}/reversals", "_transfer_reversal_create_params:TransferReversalCreateParams",
         money_out.reverse_transfer),
        ("GET", "/v1/transfers/{id}/reversals", "_transfer_reversal_list_params:TransferReversalListParams", listing("transfer_reversal")),
        ("POST", "/v1/payouts", "_payout_create_params:PayoutCreateParams", money_out.create_payout),
        ("GET", "/v1/payouts/{id}", "_payout_retrieve_params:PayoutRetrieveParams", retrieve("payout")),
        ("GET", "/v1/payouts", "_payout_list_params:PayoutListParams", listing("payout", "status")),
        ("GET", "/v1/events", "_event_list_params:EventListParams", listing("event", "type")),
        ("GET", "/v1/events/{id}", "_event_retrieve_params:EventRetrieveParams", retrieve("event")),
        ("POST", "/v1/balance_settings", "_balance_settings_update_params:BalanceSettingsUpdateParams", set_schedule),
        ("POST", "/v2/core/accounts", "v2.core._account_create_params:AccountCreateParams", create_account),
        ("GET", "/v2/core/accounts/{id}", "v2.core._account_retrieve_params:AccountRetrieveParams", retrieve_account),
        ("GET", "/v2/core/accounts", "v2.core._account_list_params:AccountListParams", list_accounts),
        ("POST", "/v2/core/account_links", "v2.core._account_link_create_params:AccountLinkCreateParams",
         money_out.create_account_link),
    ]
)  # fmt: skip
