"""What a client puts up with from an endpoint: which answers are asked again, when, and for how long."""

import random
import time
from typing import Any

import httpx

RETRIES_MAX = 4
BACKOFF_S = 0.25
BACKOFF_S_MAX = 4.0
OUTAGE_S_MAX = 120.0
"""Who waits for a job sits out the restart of a whole control node: what was accepted is not lost with it."""
RETRY_STATUSES = {429, 502, 503, 504}
WAIT_S_MAX = 60.0


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

    def pause_s(self, retry_after: str | None = None) -> float:
        """Seconds to wait: longer after each failure, and as long as the endpoint asked for."""
        wanted = float(retry_after) if retry_after and retry_after.isdigit() else 0.0
        backoff_s = min(BACKOFF_S_MAX, BACKOFF_S * 2.0 ** (self._failures - 1))
        return float(min(WAIT_S_MAX, max(wanted, random.uniform(0.5, 1.0) * backoff_s)))


def problem_of(response: httpx.Response) -> dict[str, Any]:
    """The problem document of an error answer; one made up when a proxy answered in its stead."""
    try:
        problem = response.json()
    except ValueError:
        problem = None
    if isinstance(problem, dict):
        return problem
    return {"detail": f"HTTP {response.status_code} {response.text[:200]}".strip()}
