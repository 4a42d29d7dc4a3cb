import pytest

from fabric.core.errors import Invalid
from fabric.local.addresses import choose_addresses, host_and_port, is_loopback

BEYOND = ["0.0.0.0", "::", "192.0.2.7", "example.org"]


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.5", "localhost", "::1"])
@pytest.mark.parametrize("is_gated", [True, False])
def test_loopback_needs_no_trust(host, is_gated):
    assert choose_addresses(host, trust_providers=False, is_gated=is_gated).is_loopback


@pytest.mark.parametrize("host", BEYOND)
def test_beyond_loopback_without_the_gate_needs_trust_and_says_why(host):
    assert not is_loopback(host)
    with pytest.raises(Invalid, match=r"(?s)can run code.*Leave the gate on.*--trust-providers"):
        choose_addresses(host, trust_providers=False, is_gated=False)
    assert not choose_addresses(host, trust_providers=True, is_gated=False).is_loopback


@pytest.mark.parametrize("host", BEYOND)
def test_behind_the_gate_nobody_need_be_trusted_and_ray_stays_on_loopback(host):
    addresses = choose_addresses(host, trust_providers=False)
    assert not addresses.is_loopback
    assert addresses.ray == "127.0.0.1"


def test_without_the_gate_ray_listens_where_machines_reach_it():
    assert choose_addresses("192.0.2.7", trust_providers=True, is_gated=False).ray == "192.0.2.7"
    assert choose_addresses("127.0.0.1", trust_providers=True, is_gated=False).ray == "127.0.0.1"


def test_machines_are_never_told_to_reach_every_interface():
    assert choose_addresses("0.0.0.0", trust_providers=True).advertised != "0.0.0.0"


def test_an_ipv6_address_and_a_port_are_told_apart():
    assert host_and_port("fd00::2", 6380) == "[fd00::2]:6380"
    assert host_and_port("192.0.2.7", 6380) == "192.0.2.7:6380"


def test_the_gate_listens_beside_the_endpoint_unless_it_is_given_a_place_of_its_own():
    assert choose_addresses("127.0.0.1", trust_providers=False).gate_host is None
    assert choose_addresses("192.0.2.7", trust_providers=False).gate_host == "192.0.2.7"
    assert choose_addresses("192.0.2.7", trust_providers=False, gate_host="127.0.0.1").gate_advertised is None
    both = choose_addresses("0.0.0.0", trust_providers=False, gate_host="10.88.0.1")
    assert (both.host, both.gate_advertised) == ("0.0.0.0", "10.88.0.1")
    assert choose_addresses("192.0.2.7", trust_providers=True, is_gated=False).gate_host is None


def test_a_gate_for_machines_that_cannot_reach_the_endpoint_is_refused():
    with pytest.raises(Invalid, match="must reach the endpoint too"):
        choose_addresses("127.0.0.1", trust_providers=False, gate_host="10.88.0.1")
