"""The only reader of the system clock; tests freeze it.

Leases and deadlines use the database's clock, never this one.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

_frozen_at: datetime | None = None


def now() -> datetime:
    """The current time, with its zone (UTC)."""
    return _frozen_at or datetime.now(UTC)


def monotonic_s() -> float:
    """Seconds on a clock that never jumps; only differences have a meaning."""
    return time.monotonic()


@contextmanager
def frozen(at: datetime) -> Iterator[None]:
    """Hold `now()` at one instant inside a `with` block."""
    global _frozen_at
    before, _frozen_at = _frozen_at, at
    try:
        yield
    finally:
        _frozen_at = before
