"""HTTP with retries, idempotency keys and server-sent events."""

import json
import random
import time
import uuid
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any

import httpx

from fabric.client.errors import ApiError, NotConnected, WrongCertificate, api_error
from fabric.client.trust import Trust, is_about_certificates

RETRIES_MAX = 4
BACKOFF_S = 0.25
BACKOFF_S_MAX = 4.0
OUTAGE_S_MAX = 120.0
"""Who waits for a job sits out the restart of a whole control node: what was accepted is not lost with it."""
RETRY_STATUSES = {429, 502, 503, 504}
WAIT_S_MAX = 60.0
ERROR_BYTES_MAX = 64 * 1024


class Transport:
    """One connection pool to one endpoint with one credential."""

    def __init__(self, url: str, api_key: str | None, *, timeout_s: float = 60.0, trust: Trust | None = None) -> None:
        """Connect lazily to `url`.

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
        self._http = httpx.Client(
            base_url=self.url, headers=headers, timeout=httpx.Timeout(timeout_s, connect=5.0), trust_env=False,
            verify=self._trust.verification(),
        )  # fmt: skip

    def request(self, method: str, path: str, **options: Any) -> Any:
        """Send a request, again after trouble that a retry can mend; gives the JSON answer (None when there is none).

        A POST carries an Idempotency-Key, so trying again does nothing twice.

        Raises:
            ApiError: the endpoint refused.
            NotConnected: it could not be reached.
        """
        response = self.send(method, path, **options)
        return response.json() if response.content else None

    def send(self, method: str, path: str, *, patience_s: float = 0.0, **options: Any) -> httpx.Response:
        """Like `request`, giving the whole response; trouble is put up with for at least `patience_s`.

        An endpoint that has answered before is only away for a while: it gets `OUTAGE_S_MAX`. A wrong address fails soon.
        """
        headers = dict(options.pop("headers", None) or {})
        if method == "POST":
            headers.setdefault("Idempotency-Key", uuid.uuid4().hex)
        trouble = Trouble(max(patience_s, OUTAGE_S_MAX if self._has_answered else 0.0))
        while True:
            try:
                response = self._http.request(method, path, headers=headers, **options)
            except httpx.TransportError as error:
                self._bear(trouble, error)
                continue
            if response.is_success or response.status_code == 304:
                self._has_answered = True
                return response
            refusal = api_error(response.status_code, problem_of(response))
            again = response.status_code in RETRY_STATUSES or refusal.code == "request_in_progress"
            if not again or not trouble.is_bearable():
                raise refusal
            trouble.pause(response.headers.get("Retry-After"))

    def stream(self, path: str, **options: Any) -> AbstractContextManager[httpx.Response]:
        """A streamed GET; the caller reads it inside a `with` block and calls `checked` first."""
        return self._http.stream("GET", path, **options)

    def put_signed(self, url: str, headers: dict[str, str], content: Any) -> None:
        """Upload to a signed URL; our own credential stays here."""
        self._trust.check(url)  # a signature is a credential too
        verify = self._trust.verification(is_endpoint=url.startswith(f"{self.url}/"))
        response = httpx.put(url, headers=headers, content=content, timeout=600.0, trust_env=False, verify=verify)
        if not response.is_success:
            raise ApiError(f"the upload was refused: {response.text[:200]}", status=response.status_code, problem={})

    def events(self, path: str, last_id: int = 0) -> Iterator[tuple[int, str, dict[str, Any]]]:
        """Server-sent events as (id, type, data), resumed after a lost connection; ends when the stream does.

        Raises:
            ApiError: the endpoint refused.
            NotConnected: it could not be reached for two minutes.
        """
        trouble = Trouble(OUTAGE_S_MAX)
        while True:
            headers = {"Last-Event-ID": str(last_id), "Accept": "text/event-stream"}
            try:
                with self.stream(path, headers=headers, timeout=httpx.Timeout(5.0, read=45.0)) as response:
                    if response.status_code in RETRY_STATUSES and trouble.is_bearable():
                        trouble.pause(response.headers.get("Retry-After"))
                        continue
                    checked(response)
                    for event in parse_events(response.iter_lines()):
                        trouble = Trouble(OUTAGE_S_MAX)
                        last_id = event[0]
                        yield event
                return
            except httpx.TransportError as error:
                self._bear(trouble, error)

    def _bear(self, trouble: "Trouble", error: httpx.TransportError) -> None:
        if is_about_certificates(error):  # trying again shows the same one
            raise WrongCertificate(f"{self.url} could not prove who it is: {error}") from error
        if not trouble.is_bearable():
            raise NotConnected(f"{self.url} cannot be reached: {error}") from error
        trouble.pause()

    def close(self) -> None:
        """Give the connections back."""
        self._http.close()


class Trouble:
    """Failures in a row: whether to try again, and when."""

    def __init__(self, patience_s: float) -> None:
        """Bearable for `RETRIES_MAX` failures, and for `patience_s` after the first one."""
        self._patience_s = patience_s
        self._failures = 0
        self._since_s = 0.0

    def is_bearable(self) -> bool:
        """Count one more failure; whether to try again after it."""
        now = time.monotonic()
        if not self._failures:
            self._since_s = now
        self._failures += 1
        return self._failures <= RETRIES_MAX or now - self._since_s < self._patience_s

    def pause(self, retry_after: str | None = None) -> None:
        """Wait, longer after each failure, and as long as the endpoint asked for."""
        wanted = float(retry_after) if retry_after and retry_after.isdigit() else 0.0
        backoff_s = min(BACKOFF_S_MAX, BACKOFF_S * 2 ** (self._failures - 1))
        time.sleep(min(WAIT_S_MAX, max(wanted, random.uniform(0.5, 1.0) * backoff_s)))


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
