"""Who a caller is behind trusted proxies, counted one by one; and which pages of other origins may call."""

import httpx
import pytest

from fabric import wiring
from fabric.api.app import create_app
from fabric.core.addresses import caller_address, networks
from fabric.core.errors import Invalid
from fabric.identity.origin import network_of
from tests.fixtures.api import client_of, started

TRUSTED = networks("10.0.0.0/8, fd00::/8")


@pytest.mark.parametrize(
    ("peer", "forwarded", "caller"),
    [
        ("192.0.2.1", ["6.6.6.6"], "192.0.2.1"),  # a stranger's claim
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", ["192.0.2.7"], "192.0.2.7"),
        ("10.0.0.1", ["6.6.6.6, 192.0.2.7"], "192.0.2.7"),  # what the stranger wrote is to the left
        ("10.0.0.1", ["6.6.6.6", "192.0.2.7, 10.0.0.2"], "192.0.2.7"),  # through two of ours
        ("10.0.0.1", ["192.0.2.7, 10.0.0.1"], "192.0.2.7"),  # noted by a proxy between
        ("10.0.0.1", ["6.6.6.6, unknown"], "10.0.0.1"),
        ("fd00::1", ["[2001:db8::1]"], "2001:db8::1"),
        (None, ["6.6.6.6"], None),
    ],
)
def test_a_trusted_proxy_names_the_caller_and_nobody_else_does(peer, forwarded, caller):
    assert caller_address(peer, forwarded, TRUSTED) == caller


def test_an_ipv6_caller_is_counted_by_what_one_customer_gets():
    assert network_of("2001:db8:1:2:3::4") == network_of("2001:db8:1:2:ffff::1") != network_of("2001:db8:1:3::1")
    assert network_of("::ffff:192.0.2.1") == "192.0.2.1"


def test_a_network_that_is_none_is_refused_before_anything_starts(settings):
    with pytest.raises(Invalid):
        networks("10.0.0.0/8, nowhere")
    wrong = wiring.missing_settings(settings.model_copy(update={"trusted_proxies": "nowhere"}))
    assert [line.split(":")[0] for line in wrong] == ["FABRIC_TRUSTED_PROXIES"]


@pytest.fixture
async def app(settings):
    limits = settings.limits.model_copy(update={"anonymous_requests_per_minute": 2})
    changes = {"limits": limits, "trusted_proxies": "10.0.0.1", "cors_origins": "https://pages.example, http://localhost:3000/"}
    async with started(create_app(lambda: wiring.build(settings.model_copy(update=changes)))) as app:
        yield app


async def test_callers_behind_one_proxy_have_buckets_of_their_own(app):
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app, client=("10.0.0.1", 1)), base_url="http://fabric") as proxied:

        async def calls(address):
            answers = [await proxied.get("/api/v1/auth/social", headers={"X-Forwarded-For": address}) for _ in range(3)]
            return [answer.status_code for answer in answers]

        assert await calls("192.0.2.1") == [200, 200, 429]
        assert await calls("192.0.2.2") == [200, 200, 429]
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app, client=("192.0.2.9", 1)), base_url="http://fabric") as direct:
        claims = [await direct.get("/api/v1/auth/social", headers={"X-Forwarded-For": f"192.0.2.{n}"}) for n in range(10, 13)]
        assert [answer.status_code for answer in claims] == [200, 200, 429], "a claim is no address"


async def test_pages_of_named_origins_may_call_and_others_may_not(api):
    ask = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,idempotency-key"}
    allowed = await api.options("/api/v1/jobs", headers=ask | {"Origin": "http://localhost:3000"})
    assert (allowed.status_code, allowed.headers["access-control-allow-origin"]) == (200, "http://localhost:3000")
    assert "access-control-allow-credentials" not in allowed.headers
    refused = await api.options("/api/v1/jobs", headers=ask | {"Origin": "https://evil.example"})
    assert "access-control-allow-origin" not in refused.headers
    read = await api.get("/api/v1/auth/me", headers={"Origin": "https://pages.example"})
    assert (read.status_code, read.headers["access-control-allow-origin"]) == (401, "https://pages.example")
    assert "X-Request-Id" in read.headers["access-control-expose-headers"]


async def test_without_the_setting_no_page_of_another_origin_may_call(settings):
    async with started(create_app(lambda: wiring.build(settings))) as app, client_of(app) as api:
        read = await api.get("/api/v1/auth/me", headers={"Origin": "https://pages.example"})
    assert "access-control-allow-origin" not in read.headers
