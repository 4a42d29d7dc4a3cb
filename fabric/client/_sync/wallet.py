# Made of fabric/client/_async/wallet.py by `make docs`; edit that one.
"""Balance, entries, top-ups, refunds, limits, payouts and statements."""

from decimal import Decimal
from typing import Any

from fabric.client._sync.transport import Transport
from fabric.client.display import Rows, Shown, WalletFacts


class Wallet:
    """`client.wallet`."""

    def __init__(self, transport: Transport) -> None:
        """Speak through `transport`."""
        self._transport = transport

    def balance(self) -> WalletFacts:
        """Available, held and earned, each as {"usd_nanos", "usd"}."""
        return WalletFacts(self._transport.request("GET", "/api/v1/wallet"))

    def entries(self, *, limit: int = 100) -> Rows:
        """The ledger's lines on your wallet, newest first."""
        return self._transport.rows("/api/v1/wallet/entries", limit=limit)

    def top_up(self, usd: str | Decimal, *, save_method: bool = False) -> dict[str, Any]:
        """Put money in. Without Stripe keys it is play money and the answer says `"livemode": false`.

        Args:
            usd: How much.
            save_method: Let the payment method be charged again by automatic top-ups.
        """
        body = {"amount_usd": str(usd)} | ({"save_method": True} if save_method else {})
        return dict(self._transport.request("POST", "/api/v1/wallet/top-ups", json=body))

    def top_up_state(self, payment_id: str) -> Shown:
        """Whether the money of a top-up has come in: `status` is pending, credited or failed."""
        return Shown(self._transport.request("GET", f"/api/v1/wallet/top-ups/{payment_id}"))

    def auto_top_up(self) -> Shown:
        """Whether money comes in by itself, when, and how much."""
        return Shown(self._transport.request("GET", "/api/v1/wallet/auto-top-up"))

    def set_auto_top_up(
        self,
        enabled: bool,
        *,
        threshold_usd: str | Decimal = "0",
        amount_usd: str | Decimal = "0",
        day_max_usd: str | Decimal = "0",
    ) -> Shown:
        """Top up by `amount_usd` whenever less than `threshold_usd` is available, and by no more than `day_max_usd` a day."""
        body = {
            "enabled": enabled, "threshold_usd": str(threshold_usd), "amount_usd": str(amount_usd), "day_max_usd": str(day_max_usd),
        }  # fmt: skip
        return Shown(self._transport.request("PUT", "/api/v1/wallet/auto-top-up", json=body))

    def give_credit(self, user_id: str, usd: str | Decimal, reason: str) -> Shown:
        """Promotional credit for somebody; for operators."""
        body = {"user_id": user_id, "amount_usd": str(usd), "reason": reason}
        return Shown(self._transport.request("POST", "/api/v1/wallet/promotions", json=body))

    def refund(self, usd: str | Decimal | None = None, *, reason: str = "") -> Rows:
        """Have unspent credit sent back; None: all that can go back. One refund for each payment it came from."""
        body = {"amount_usd": None if usd is None else str(usd), "reason": reason}
        return Rows((self._transport.request("POST", "/api/v1/wallet/refunds", json=body))["data"])

    def refunds(self, *, limit: int = 100) -> Rows:
        """Your refunds, newest first."""
        return self._transport.rows("/api/v1/wallet/refunds", limit=limit)

    def limits(self) -> dict[str, Any]:
        """Your own spending limits for a day and for a job; None where there is none."""
        return dict(self._transport.request("GET", "/api/v1/wallet/limits"))

    def set_limits(self, **usd: str | Decimal | None) -> dict[str, Any]:
        """Set `day_usd` or `job_usd`; None takes a limit away, and what is left out stays."""
        body = {name: None if amount is None else str(amount) for name, amount in usd.items()}
        return dict(self._transport.request("PATCH", "/api/v1/wallet/limits", json=body))

    def payout_account(self) -> dict[str, Any]:
        """Where earnings go, what is still missing, and how much there is."""
        return dict(self._transport.request("GET", "/api/v1/payouts/account"))

    def onboarding_url(self, return_url: str) -> str:
        """Where you complete your payout account; good for some minutes."""
        answer = self._transport.request("POST", "/api/v1/payouts/account/onboarding", json={"return_url": return_url})
        return str(answer["url"])

    def pay_weekly(self, weekly: bool = True) -> dict[str, Any]:
        """Be paid every week as soon as there is enough, or on request only."""
        body = {"schedule": "weekly" if weekly else "manual"}
        return dict(self._transport.request("PATCH", "/api/v1/payouts/account", json=body))

    def payout(self, usd: str | Decimal | None = None) -> dict[str, Any]:
        """Have matured earnings paid out; None: everything."""
        body = {"amount_usd": None if usd is None else str(usd)}
        return dict(self._transport.request("POST", "/api/v1/payouts", json=body))

    def payouts(self, *, limit: int = 100) -> Rows:
        """Your payouts, newest first."""
        return self._transport.rows("/api/v1/payouts", limit=limit)

    def get_payout(self, payout_id: str) -> Shown:
        """One payout: how far it is, and why it failed."""
        return Shown(self._transport.request("GET", f"/api/v1/payouts/{payout_id}"))

    def statement(self, month: str, *, format: str = "json") -> Any:
        """What your machines earned in a month such as "2026-07": a dict, or with format "csv" or "pdf" the file's bytes."""
        params = {"month": month, "format": format}
        response = self._transport.send("GET", "/api/v1/providers/statements", params=params)
        return response.json() if format == "json" else response.content
