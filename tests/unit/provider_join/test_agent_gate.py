"""How the agent enters: where, as whom, and what it says when it may not."""

import json
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest

from provider_join.gate import METHOD, NotLetIn, address_for, enter, is_this_machine
from tests.fixtures.ray_head import free_port

HERE = {"address": "203.0.113.5:6380", "loopback_address": "127.64.0.3:6380"}
THERE = {"address": "203.0.113.5:6380", "loopback_address": None}


def own_address() -> str:
    """This machine's address beyond loopback, or loopback where it has none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return "127.0.0.1"
        return str(probe.getsockname()[0])


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8700", "http://localhost:8700", "https://[::1]:8700", f"http://{own_address()}:1"]
)
def test_on_the_control_node_a_machine_takes_the_place_that_is_its_own(url):
    assert address_for(url, HERE) == "127.64.0.3:6380"
    assert address_for(url, THERE) == "203.0.113.5:6380"


@pytest.mark.parametrize("url", ["https://203.0.113.5", "https://no-such-name.invalid"])
def test_elsewhere_it_takes_the_outer_address(url):
    assert address_for(url, HERE) == "203.0.113.5:6380"


def test_an_old_session_without_a_gate_is_taken_as_it_is():
    assert address_for("http://127.0.0.1:8700", {"address": "127.0.0.1:6379"}) == "127.0.0.1:6379"
    assert not is_this_machine("203.0.113.5")


class Door(grpc.GenericRpcHandler):
    """Answers Enter as the test says."""

    def __init__(self) -> None:
        self.asked: list[dict[str, str]] = []
        self.answer: Callable[[grpc.ServicerContext], bytes] = lambda _: b'{"node_ip": "198.51.100.9"}'

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        def unary(request: bytes, context: grpc.ServicerContext) -> bytes:
            self.asked.append(json.loads(request))
            return self.answer(context)

        return grpc.unary_unary_rpc_method_handler(unary) if details.method == METHOD else None


@pytest.fixture
def door() -> Iterator[tuple[Door, str]]:
    door = Door()
    server = grpc.server(ThreadPoolExecutor(2))
    server.add_generic_rpc_handlers((door,))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield door, f"127.0.0.1:{port}"
    server.stop(0).wait()


def test_it_shows_its_key_and_takes_the_address_that_the_gate_saw(door):
    opened, address = door
    assert enter(address, "prv_1", "fgk_secret") == "198.51.100.9"
    assert opened.asked == [{"provider_id": "prv_1", "gate_key": "fgk_secret"}]


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (grpc.StatusCode.PERMISSION_DENIED, "does not let this machine in: because"),
        (grpc.StatusCode.FAILED_PRECONDITION, "another live machine.*give each an address of its own"),
        (grpc.StatusCode.UNAVAILABLE, "cannot be entered now"),
    ],
)
def test_a_refusal_is_told_in_words_that_help(door, code, words):
    opened, address = door
    opened.answer = lambda context: context.abort(code, "because")
    with pytest.raises(NotLetIn, match=words):
        enter(address, "prv_1", "fgk_secret")


@pytest.mark.parametrize("answer", [b"", b"[]", b"{}", b'{"node_ip": "here"}', b"\xff"])
def test_what_is_no_gate_is_told_apart(door, answer):
    opened, address = door
    opened.answer = lambda _: answer
    with pytest.raises(NotLetIn, match="no fabric's gate"):
        enter(address, "prv_1", "fgk_secret")


def test_nobody_there_is_told_too():
    with pytest.raises(NotLetIn, match="does not answer; does a firewall"):
        enter(f"127.0.0.1:{free_port()}", "prv_1", "fgk_secret", timeout_s=0.5)
