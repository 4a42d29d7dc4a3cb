"""Errors as Stripe answers them."""

from typing import Any


class Refused(Exception):
    """An error answer: status, type, message and more fields of the error object."""

    def __init__(self, status: int, kind: str, message: str, **more: Any) -> None:
        super().__init__(message)
        self.status = status
        self.error = {"type": kind, "message": message} | more


def missing(what: str, id: str) -> Refused:
    """Nothing of that id."""
    return Refused(404, "invalid_request_error", f"No such {what}: '{id}'", code="resource_missing", param="id")


def short_balance(message: str = "You have insufficient funds in your Stripe account.") -> Refused:
    """The balance does not cover it."""
    return Refused(400, "invalid_request_error", message, code="balance_insufficient")


def declined(code: str, message: str, intent: dict[str, Any]) -> Refused:
    """A card that will not pay."""
    return Refused(402, "card_error", message, code=code, decline_code=code, payment_intent=intent)
