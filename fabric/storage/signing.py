"""The disk store's signed URLs: what one grants, how it is written, how it is checked.

A signature is HMAC-SHA256 over method, key, range, length limit and expiry; nothing of it can be altered or left out.
"""

import base64
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

from fabric.core import clock
from fabric.core.errors import Forbidden


@dataclass(frozen=True, slots=True)
class Grant:
    """What a signed URL allows."""

    method: str  # GET (HEAD is allowed along) or PUT
    key: str
    expires_at: int  # epoch seconds
    byte_range: str = ""  # "first-last" or "first-"; empty: the whole object
    size_max: int | None = None  # PUT only
    exact: bool = False  # PUT only: the length must be size_max


class Signer:
    """Writes and checks grants with one secret key."""

    def __init__(self, signing_key: str) -> None:
        """Sign with `signing_key`."""
        self._key = signing_key.encode()

    def query(self, grant: Grant) -> str:
        """The grant as a query string."""
        fields = {"e": str(grant.expires_at)}
        if grant.byte_range:
            fields["r"] = grant.byte_range
        if grant.size_max is not None:
            fields["n"] = ("=" if grant.exact else "") + str(grant.size_max)
        return urlencode({**fields, "s": self._signature(grant.method, grant.key, fields)})

    def check(self, method: str, key: str, query: Mapping[str, str]) -> Grant:
        """The grant that a request carries.

        Raises:
            Forbidden: there is none, it is for something else, or it has expired.
        """
        fields = {name: value for name, value in query.items() if name != "s"}
        signed_method = "GET" if method == "HEAD" else method
        expected = self._signature(signed_method, key, fields)
        if not hmac.compare_digest(expected.encode(), query.get("s", "").encode()):
            raise Forbidden("this URL is not signed for that")
        expires_at = int(fields["e"])
        if clock.now().timestamp() >= expires_at:
            raise Forbidden("this URL has expired")
        limit = fields.get("n", "")
        return Grant(
            signed_method, key, expires_at, fields.get("r", ""),
            int(limit.lstrip("=")) if limit else None, limit.startswith("="),
        )  # fmt: skip

    def _signature(self, method: str, key: str, fields: Mapping[str, str]) -> str:
        signed = "\n".join([method, key, *(f"{name}={fields[name]}" for name in sorted(fields))])
        return base64.urlsafe_b64encode(hmac.digest(self._key, signed.encode(), hashlib.sha256)).rstrip(b"=").decode()
