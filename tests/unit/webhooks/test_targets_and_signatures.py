"""Where webhooks may go, when they are tried again, and that anybody can verify who wrote them."""

import base64
import ipaddress

import pytest

from fabric.core.errors import Invalid
from fabric.core.settings import WebhookSettings
from fabric.webhooks import outbox, signature
from fabric.webhooks.target import TargetRefused, checked_url, chosen, is_allowed
from tests.fixtures.receiver import is_signed

STRICT = WebhookSettings()
TRIALS = WebhookSettings(http_to_loopback=True)
HOME = WebhookSettings(private_addresses=True)


@pytest.mark.parametrize(
    "url", ["https://example.com/hook", "https://example.com:8443/a?b=c", "https://93.184.216.34/", "https://[2606:4700::1111]/x"]
)
def test_https_to_somewhere_in_the_world_is_taken(url):
    assert checked_url(url, STRICT) == url


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/", "http://127.0.0.1/", "ftp://example.com/", "https://", "example.com", "https://me:pass@example.com/",
        "https://example.com/#part", "https://10.0.0.1/", "https://127.0.0.1/", "https://169.254.169.254/latest/meta-data",
        "https://[::1]/", "https://[::ffff:10.0.0.1]/", "https://[fd00::1]/", "https://0.0.0.0/", "https://100.64.0.1/",
        "https://exa mple.com/", "https://exämple.com/", "https://example.com/" + "a" * 2000, "https://[64:ff9b::a00:1]/",
        "https://[2002:a00:1::]/", "https://[::10.0.0.1]/", "https://[fec0::1]/", "https://[64:ff9b:1::a00:1]/", "https://224.0.0.1/", "https://example.com:99999/", "https://[::1",
    ],
)  # fmt: skip
def test_everything_else_is_refused_when_it_is_made(url):
    with pytest.raises(Invalid):
        checked_url(url, STRICT)


@pytest.mark.parametrize(
    ("settings", "url", "is_taken"),
    [
        (TRIALS, "http://127.0.0.1:9/", True), (TRIALS, "http://localhost:9/", True), (TRIALS, "http://example.com/", False),
        (TRIALS, "http://10.0.0.1/", False), (TRIALS, "https://127.0.0.1/", False), (HOME, "https://10.0.0.1/", True),
        (HOME, "http://10.0.0.1/", False), (HOME, "https://224.0.0.1/", False),
    ],
)  # fmt: skip
def test_settings_open_what_they_say_and_nothing_more(settings, url, is_taken):
    if is_taken:
        assert checked_url(url, settings) == url
    else:
        with pytest.raises(Invalid):
            checked_url(url, settings)


def test_a_name_leads_to_its_first_global_address_or_nowhere():
    assert chosen(["10.0.0.1", "93.184.216.34", "1.1.1.1"], "https", STRICT) == "93.184.216.34"
    for addresses in (
        ["10.0.0.1", "::1"],
        ["::ffff:127.0.0.1"],
        ["fe80::1%eth0"],
        ["192.0.2.1", "192.168.1.1", "255.255.255.255"],
        [],
    ):
        with pytest.raises(TargetRefused):
            chosen(addresses, "https", STRICT)


def test_clear_text_never_leaves_the_machine():
    everything = WebhookSettings(http_to_loopback=True, private_addresses=True)
    assert not is_allowed(ipaddress.ip_address("93.184.216.34"), "http", everything)
    assert is_allowed(ipaddress.ip_address("::1"), "http", everything)


def test_a_signature_is_verified_by_somebody_else_and_not_of_another_text():
    secret = signature.mint_secret()
    assert len(base64.b64decode(secret.removeprefix("whsec_"), validate=True)) == 32
    headers = signature.headers(secret, "msg_1", 1_700_000_000, b'{"a":1}')
    assert is_signed(secret, headers, b'{"a":1}')
    assert not is_signed(secret, headers, b'{"a":2}')
    assert not is_signed(signature.mint_secret(), headers, b'{"a":1}')
    assert not is_signed(secret, headers | {"webhook-timestamp": "1700000001"}, b'{"a":1}')


def test_the_signature_is_that_of_the_published_example():
    # From the specification's own libraries.
    headers = signature.headers(
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}'
    )
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_tries_grow_rarer_and_go_on_for_a_day():
    waits = [outbox.backoff_s(attempt) for attempt in range(1, 40)]
    assert waits == sorted(waits)
    assert (waits[0], waits[-1]) == (outbox.BACKOFF_S, outbox.BACKOFF_S_MAX)
    assert 10 < sum(1 for n in range(1, 40) if sum(waits[:n]) < outbox.KEPT_TRYING_S) < 30
