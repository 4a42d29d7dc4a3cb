"""What counts as a proof: only PERMISSION_DENIED does, and what succeeded by mistake is undone."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from ray.core.generated import gcs_service_pb2

from fabric.gate.config import GateConfig
from fabric.gate.methods import REGISTER_NODE, UNREGISTER_NODE
from fabric.local.doctor import judge
from fabric.local.gate_proof import GET_NEXT_JOB_ID, Caller, attempts, try_as
from fabric.local.listeners import Listener
from tests.fixtures.ray_head import free_port

CONFIG = GateConfig("127.0.0.1:1", "", "", "", 6380)


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
