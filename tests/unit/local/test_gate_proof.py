"""What counts as a proof: only PERMISSION_DENIED does, and what succeeded by mistake is undone."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import grpc
import pytest
from ray.core.generated import gcs_service_pb2

from fabric.core.settings import RaySettings, Settings
from fabric.gate.config import GateConfig
from fabric.gate.methods import REGISTER_NODE, UNREGISTER_NODE
from fabric.gate.tunnels import Interface
from fabric.local.doctor import examine_way, judge
from fabric.local.gate_proof import GET_NEXT_JOB_ID, Caller, attempts, try_as
from fabric.local.home import Home
from fabric.local.listeners import Listener
from tests.fixtures.ray_head import free_port

CONFIG = GateConfig("127.0.0.1:1", "", "", "", 6380)
INTERFACES = [
    Interface("eth0", frozenset({"192.0.2.7"})),
    Interface("wg0", frozenset({"10.88.0.1"}), kind="wireguard", hardware=65534),
]


class Server(grpc.GenericRpcHandler):
    """Refuses everything as the test says, or takes it."""

    def __init__(self) -> None:
        self.refusals: dict[str, grpc.StatusCode] = {}
        self.asked: list[tuple[str, bytes, dict[str, str]]] = []

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        path, metadata = details.method, dict(details.invocation_metadata)

        def unary(request: bytes, context: grpc.ServicerContext) -> bytes:
            self.asked.append((path, request, metadata))
            if path in self.refusals:
                context.abort(self.refusals[path], "no")
            return b""

        return grpc.unary_unary_rpc_method_handler(unary)

    def paths(self) -> list[str]:
        return [path for path, _, _ in self.asked]


@pytest.fixture
def server() -> Iterator[tuple[Server, str]]:
    handler = Server()
    running = grpc.server(ThreadPoolExecutor(2))
    running.add_generic_rpc_handlers((handler,))
    port = running.add_insecure_port("127.0.0.1:0")
    running.start()
    yield handler, f"127.0.0.1:{port}"
    running.stop(0).wait()


def tried(address: str):
    return try_as("somebody", Caller(address, "the-token"), attempts(CONFIG), Caller(address, "the-token"))


def test_a_gate_that_forbids_everything_holds(server):
    handler, address = server
    handler.refusals = {attempt.path: grpc.StatusCode.PERMISSION_DENIED for attempt in attempts(CONFIG)}
    proof = tried(address)
    assert proof.holds
    assert "start a driver, write the cluster's store, register as fabric.role=control" in proof.said
    assert all(metadata["authorization"] == "Bearer the-token" for _, _, metadata in handler.asked)
    assert UNREGISTER_NODE not in handler.paths()


def test_one_thing_that_succeeds_breaks_it_and_a_node_that_came_in_is_put_out(server):
    handler, address = server
    proof = tried(address)
    assert not proof.holds
    assert "could start a driver" in proof.said
    registered = next(gcs_service_pb2.RegisterNodeRequest.FromString(r) for path, r, _ in handler.asked if path == REGISTER_NODE)
    gone = next(gcs_service_pb2.UnregisterNodeRequest.FromString(r) for path, r, _ in handler.asked if path == UNREGISTER_NODE)
    assert registered.node_info.labels["fabric.role"] == "control"
    assert gone.node_id == registered.node_info.node_id


@pytest.mark.parametrize("status", [grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.UNIMPLEMENTED, grpc.StatusCode.INTERNAL])
def test_another_refusal_proves_nothing(server, status):
    handler, address = server
    handler.refusals = {attempt.path: grpc.StatusCode.PERMISSION_DENIED for attempt in attempts(CONFIG)}
    handler.refusals[GET_NEXT_JOB_ID] = status
    proof = tried(address)
    assert not proof.holds
    assert f"start a driver: {status.name}, which proves nothing" in proof.said


def test_silence_proves_nothing():
    assert not tried(f"127.0.0.1:{free_port()}").holds


def test_behind_the_gate_a_control_process_may_not_listen_beyond_loopback_even_if_it_refuses_strangers():
    control = Listener("ray-head", "gcs_server", "192.0.2.7", 6379)
    gate = Listener("gate", "haproxy", "192.0.2.7", 6380)
    machine = Listener("provider-1", "raylet", "192.0.2.7", 40_000)
    public = frozenset({6380})
    assert judge(control, True, "UNAUTHENTICATED", public_ports=public, is_gated=True).status == "fail"
    assert judge(control, True, "UNAUTHENTICATED", public_ports=public, is_gated=False).status == "ok"
    assert judge(gate, False, "PERMISSION_DENIED", public_ports=public, is_gated=True).status == "ok"
    assert judge(machine, True, "UNAUTHENTICATED", public_ports=public, is_gated=True).status == "ok"


@pytest.mark.parametrize(
    ("gate_host", "status", "found"),
    [
        (None, "ok", "nothing crosses a network"),
        ("10.88.0.1", "ok", "machines come by 10.88.0.1"),
        ("192.0.2.7", "warn", "192.0.2.7 on eth0, which is no tunnel: token, keys"),
        ("0.0.0.0", "warn", "every interface: token, keys"),
    ],
)
def test_a_gate_on_a_plain_interface_is_worth_a_warning(tmp_path, gate_host, status, found):
    home = Home(tmp_path)
    home.prepare()
    replace(CONFIG, host=gate_host).write(home.run / "gate.json")
    settings = Settings(home=tmp_path, ray=RaySettings(address="127.0.0.1:6379", gate=True))
    record = examine_way(home, settings, INTERFACES)
    assert (record.id, record.status) == ("clear-text", status)
    assert found in record.found


@pytest.mark.parametrize(("address", "status"), [("127.0.0.1:6379", "ok"), ("10.88.0.1:6379", "ok"), ("192.0.2.7:6379", "warn")])
def test_without_the_gate_it_is_ray_itself_that_must_not_be_reached_in_clear(tmp_path, address, status):
    settings = Settings(home=tmp_path, ray=RaySettings(address=address, gate=False))
    assert examine_way(Home(tmp_path), settings, INTERFACES).status == status


def test_what_listens_on_one_address_of_loopback_is_knocked_at_there():
    assert Listener("gate", "haproxy", "127.64.0.1", 6380).dial == "127.64.0.1:6380"
    assert Listener("front", "haproxy", "0.0.0.0", 8700).dial == "127.0.0.1:8700"
    assert Listener("front", "haproxy", "::1", 8700).dial == "[::1]:8700"
