"""Both fleets keep the promises of dispatch/fleet.py; the numbers are those of its docstring."""

import asyncio
import os
import pickle
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest

from fabric.actors.messages import RECEIPT_BYTES_MAX, decode_pong, encode_cancel
from fabric.core.ids import ProviderId
from fabric.dispatch.fake_fleet import FakeFleet
from fabric.dispatch.fleet import Fleet, HostileAnswer, SlotId, SlotLost, SlotSpec
from fabric.dispatch.ray_fleet import RayFleet
from fabric.dispatch.ray_guard import Lost, Refused, read_untrusted
from tests.fixtures.hostile_actors import Bomb, ObedientActor

HOSTILE = ["pickle:{canary}", "raise:{canary}", "list:{canary}", "text:hello", "array:hello", "nothing", "generator"]


@dataclass
class Machine:
    """One machine of a fleet."""

    fleet: Fleet
    provider_id: ProviderId
    node_id: str

    def spec(self, slot: int = 0, **changes: Any) -> SlotSpec:
        facts = {
            "id": SlotId(self.provider_id, slot), "node_id": self.node_id, "resource": "fabric_cpu",
            "execution_provider": "CPUExecutionProvider", "threads": 1, **changes,
        }  # fmt: skip
        return SlotSpec(**facts)


@pytest.fixture(params=["fake", pytest.param("ray", marks=[pytest.mark.ray, pytest.mark.xdist_group("ray_cluster")])])
async def machine(request: pytest.FixtureRequest) -> AsyncIterator[Machine]:
    fleet: Fleet
    if request.param == "fake":
        fake = fleet = FakeFleet(lambda spec: ObedientActor(spec.execution_provider, spec.threads))
        provider_id, node_id = ProviderId.new(), "node-1"
        fake.add_node(node_id, str(provider_id))
    else:
        provider = request.getfixturevalue("ray_provider")
        fleet = RayFleet(ObedientActor)
        provider_id, node_id = provider.provider_id, provider.node_id
    yield Machine(fleet, provider_id, node_id)
    await fleet.close()


@pytest.fixture
async def slot(machine: Machine) -> SlotId:
    spec = machine.spec()
    await machine.fleet.connect(spec)
    return spec.id


async def test_1_the_nodes_are_those_of_providers_with_the_label_that_names_them(machine):
    seen = {node.node_id: node for node in await machine.fleet.nodes()}
    assert seen[machine.node_id].provider_id == str(machine.provider_id)
    assert all(node.provider_id.startswith("prv_") for node in seen.values())


async def test_2_a_node_that_is_not_alive_is_refused_at_once(machine):
    with pytest.raises(SlotLost):
        await machine.fleet.connect(machine.spec(node_id="0" * 56))


async def test_2_connecting_again_starts_a_fresh_actor(machine, slot):
    await machine.fleet.connect(machine.spec())
    assert await machine.fleet.send(slot, b"echo:again") == b"again"


async def test_3_an_order_is_answered_with_the_bytes_of_the_slot(machine, slot):
    assert await machine.fleet.send(slot, b"echo:hello") == b"hello"


async def test_3_a_receipt_may_be_as_large_as_one_call_carries(machine, slot):
    assert len(await machine.fleet.send(slot, b"full")) == RECEIPT_BYTES_MAX - 4096


async def test_3_a_slot_that_is_not_connected_is_lost(machine):
    with pytest.raises(SlotLost):
        await machine.fleet.send(SlotId(ProviderId.new(), 0), b"echo:hello")


@pytest.mark.parametrize("order", HOSTILE)
async def test_3_whatever_is_not_raw_bytes_is_refused_unread(machine, slot, order, tmp_path):
    canary = tmp_path / "canary"
    with pytest.raises(HostileAnswer):
        await machine.fleet.send(slot, order.format(canary=canary).encode())
    assert not canary.exists()
    assert await machine.fleet.send(slot, b"echo:still there") == b"still there"


@pytest.mark.parametrize("size", [RECEIPT_BYTES_MAX + 1, 64 << 20])
async def test_3_an_answer_that_is_too_large_is_refused_unread(machine, slot, size):
    with pytest.raises(HostileAnswer, match=r"bytes"):
        await machine.fleet.send(slot, f"bytes:{size}".encode())


async def test_4_a_ping_is_answered_while_an_order_runs(machine, slot):
    waiting = asyncio.ensure_future(machine.fleet.send(slot, b"wait"))
    assert decode_pong(await machine.fleet.ping(slot)).order_ids == ()
    assert not waiting.done()
    await machine.fleet.release(slot)
    with pytest.raises(SlotLost):
        await waiting


