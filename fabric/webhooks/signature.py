"""Signs what is sent, as Standard Webhooks has it: any library that knows that scheme verifies it."""

import base64
import hashlib
import hmac
import secrets

PREFIX = "whsec_"
SECRET_BYTES = 32


def mint_secret() -> str:
    """A fresh secret: `whsec_` and 32 random bytes in standard base 64."""
    return PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def headers(secret: str, message_id: str, at_s: int, body: bytes) -> dict[str, str]:
    """The headers that say which message this is, when it was sent (seconds since 1970), and that nobody changed it."""
    key = base64.b64decode(secret.removeprefix(PREFIX))
    signed = hmac.new(key, f"{message_id}.{at_s}.".encode() + body, hashlib.sha256).digest()
    return {
        "webhook-id": message_id, "webhook-timestamp": str(at_s),
        "webhook-signature": f"v1,{base64.b64encode(signed).decode()}", "content-type": "application/json",
    }  # fmt: skip
