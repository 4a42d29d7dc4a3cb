import os
import socket
import tempfile
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fabric.sandbox.wire import MESSAGE_BYTES_MAX, BrokenWire, Nonsense, Wire
from tests.fixtures import descriptors


@pytest.fixture
def pair():
    parent, child = socket.socketpair()
    wires = Wire(parent), Wire(child, takes_descriptors=True)
    yield wires
    for wire in wires:
        wire.close()


@pytest.mark.parametrize("message", [1, "é", [b"\0" * 70_000, {"a": None}], [], b"x" * 3_000_000])
def test_what_is_said_is_heard(pair, message):
    parent, child = pair
    speaker = threading.Thread(target=parent.send, args=(message,))
    speaker.start()
    assert child.receive() == message
    speaker.join()


def test_messages_that_come_together_are_heard_one_by_one(pair):
    parent, child = pair
    for number in range(50):
        parent.send([number, "x" * number])
    assert [child.receive()[0] for _ in range(50)] == list(range(50))


def test_descriptors_ride_along(pair, tmp_path):
    parent, child = pair
    (tmp_path / "a").write_text("of a")
    opened = os.open(tmp_path / "a", os.O_RDONLY)
    parent.send("here", descriptors=[opened])
    os.close(opened)
    assert child.receive() == "here"
    taken = child.descriptor()
    assert os.read(taken, 10) == b"of a"
    os.close(taken)
    with pytest.raises(BrokenWire):
        child.descriptor()


def test_content_follows_its_message(pair):
    parent, child = pair
    content = os.urandom(1_000_000)
    speaker = threading.Thread(target=lambda: [parent.send(1, contents=[content[:10], b"", content[10:]]), parent.send(2)])
    speaker.start()
    assert child.receive() == 1
    taken = memoryview(bytearray(len(content)))
    child.receive_into(taken)
    assert taken == content
    assert child.receive() == 2
    speaker.join()


def test_descriptors_that_a_child_slips_in_are_dropped(pair):
    parent, child = pair
    with tempfile.TemporaryFile() as slipped:
        child.send("take this", descriptors=[slipped.fileno()] * 5)
        assert parent.receive() == "take this"
        assert descriptors.held(os.fstat(slipped.fileno())) == 1


@pytest.mark.parametrize(
    "noise", [b"\xff\xff\xff\xff", (MESSAGE_BYTES_MAX + 1).to_bytes(4, "little"), b"\x01\0\0\0\xc1", b"\x02\0\0\0\xa5x"]
)
def test_noise_breaks_the_wire_and_nothing_else(noise):
    parent, child = socket.socketpair()
    wire = Wire(parent)
    child.sendall(noise)
    with pytest.raises(Nonsense):
        wire.receive()
    child.close()
    wire.close()


@given(st.binary(max_size=200))
def test_any_bytes_are_heard_as_messages_or_break_the_wire(content):
    parent, child = socket.socketpair()
    wire = Wire(parent)
    child.sendall(content)
    child.close()
    try:
        while True:
            wire.receive()
    except BrokenWire:
        pass
    wire.close()


def test_an_end_is_an_end_and_a_break_a_break(pair):
    parent, child = pair
    parent._socket.sendall(b"\x05\0")
    parent.hang_up()
    with pytest.raises(BrokenWire):
        child.receive()
    with pytest.raises(BrokenWire):
        parent.send(1)


def test_whoever_waits_is_woken_when_the_wire_is_hung_up(pair):
    parent, _child = pair
    heard = []

    def listen() -> None:
        try:
            parent.receive()
        except BrokenWire as error:
            heard.append(type(error))

    listener = threading.Thread(target=listen)
    listener.start()
    parent.hang_up()
    listener.join()
    assert heard == [BrokenWire]