async def test_5_a_cancelled_order_returns_soon(machine, slot):
    waiting = asyncio.ensure_future(machine.fleet.send(slot, b"wait"))
    await machine.fleet.cancel(slot, encode_cancel([bytes(16)]))
    assert await waiting == b"cancelled"


async def test_5_cancelling_on_a_slot_that_is_gone_is_nothing(machine):
    await machine.fleet.cancel(SlotId(ProviderId.new(), 0), encode_cancel([bytes(16)]))


async def test_6_releasing_loses_what_was_outstanding_and_twice_is_nothing(machine, slot):
    waiting = asyncio.ensure_future(machine.fleet.send(slot, b"wait"))
    await machine.fleet.ping(slot)
    await machine.fleet.release(slot)
    await machine.fleet.release(slot)
    with pytest.raises(SlotLost):
        await waiting
    with pytest.raises(SlotLost):
        await machine.fleet.ping(slot)


def test_the_bomb_goes_off_when_it_is_unpickled(tmp_path):
    pickle.loads(pickle.dumps(Bomb(str(tmp_path / "canary"))))
    assert (tmp_path / "canary").exists()


class _Untouchable:
    """Stands for the body of an answer that must not be read."""

    def __getattribute__(self, name: str) -> Any:
        raise AssertionError(f"{name} was read")


@pytest.mark.parametrize("metadata", [b"PYTHON", b"XLANG", b"ACTOR_HANDLE", b"3", b"", b"nonsense", b"-1"])
def test_the_guard_does_not_look_at_what_it_refuses(metadata):
    assert isinstance(read_untrusted(_Untouchable(), metadata), Refused)


@pytest.mark.parametrize(
    ("metadata", "name"), [(b"1", "actor_died"), (b"23", "node_died"), (b"5,junk", "task_cancelled"), (b"999", "error 999")]
)
def test_a_system_error_is_known_by_its_number_alone_because_its_text_may_be_forged(metadata, name):
    assert read_untrusted(_Untouchable(), metadata) == Lost(name)


@pytest.mark.ray
class TestOnRay:
    """What only a real cluster can show."""

    @pytest.mark.parametrize("chosen", ["ray_provider", "ray_single_provider"])
    async def test_the_actor_runs_on_the_node_that_was_verified(self, request, chosen, ray_provider, ray_single_provider):
        provider = request.getfixturevalue(chosen)
        machine = Machine(RayFleet(ObedientActor), provider.provider_id, provider.node_id)
        await machine.fleet.connect(machine.spec())
        assert await machine.fleet.send(machine.spec().id, b"where") == provider.node_id.encode()
        await machine.fleet.close()

    async def test_a_slot_that_is_taken_is_not_waited_for_for_ever(self, ray_single_provider):
        provider = ray_single_provider
        machine = Machine(RayFleet(ObedientActor), provider.provider_id, provider.node_id)
        hasty = Machine(RayFleet(ObedientActor, connect_timeout_s=1.0), provider.provider_id, provider.node_id)
        await machine.fleet.connect(machine.spec(slot=0))
        with pytest.raises(SlotLost):
            await hasty.fleet.connect(hasty.spec(slot=1))
        await hasty.fleet.close()
        await machine.fleet.close()

    async def test_an_actor_that_dies_is_a_lost_slot_and_can_be_connected_again(self, ray_provider):
        machine = Machine(RayFleet(ObedientActor), ray_provider.provider_id, ray_provider.node_id)
        await machine.fleet.connect(machine.spec())
        with pytest.raises(SlotLost):
            await machine.fleet.send(machine.spec().id, b"die")
        await machine.fleet.connect(machine.spec())
        assert await machine.fleet.send(machine.spec().id, b"echo:back") == b"back"
        await machine.fleet.close()

    async def test_a_node_that_dies_is_a_lost_slot(self, ray_cluster):
        provider = ray_cluster.add_provider()
        machine = Machine(RayFleet(ObedientActor), provider.provider_id, provider.node_id)
        await machine.fleet.connect(machine.spec())
        waiting = asyncio.ensure_future(machine.fleet.send(machine.spec().id, b"wait"))
        await machine.fleet.ping(machine.spec().id)
        ray_cluster.kill(provider)
        with pytest.raises(SlotLost):
            await waiting
        async with asyncio.timeout(30):
            while provider.node_id in {node.node_id for node in await machine.fleet.nodes()}:
                await asyncio.sleep(0.1)
        await machine.fleet.close()

    def test_the_cluster_asks_for_a_token(self, ray_cluster):
        from ray._private.authentication.grpc_authentication_client_interceptor import AuthenticationTokenLoader

        assert os.environ["RAY_AUTH_MODE"] == "token"
        assert AuthenticationTokenLoader.instance().has_token()
