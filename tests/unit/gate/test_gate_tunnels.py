"""Where the gate may listen without anybody having said that clear text is fine: loopback and tunnels."""

import pytest

from fabric.gate.tunnels import Interface, interfaces, is_tunnel, plain_way

ETHERNET = Interface("eth0", frozenset({"192.0.2.7", "2001:db8::7"}))
WIREGUARD = Interface("wg0", frozenset({"10.88.0.1"}), kind="wireguard", hardware=65534)
TAILSCALE = Interface("tailscale0", frozenset({"100.64.0.1", "fd7a::1"}), hardware=65534, tun_flags=0x1801)
PLAIN = [
    ETHERNET,
    Interface("wlan0", frozenset({"192.0.2.8"}), kind="wlan"),
    Interface("ppp0", frozenset({"192.0.2.9"}), kind="ppp", hardware=512),
    Interface("tap0", frozenset({"192.0.2.10"}), tun_flags=0x1002),
    Interface("gre1", frozenset({"192.0.2.11"}), hardware=778),
    Interface("wwan0", frozenset({"192.0.2.12"}), kind="wwan", hardware=65534),
    Interface("wg-by-name-only", frozenset({"192.0.2.13"})),
]
ALL = [WIREGUARD, TAILSCALE, *PLAIN]


@pytest.mark.parametrize("host", ["10.88.0.1", "100.64.0.1", "fd7a::1", "127.0.0.1", "::1", "localhost"])
def test_tunnels_and_loopback_are_fine(host):
    assert plain_way(host, ALL) is None


@pytest.mark.parametrize("plain", PLAIN, ids=lambda one: one.name)
def test_everything_else_is_named(plain):
    assert not is_tunnel(plain)
    for address in plain.addresses:
        assert plain_way(address, ALL) == f"{address} on {plain.name}, which is no tunnel"


@pytest.mark.parametrize("host", ["0.0.0.0", "::", ""])
def test_every_interface_is_never_fine_even_where_all_are_tunnels_now(host):
    assert plain_way(host, [WIREGUARD]) == "every interface"


@pytest.mark.parametrize("host", ["198.51.100.77", "no-such-host.invalid"])
def test_what_belongs_to_no_interface_is_not_taken_for_a_tunnel(host):
    assert "no interface" in str(plain_way(host, ALL))


def test_the_kernels_words_are_read(tmp_path):
    for name, files in {
        "lo": {"uevent": "INTERFACE=lo\nIFINDEX=1\n", "type": "772\n"},
        "wg0": {"uevent": "DEVTYPE=wireguard\nINTERFACE=wg0\n", "type": "65534\n"},
        "tun0": {"uevent": "INTERFACE=tun0\n", "type": "65534\n", "tun_flags": "0x1801\n"},
    }.items():
        (tmp_path / name).mkdir()
        for file, text in files.items():
            (tmp_path / name / file).write_text(text)
    read = {one.name: one for one in interfaces(tmp_path)}
    assert "127.0.0.1" in read["lo"].addresses
    assert read["lo"].hardware == 772
    assert not any(is_tunnel(one) for one in read.values())  # this machine's own, of which nothing but `lo` is described here


def test_without_the_kernels_words_nothing_is_a_tunnel(tmp_path):
    assert not any(is_tunnel(one) for one in interfaces(tmp_path / "nothing"))
