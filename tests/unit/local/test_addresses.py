import pytest

from fabric.core.errors import Invalid
from fabric.local.addresses import choose_addresses, is_loopback


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.5", "localhost", "::1"])
def test_loopback_needs_no_trust(host):
    assert choose_addresses(host, trust_providers=False).is_loopback


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7", "example.org"])
def test_beyond_loopback_needs_trust_and_says_why(host):
    assert not is_loopback(host)
    with pytest.raises(Invalid, match=r"(?s)can run code on this one.*--trust-providers"):
        choose_addresses(host, trust_providers=False)
    assert not choose_addresses(host, trust_providers=True).is_loopback


def test_machines_are_never_told_to_reach_every_interface():
    assert choose_addresses("0.0.0.0", trust_providers=True).advertised != "0.0.0.0"
