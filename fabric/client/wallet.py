"""Balance, entries, top-ups, refunds, limits, payouts and statements."""

from decimal import Decimal
from typing import Any

from fabric.client.transport import Transport


class Wallet:
    """`client.wallet`."""

    def __init__(self, transport: Transport) -> None:
        """Speak through `transport`."""
        self._transport = transport

    def balance(self) -> dict[str, Any]:
        """Available, held and earned, each as {"usd_nanos", "usd"}."""
        return dict(self._transport.request("GET", "/api/v1/wallet"))

    def entries(self, *, limit: int = 100) -> list[dict[str, Any]]:
        """The ledger's lines on your wallet, newest first."""
        return list(self._transport.request("GET", "/api/v1/wallet/entries", params={"limit": limit})["data"])

    def top_up(self, usd: str | Decimal) -> dict[str, Any]:
        """Put money in. Without Stripe keys it is play money and the answer says `"livemode": false`."""
        return dict(self._transport.request("POST", "/api/v1/wallet/top-ups", json={"amount_usd": str(usd)}))

    def refund(self, usd: str | Decimal | None = None, *, reason: str = "") -> list[dict[str, Any]]:
        """Have unspent credit sent back; None: all that can go back. One refund for each payment it came from."""
        body = {"amount_usd": None if usd is None else str(usd), "reason": reason}
        return list(self._transport.request("POST", "/api/v1/wallet/refunds", json=body)["data"])

    def refunds(self, *, limit: int = 100) -> list[dict[str, Any]]:
        """Your refunds, newest first."""
        return list(self._transport.request("GET", "/api/v1/wallet/refunds", params={"limit": limit})["data"])

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

    def payouts(self, *, limit: int = 100) -> list[dict[str, Any]]:
        """Your payouts, newest first."""
        return list(self._transport.request("GET", "/api/v1/payouts", params={"limit": limit})["data"])

    def statement(self, month: str, *, format: str = "json") -> Any:
        """What your machines earned in a month such as "2026-07": a dict, or with format "csv" or "pdf" the file's bytes."""
        params = {"month": month, "format": format}
        response = self._transport.send("GET", "/api/v1/providers/statements", params=params)
        return response.json() if format == "json" else response.content
