"""Who may be which address, as values."""

import json

import pytest

from fabric.core.ids import ProviderId
from fabric.gate.config import GateConfig
from fabric.gate.enter import Denied, Entry, judge, read_request
from fabric.gate.grants import Grant, Grants
from fabric.providers.grants import new_key

KEY, HASHED = new_key()
A, B = ProviderId.new(), ProviderId.new()
OUTER, OTHER = "10.9.0.2", "10.9.0.3"


def grant(provider_id=A, **changes):
    facts = {
        "key_hash": HASHED, "loopback_number": None, "peer": None, "node_id": None, "labels": {}, "resources": {}, "is_banned": False,
        **changes,
    }  # fmt: skip
    return Grant(provider_id, **facts)


def decided(*grants, peer=OUTER, key=KEY, alive=()):
    return judge(Grants.of(grants), peer, A, key, set(alive).__contains__)


def test_the_right_key_opens_from_any_free_address():
    assert decided(grant()) == Entry(grant(), None)


@pytest.mark.parametrize("grants", [[], [grant(B)], [grant(is_banned=True)]])
def test_nobody_else_enters(grants):
    assert decided(*grants).reason == "key"


def test_a_wrong_key_does_not_open():
    assert decided(grant(), key="fgk_wrong").reason == "key"


def test_an_address_of_this_host_is_for_its_number_alone():
    assert isinstance(decided(grant(loopback_number=7), peer="127.64.0.7"), Entry)
    assert decided(grant(loopback_number=7), peer="127.64.0.8").reason == "number"
    assert decided(grant(), peer="127.64.0.7").reason == "number"
    assert decided(grant(loopback_number=7), peer="127.0.0.1").reason == "number"


def test_who_has_the_number_has_the_address_whoever_had_it_before():
    before = grant(B, peer="127.64.0.7", node_id="bb", is_fresh=True)
    assert isinstance(decided(grant(loopback_number=7), before, peer="127.64.0.7", alive=["bb"]), Entry)


@pytest.mark.parametrize("other", [{"node_id": "bb"}, {"is_fresh": True}])
def test_the_address_of_a_machine_that_lives_is_nobody_elses(other):
    assert decided(grant(), grant(B, peer=OUTER, **other), alive=["bb"]).reason == "taken"


@pytest.mark.parametrize("other", [{"node_id": "bb"}, {}, {"node_id": "bb", "is_banned": True, "is_fresh": True}])
def test_the_address_of_a_machine_that_is_gone_is_free(other):
    assert isinstance(decided(grant(), grant(B, peer=OUTER, **other)), Entry)


def test_a_machine_that_moves_gives_up_its_node():
    moving = grant(peer=OTHER, node_id="aa")
    assert decided(moving, alive=["aa"]) == Entry(moving, "aa")
    staying = grant(peer=OUTER, node_id="aa")
    assert decided(staying, alive=["aa"]) == Entry(staying, None)


@pytest.mark.parametrize("said", [b"", b"null", b"[1]", b"\xff", b'{"provider_id": "usr_1", "gate_key": "k"}', b"{}" * 1000])
def test_what_is_no_request_is_not_read(said):
    assert read_request(said) is None


def test_a_request_names_a_machine_and_a_key():
    assert read_request(json.dumps({"provider_id": str(A), "gate_key": KEY}).encode()) == (A, KEY)


def test_grants_are_found_by_address_and_banned_ones_have_none():
    grants = Grants.of([grant(peer=OUTER), grant(B, peer=OTHER, is_banned=True, node_id="bb")])
    assert grants.of_peer(OUTER).provider_id == A
    assert grants.of_peer(OTHER) is None
    assert grants.of_node("bb").provider_id == B
    assert isinstance(judge(grants, OTHER, A, KEY, lambda _: False), Entry | Denied)


def test_a_configuration_comes_back_as_it_was_written(tmp_path):
    config = GateConfig("127.0.0.1:6399", "/t/token", "/t/gate", "/t/gate.sock", 6400, host="10.9.0.1", reserved_ports=(5, 6))
    config.write(tmp_path / "gate.json")
    assert GateConfig.read(tmp_path / "gate.json") == config
    assert config.listen_addresses()[:2] == ["10.9.0.1:6400", "127.64.0.1:6400"]
    assert config.node_ip("127.64.0.7") == "127.0.0.1"
    assert config.node_ip(OUTER) == OUTER
