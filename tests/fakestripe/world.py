"""What fakestripe remembers: objects of each account, balances made of balance transactions, events that happened, and a clock."""

import copy
import time
from collections import Counter
from datetime import UTC, datetime
from typing import Any

from tests.fakestripe.refusals import missing, short_balance

PLATFORM = ""
API_VERSION = "2026-10-28.endive"
CATEGORIES = {
    "charge": "charge", "payment": "charge", "refund": "refund", "refund_failure": "refund_failure", "transfer": "transfer",
    "transfer_refund": "transfer_reversal", "payout": "payout", "payout_failure": "payout_reversal", "payment_refund": "refund",
    "stripe_fee": "fee", "topup": "topup",
}  # fmt: skip


class World:
    """The state. `act` functions of the other modules change it; nothing here speaks HTTP."""

    def __init__(self, account_id: str = "acct_platform") -> None:
        self.account_id = account_id
        self.objects: dict[str, dict[str, dict[str, Any]]] = {PLATFORM: {}}
        self.events: list[dict[str, Any]] = []
        self.offset_s = 0
        self.calls: list[tuple[str, str, dict[str, Any]]] = []
        self.methods: dict[str, str] = {}  # saved payment methods: ok, declined or authentication
        self.late_fees = False  # charges get their balance transaction later
        self.refunds_take_time = False
        self._counts: Counter[str] = Counter()

    def now(self) -> int:
        """Seconds; tests move it with `offset_s`."""
        return int(time.time()) + self.offset_s

    def new_id(self, prefix: str) -> str:
        """Ids that can be read in a failing test."""
        self._counts[prefix] += 1
        return f"{prefix}_test_{self._counts[prefix]:06d}"

    def make(self, kind: str, prefix: str, account: str = PLATFORM, **fields: Any) -> dict[str, Any]:
        """A new object of an account."""
        made = {"id": self.new_id(prefix), "object": kind, "created": self.now(), "livemode": False} | fields
        self.objects.setdefault(account, {})[made["id"]] = made
        return made

    def get(self, kind: str, id: str, account: str = PLATFORM) -> dict[str, Any]:
        """One object of an account; the object itself, so that changes stay."""
        found = self.objects.get(account, {}).get(id)
        if found is None or found["object"] != kind:
            raise missing(kind, id)
        return found

    def all(self, kind: str, account: str = PLATFORM) -> list[dict[str, Any]]:
        """The objects of a kind, newest first."""
        return [o for o in reversed(self.objects.get(account, {}).values()) if o["object"] == kind]

    def book(
        self, kind: str, amount: int, source: str, account: str = PLATFORM, *, fee: int = 0, category: str | None = None
    ) -> dict[str, Any]:
        """A balance transaction: the only thing that changes a balance."""
        return self.make(
            "balance_transaction", "txn", account, amount=amount, fee=fee, net=amount - fee, currency="usd", type=kind, source=source,
            reporting_category=category or CATEGORIES[kind], status="available", available_on=self.now(),
            fee_details=[{"amount": fee, "currency": "usd", "type": "stripe_fee", "description": "processing"}] if fee else [],
        )  # fmt: skip

    def balance(self, account: str = PLATFORM) -> int:
        """Cents."""
        return sum(txn["net"] for txn in self.all("balance_transaction", account))

    def need(self, amount: int, account: str = PLATFORM, message: str | None = None) -> None:
        """Refuse what the balance does not cover."""
        if self.balance(account) < amount:
            raise short_balance(message) if message else short_balance()

    def happened(self, type: str, about: dict[str, Any], account: str = PLATFORM) -> None:
        """A v1 event with a snapshot of its object."""
        event = self.make(
            "event", "evt", account, type=type, data={"object": copy.deepcopy(about)}, api_version=API_VERSION, pending_webhooks=1,
            request={"id": None, "idempotency_key": None},
        )  # fmt: skip
        if account != PLATFORM:
            event["account"] = account
        self.events.append(event)

    def told_thinly(self, type: str, about: str, kind: str, url: str) -> None:
        """A v2 event: it names its object and says nothing of it."""
        event = self.make(
            "v2.core.event",
            "evt_thin",
            type=type,
            related_object={"id": about, "type": kind, "url": url},
            context=None,
            reason=None,
        )
        event["created"] = instant(self.now())
        self.events.append(event)

    def shown(self, thing: dict[str, Any], paths: list[str], account: str = PLATFORM) -> dict[str, Any]:
        """A copy with some ids replaced by their objects (`expand`)."""
        copied = copy.deepcopy(thing)
        for path in paths:
            self._expand(copied, path.split("."), account)
        return copied

    def _expand(self, place: Any, parts: list[str], account: str) -> None:
        if not parts or place is None:
            return
        if isinstance(place, list):
            for item in place:
                self._expand(item, parts, account)
            return
        name, rest = parts[0], parts[1:]
        if isinstance(place.get(name), str):
            found = self.objects.get(account, {}).get(place[name])
            place[name] = copy.deepcopy(found) if found is not None else place[name]
        if isinstance(place.get(name), (dict, list)):
            self._expand(place[name], rest, account)


def instant(seconds: int) -> str:
    """As v2 writes moments."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
