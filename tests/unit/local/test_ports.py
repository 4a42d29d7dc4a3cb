import socket

import pytest

from fabric.local.ports import REPLICA_PORTS, Reservations, choose_ports, is_free


@pytest.fixture
def reservations():
    reservations = Reservations()
    yield reservations
    reservations.release()


def test_all_ports_are_free_and_different(reservations):
    ports = choose_ports({}, reservations, host="127.0.0.1")
    everything = ports.all()
    assert len(set(everything)) == len(everything) == len(ports.as_dict()) - 1 + REPLICA_PORTS
    assert all(is_free(port) for port in everything)


def test_the_ports_of_the_last_run_are_taken_again(reservations):
    before = choose_ports({}, reservations, host="127.0.0.1")
    reservations.release()
    assert choose_ports(before.as_dict(), reservations, host="127.0.0.1") == before


def test_two_fabrics_that_start_at_the_same_moment_choose_different_ports(reservations):
    first = choose_ports({}, reservations, host="127.0.0.1")
    others = Reservations()
    try:
        second = choose_ports(first.as_dict(), others, host="127.0.0.1")
    finally:
        others.release()
    assert not set(first.as_dict().values()) & set(second.as_dict().values())


def test_a_port_that_somebody_took_meanwhile_is_replaced(reservations):
    before = choose_ports({}, reservations, host="127.0.0.1")
    reservations.release()
    with socket.socket() as other:
        other.bind(("127.0.0.1", before.gcs))
        other.listen(1)
        after = choose_ports(before.as_dict(), reservations, host="127.0.0.1")
    assert after.gcs != before.gcs
    assert after.objects == before.objects


def test_a_port_that_was_asked_for_and_is_taken_is_an_error(reservations):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen(1)
        with pytest.raises(OSError, match="is taken"):
            choose_ports({}, reservations, host="127.0.0.1", http=other.getsockname()[1])


def test_the_gate_has_the_port_that_a_firewall_names_or_none(reservations):
    wanted = choose_ports({}, reservations, host="127.0.0.1").gate
    reservations.release()
    assert choose_ports({}, reservations, host="127.0.0.1", gate=wanted).gate == wanted
    reservations.release()
    with socket.socket() as other:
        other.bind(("127.64.0.7", wanted))  # on one of its addresses is enough
        other.listen(1)
        with pytest.raises(OSError, match="FABRIC_RAY_GATE_PORT"):
            choose_ports({}, reservations, host="127.0.0.1", gate=wanted)
