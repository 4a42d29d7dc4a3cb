"""How many requests a caller may make."""

import pytest

from fabric.api import rate_limit
from fabric.api.rate_limit import RateLimiter
from fabric.core.errors import RateLimited


def test_a_caller_may_burst_a_minutes_worth_and_is_then_told_when_to_come_back():
    limiter = RateLimiter(per_minute=6)
    for _ in range(6):
        limiter.take("alice")
    with pytest.raises(RateLimited) as refusal:
        limiter.take("alice")
    assert 1 <= refusal.value.fields["retry_after_s"] <= 10


def test_callers_do_not_share_a_bucket():
    limiter = RateLimiter(per_minute=1)
    limiter.take("alice")
    limiter.take("bob")
    with pytest.raises(RateLimited):
        limiter.take("alice")


def test_a_bucket_of_its_own_size_is_possible():
    limiter = RateLimiter(per_minute=1000)
    limiter.take("login:alice", per_minute=1)
    with pytest.raises(RateLimited):
        limiter.take("login:alice", per_minute=1)


def test_strangers_cannot_fill_the_memory():
    limiter = RateLimiter(per_minute=1)
    for number in range(rate_limit.BUCKETS_MAX + 10):
        limiter.take(f"address:{number}")
    assert len(limiter._buckets) == rate_limit.BUCKETS_MAX
