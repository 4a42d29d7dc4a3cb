"""Requests per principal: a bucket of tokens for each, in memory of this gateway.

Each bucket holds a minute's worth and refills evenly, so a caller may burst and then goes on at the allowed rate. With several
gateways each counts for itself.
"""

import math
from collections import OrderedDict

from fabric.core import clock
from fabric.core.errors import RateLimited

BUCKETS_MAX = 20_000  # the least recently used are forgotten, which only favours a caller


class RateLimiter:
    """Counts requests by key."""

    def __init__(self, per_minute: int) -> None:
        """Allow `per_minute` requests of each key."""
        self._per_minute = per_minute
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()  # key: tokens left, at (monotonic seconds)

    def take(self, key: str, *, per_minute: int | None = None) -> None:
        """Count one request of `key`.

        Args:
            key: Whose.
            per_minute: Another allowance than the usual one.

        Raises:
            RateLimited: its bucket is empty; with `retry_after_s`.
        """
        allowed = per_minute or self._per_minute
        per_s = allowed / 60
        now_s = clock.monotonic_s()
        tokens, at_s = self._buckets.pop(key, (float(allowed), now_s))
        tokens = min(float(allowed), tokens + (now_s - at_s) * per_s)
        if tokens < 1:
            self._buckets[key] = (tokens, now_s)
            raise RateLimited(retry_after_s=math.ceil((1 - tokens) / per_s))
        self._buckets[key] = (tokens - 1, now_s)
        if len(self._buckets) > BUCKETS_MAX:
            self._buckets.popitem(last=False)
