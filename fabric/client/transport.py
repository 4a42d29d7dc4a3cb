"""HTTP with retries, idempotency keys and server-sent events."""

import json
import random
import time
import uuid
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any

import httpx

from fabric.client.errors import ApiError, NotConnected, api_error

RETRIES_MAX = 4
BACKOFF_S = 0.25
RETRY_STATUSES = {429, 502, 503, 504}
WAIT_S_MAX = 60.0
ERROR_BYTES_MAX = 64 * 1024


class Transport:
    """One connection pool to one endpoint with one credential."""

    def __init__(self, url: str, api_key: str | None, *, timeout_s: float = 60.0) -> None:
        """Connect lazily to `url`."""
        headers = {"User-Agent": "fabric-client"}
        if api_key:
            headers["Authorization"] = f"Bearer {api_key}"
        self.url = url.rstrip("/")
        self._http = httpx.Client(
            base_url=self.url, headers=headers, timeout=httpx.Timeout(timeout_s, connect=5.0), trust_env=False
        )

    def request(self, method: str, path: str, **options: Any) -> Any:
        """Send a request, again after trouble that a retry can mend; gives the JSON answer (None when there is none).

        A POST carries an Idempotency-Key, so trying again does nothing twice.

        Raises:
            ApiError: the endpoint refused.
            NotConnected: it could not be reached.
        """
        response = self.send(method, path, **options)
        return response.json() if response.content else None

    def send(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Like `request`, giving the whole response."""
        headers = dict(options.pop("headers", None) or {})
        if method == "POST":
            headers.setdefault("Idempotency-Key", uuid.uuid4().hex)
        for attempt in range(RETRIES_MAX + 1):
            try:
                response = self._http.request(method, path, headers=headers, **options)
            except httpx.TransportError as error:
                if attempt == RETRIES_MAX:
                    raise NotConnected(f"{self.url} cannot be reached: {error}") from error
                self._pause(attempt, None)
                continue
            if response.is_success or response.status_code == 304:
                return response
            refusal = api_error(response.status_code, problem_of(response))
            again = response.status_code in RETRY_STATUSES or refusal.code == "request_in_progress"
            if attempt == RETRIES_MAX or not again:
                raise refusal
            self._pause(attempt, response.headers.get("Retry-After"))
        raise AssertionError("unreachable")

    def stream(self, path: str, **options: Any) -> AbstractContextManager[httpx.Response]:
        """A streamed GET; the caller reads it inside a `with` block and calls `checked` first."""
        return self._http.stream("GET", path, **options)

    def put_signed(self, url: str, headers: dict[str, str], content: Any) -> None:
        """Upload to a signed URL; our own credential stays here."""
        response = httpx.put(url, headers=headers, content=content, timeout=600.0, trust_env=False)
        if not response.is_success:
            raise ApiError(f"the upload was refused: {response.text[:200]}", status=response.status_code, problem={})

    def events(self, path: str, last_id: int = 0) -> Iterator[tuple[int, str, dict[str, Any]]]:
        """Server-sent events as (id, type, data), resumed after a lost connection; ends when the stream does."""
        failures = 0
        while True:
            try:
                headers = {"Last-Event-ID": str(last_id), "Accept": "text/event-stream"}
                with self.stream(path, headers=headers, timeout=httpx.Timeout(5.0, read=45.0)) as response:
                    checked(response)
                    for event in parse_events(response.iter_lines()):
                        failures, last_id = 0, event[0]
                        yield event
                return
            except httpx.TransportError as error:
                failures += 1
                if failures > RETRIES_MAX:
                    raise NotConnected(f"{self.url} cannot be reached: {error}") from error
                self._pause(failures, None)

    def close(self) -> None:
        """Give the connections back."""
        self._http.close()

    @staticmethod
    def _pause(attempt: int, retry_after: str | None) -> None:
        wanted = float(retry_after) if retry_after and retry_after.isdigit() else 0.0
        time.sleep(min(WAIT_S_MAX, max(wanted, random.uniform(0.5, 1.0) * BACKOFF_S * 2**attempt)))


def checked(response: httpx.Response) -> httpx.Response:
    """The streamed response itself when it is a success.

    Raises:
        ApiError: it is none.
    """
    if not response.is_success:
        response.read()
        raise api_error(response.status_code, problem_of(response))
    return response


def problem_of(response: httpx.Response) -> dict[str, Any]:
    """The problem document of an error answer; one made up when a proxy answered in its stead."""
    try:
        problem = response.json()
    except ValueError:
        problem = None
    if isinstance(problem, dict):
        return problem
    return {"detail": f"HTTP {response.status_code} {response.text[:200]}".strip()}


def parse_events(lines: Iterator[str]) -> Iterator[tuple[int, str, dict[str, Any]]]:
    """Lines of a text/event-stream to (id, type, data); comments are skipped."""
    event_id, kind, data = 0, "message", ""
    for line in lines:
        if not line:
            if data:
                yield event_id, kind, json.loads(data)
            kind, data = "message", ""
        elif not line.startswith(":"):
            field, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if field == "id":
                event_id = int(value)
            elif field == "event":
                kind = value
            elif field == "data":
                data += value
