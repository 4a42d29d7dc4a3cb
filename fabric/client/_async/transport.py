"""HTTP with retries, idempotency keys, pages and server-sent events."""

import asyncio
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from fabric.client.display import Rows
from fabric.client.errors import ApiError, NotConnected, WrongCertificate, api_error
from fabric.client.outages import OUTAGE_S_MAX, RETRY_STATUSES, Trouble, problem_of
from fabric.client.streams import Event, EventReader
from fabric.client.trust import Trust, is_about_certificates

PAGE_ROWS_MAX = 200
UPLOAD_TIMEOUT_S = 600.0
PIECE_BYTES = 1024 * 1024

OnCall = Callable[[httpx.Response], None]


class Transport:
    """One connection pool to one endpoint with one credential."""

    def __init__(
        self, url: str, api_key: str | None, *,
        timeout_s: float = 60.0, trust: Trust | None = None, on_call: OnCall | None = None,
    ) -> None:  # fmt: skip
        """Connect lazily to `url`; `on_call` sees every call when its answer begins, those to signed addresses too.

        Raises:
            PlaintextRefused: the credential would cross the network in clear.
        """
        self._trust = trust or Trust()
        if api_key:
            self._trust.check(url)
        headers = {"User-Agent": "fabric-client"}
        if api_key:
            headers["Authorization"] = f"Bearer {api_key}"
        self.url = url.rstrip("/")
        self._has_answered = False

        async def seen(response: httpx.Response) -> None:
            if on_call:
                on_call(response)

        self._hooks = {"response": [seen] if on_call else []}
        self._http = httpx.AsyncClient(
            base_url=self.url, headers=headers, timeout=httpx.Timeout(timeout_s, connect=5.0), trust_env=False,
            verify=self._trust.verification(), event_hooks=self._hooks,
        )  # fmt: skip

    async def request(self, method: str, path: str, **options: Any) -> Any:
        """Send a request, again after trouble that a retry can mend; gives the JSON answer (None when there is none).

        A POST carries an Idempotency-Key, so trying again does nothing twice.

        Raises:
            ApiError: the endpoint refused.
            NotConnected: it could not be reached.
        """
        response = await self.send(method, path, **options)
        return response.json() if response.content else None

    async def send(self, method: str, path: str, *, patience_s: float = 0.0, **options: Any) -> httpx.Response:
        """Like `request`, giving the whole response; trouble is put up with for at least `patience_s`.

        An endpoint that has answered before is only away for a while: it gets `OUTAGE_S_MAX`. A wrong address fails soon.
        """
        headers = dict(options.pop("headers", None) or {})
        if method == "POST":
            headers.setdefault("Idempotency-Key", uuid.uuid4().hex)
        trouble = Trouble(max(patience_s, OUTAGE_S_MAX if self._has_answered else 0.0))
        while True:
            try:
                response = await self._http.request(method, path, headers=headers, **options)
            except httpx.TransportError as error:
                await self._bear(trouble, error)
                continue
            if response.is_success or response.status_code == 304:
                self._has_answered = True
                return response
            refusal = api_error(response.status_code, problem_of(response))
            again = response.status_code in RETRY_STATUSES or refusal.code == "request_in_progress"
            if not again or not trouble.is_bearable():
                raise refusal
            await asyncio.sleep(trouble.pause_s(response.headers.get("Retry-After")))

    async def rows(self, path: str, *, limit: int | None = None, **filters: Any) -> Rows:
        """The rows of a list, over as many pages as that takes.

        Args:
            path: Of the list.
            limit: At most so many; None: all.
            filters: Query parameters; None is left out.
        """
        params = {name: value for name, value in filters.items() if value is not None}
        found = Rows()
        while limit is None or len(found) < limit:
            params["limit"] = PAGE_ROWS_MAX if limit is None else min(PAGE_ROWS_MAX, limit - len(found))
            page = await self.request("GET", path, params=params)
            found += page["data"]
            if not page.get("next_cursor"):
                break
            params["cursor"] = page["next_cursor"]
        return found

    def stream(self, path: str, **options: Any) -> AbstractAsyncContextManager[httpx.Response]:
        """A streamed GET, whatever its status; the caller reads it inside a `with` block and calls `checked` first."""
        return self._http.stream("GET", path, **options)

    @asynccontextmanager
    async def opened(self, path: str, **options: Any) -> AsyncIterator[httpx.Response]:
        """A streamed GET that has succeeded; until it has, trouble is put up with as by `send`.

        Raises:
            ApiError: the endpoint refused.
            NotConnected: it could not be reached.
        """
        trouble = Trouble(OUTAGE_S_MAX if self._has_answered else 0.0)
        while True:
            try:
                response = await self._http.send(self._http.build_request("GET", path, **options), stream=True)
            except httpx.TransportError as error:
                await self._bear(trouble, error)
                continue
            try:
                if response.status_code not in RETRY_STATUSES or not trouble.is_bearable():
                    yield await checked(response)
                    return
            finally:
                await response.aclose()
            await asyncio.sleep(trouble.pause_s(response.headers.get("Retry-After")))

    async def put_signed(self, url: str, headers: dict[str, str], content: bytes | Path) -> None:
        """Upload to a signed URL; our own credential stays here.

        Raises:
            ApiError: the upload was refused.
        """
        self._trust.check(url)  # a signature is a credential too
        verify = self._trust.verification(is_endpoint=url.startswith(f"{self.url}/"))
        body = content if isinstance(content, bytes) else pieces_of(content)
        async with httpx.AsyncClient(timeout=UPLOAD_TIMEOUT_S, trust_env=False, verify=verify, event_hooks=self._hooks) as http:
            response = await http.put(url, headers=headers, content=body)
        if not response.is_success:
            raise ApiError(f"the upload was refused: {response.text[:200]}", status=response.status_code, problem={})

    async def events(self, path: str, last_id: int = 0) -> AsyncGenerator[Event, None]:
        """Server-sent events as (id, type, data), resumed after a lost connection; ends when the stream does.

        Raises:
            ApiError: the endpoint refused.
            NotConnected: it could not be reached for two minutes.
        """
        trouble = Trouble(OUTAGE_S_MAX)
        while True:
            headers = {"Last-Event-ID": str(last_id), "Accept": "text/event-stream"}
            try:
                async with self.stream(path, headers=headers, timeout=httpx.Timeout(5.0, read=45.0)) as response:
                    if response.status_code in RETRY_STATUSES and trouble.is_bearable():
                        await asyncio.sleep(trouble.pause_s(response.headers.get("Retry-After")))
                        continue
                    await checked(response)
                    reader = EventReader()
                    async for line in response.aiter_lines():
                        if event := reader.feed(line):
                            trouble = Trouble(OUTAGE_S_MAX)
                            last_id = event[0]
                            yield event
                return
            except httpx.TransportError as error:
                await self._bear(trouble, error)

    async def _bear(self, trouble: Trouble, error: httpx.TransportError) -> None:
        if is_about_certificates(error):  # trying again shows the same one
            raise WrongCertificate(f"{self.url} could not prove who it is: {error}") from error
        if not trouble.is_bearable():
            raise NotConnected(f"{self.url} cannot be reached: {error}") from error
        await asyncio.sleep(trouble.pause_s())

    async def close(self) -> None:
        """Give the connections back."""
        await self._http.aclose()


async def checked(response: httpx.Response) -> httpx.Response:
    """The streamed response itself when it is a success.

    Raises:
        ApiError: it is none.
    """
    if not response.is_success:
        await response.aread()
        raise api_error(response.status_code, problem_of(response))
    return response


async def pieces_of(path: Path) -> AsyncIterator[bytes]:
    """A file's content, little by little."""
    with path.open("rb") as file:
        while piece := file.read(PIECE_BYTES):
            yield piece
