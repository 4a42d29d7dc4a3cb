"""Whether a fabric has the gate: what was said when it was started, else FABRIC_RAY_GATE, else yes."""

import pytest

from fabric.core.errors import Invalid
from fabric.local.up import LocalFabric

BEYOND = {"host": "192.0.2.7", "allow_plaintext": True}


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch):
    monkeypatch.delenv("FABRIC_RAY_GATE", raising=False)


def test_by_default_there_is_one_and_it_lets_a_fabric_listen_to_strangers(tmp_path):
    fabric = LocalFabric(home=tmp_path, **BEYOND)
    assert fabric.addresses.is_gated
    assert fabric.addresses.ray == "127.0.0.1"


def test_the_environment_can_turn_it_off_and_then_machines_must_be_trusted(tmp_path, monkeypatch):
    monkeypatch.setenv("FABRIC_RAY_GATE", "false")
    with pytest.raises(Invalid, match="--trust-providers"):
        LocalFabric(home=tmp_path, **BEYOND)
    assert not LocalFabric(home=tmp_path, trust_providers=True, **BEYOND).addresses.is_gated
    assert LocalFabric(home=tmp_path, gate=True, **BEYOND).addresses.is_gated


def test_what_was_said_wins(tmp_path, monkeypatch):
    monkeypatch.setenv("FABRIC_RAY_GATE", "true")
    with pytest.raises(Invalid, match="--trust-providers"):
        LocalFabric(home=tmp_path, gate=False, **BEYOND)


def test_trust_in_machines_does_not_open_the_gate(tmp_path):
    assert LocalFabric(home=tmp_path, trust_providers=True, **BEYOND).addresses.is_gated


def test_there_are_places_for_so_many_machines_of_the_control_node_and_no_more(tmp_path):
    assert LocalFabric(home=tmp_path, providers=32)
    with pytest.raises(Invalid, match="At most 32 machines"):
        LocalFabric(home=tmp_path, providers=33)
    assert LocalFabric(home=tmp_path, providers=33, gate=False)
