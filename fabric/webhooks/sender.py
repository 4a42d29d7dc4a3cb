"""Sends one webhook: to the one address that was checked, following nothing, for so long and no longer, reading no answer's body."""

import asyncio
import functools
import ssl
from dataclasses import dataclass
from typing import Self

import httpx

from fabric.core import clock
from fabric.core.settings import WebhookSettings
from fabric.webhooks import signature
from fabric.webhooks.target import TargetRefused, address_of

USER_AGENT = "Fabric-Webhooks/1"
GONE = 410


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one try."""

    response_status: int | None = None
    failure: str | None = None
    """None: it was taken."""

    @property
    def is_gone(self) -> bool:
        """Whether the receiver wants nothing any more."""
        return self.response_status == GONE


class Sender:
    """Sends webhooks for one turn."""

    def __init__(self, settings: WebhookSettings, trust: ssl.SSLContext | None = None) -> None:
        """Nothing is connected yet. `trust` says which certificates are believed; None: those of the usual authorities."""
        self._settings = settings
        # No connection is kept: it was made for one name, and another name may have the same address.
        limits = httpx.Limits(max_keepalive_connections=0)
        self._http = httpx.AsyncClient(
            verify=trust or _usual_trust(), timeout=settings.timeout_s, follow_redirects=False, trust_env=False, limits=limits
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()

    async def send(self, url: str, secret: str, message_id: str, body: str) -> Outcome:
        """One try; never raises for what a receiver, a name or a network does."""
        try:
            async with asyncio.timeout(self._settings.timeout_s):
                status = await self._post(httpx.URL(url), secret, message_id, body.encode())
        except TargetRefused as error:
            return Outcome(failure=f"Not sent: {error}.")
        except TimeoutError:
            return Outcome(failure=f"No answer within {self._settings.timeout_s:g} s.")
        except OSError as error:
            return Outcome(failure=f"The name has no address: {error.strerror or type(error).__name__}.")
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            return Outcome(failure=f"{type(error).__name__}: {error}")
        if 200 <= status < 300:
            return Outcome(status)
        return Outcome(status, f"It answered {status}.")

    async def _post(self, url: httpx.URL, secret: str, message_id: str, body: bytes) -> int:
        address = await address_of(url, self._settings)
        signed = signature.headers(secret, message_id, int(clock.now().timestamp()), body)
        request = self._http.build_request(
            "POST", url.copy_with(host=address), content=body,
            headers={**signed, "host": url.netloc.decode("ascii"), "user-agent": USER_AGENT},
            extensions={"sni_hostname": url.raw_host.decode("ascii")},
        )  # fmt: skip
        answer = await self._http.send(request, stream=True)
        await answer.aclose()
        return answer.status_code


@functools.cache
def _usual_trust() -> ssl.SSLContext:
    return httpx.create_ssl_context()
