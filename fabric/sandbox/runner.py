"""The program inside the sandbox: loads models and runs them on what its parent hands over, until the parent is gone.

Three conversations, each with a thread of its own, so that nothing waits behind anything else: runs, loads, and wishes to stop.
"""

import gc
import mmap
import os
import sys
import threading
from collections.abc import Callable
from typing import Any

from fabric.core.errors import Invalid
from fabric.sandbox.compute import Computation, Frame, Undone
from fabric.sandbox.devices import Device
from fabric.sandbox.items import InputReader
from fabric.sandbox.messages import DETAIL_CHARACTERS_MAX, Answer, RunRequest, SubtaskAt, fields_of_answer, request_of
from fabric.sandbox.sessions import LoadFailed, Sessions
from fabric.sandbox.stop import Stop, Stopped
from fabric.sandbox.wire import BrokenWire, Wire, socket_of

NUMBERS_KEPT_MAX = 64


class Stops:
    """The wishes to stop, by the number of what they stop. Wishes may arrive before what they are about."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._present: dict[int, Stop] = {}
        self._early: list[int] = []

    def begin(self, number: int) -> Stop:
        """What is done under this number from now on stops by this."""
        stop = Stop()
        with self._lock:
            self._present[number] = stop
            if number in self._early:
                stop.set()
        return stop

    def end(self, number: int) -> None:
        """It is over."""
        with self._lock:
            self._present.pop(number, None)

    def wish(self, number: int) -> None:
        """Stop it, now or when it begins."""
        with self._lock:
            stop = self._present.get(number)
            if stop is None:
                self._early = [*self._early[-NUMBERS_KEPT_MAX:], number]
        if stop is not None:
            stop.set()


class Memory:
    """The parent's blocks, as this process sees them."""

    def __init__(self, wire: Wire, *, shared: bool):
        self._wire = wire
        self.shared = shared
        self._views: dict[int, memoryview] = {}

    def forget(self, numbers: tuple[int, ...]) -> None:
        """Those are gone."""
        for number in numbers:
            self._views.pop(number, None)

    def view(self, block: tuple[int, int]) -> memoryview:
        """A block of this number and size: it is known, or its descriptor has just come, or its content comes now."""
        number, size = block
        if not self.shared:
            content = memoryview(bytearray(size))
            self._wire.receive_into(content)
            return content
        if number not in self._views:
            self._views[number] = mapped(self._wire, size)
        return self._views[number]


def mapped(wire: Wire, size: int) -> memoryview:
    """The memory whose descriptor came first among those not yet taken."""
    descriptor = wire.descriptor()
    try:
        return memoryview(mmap.mmap(descriptor, size))
    finally:
        os.close(descriptor)


class Runs:
    """The conversation about runs."""

    def __init__(self, wire: Wire, sessions: Sessions, stops: Stops, *, shared: bool):
        self._wire = wire
        self._sessions = sessions
        self._stops = stops
        self._memory = Memory(wire, shared=shared)
        self._output = memoryview(b"")
        self._used = 0

    def turn(self, message: Any) -> None:
        """One request: an answer for each of its subtasks, or one word why there is none."""
        request = request_of(message)
        self._memory.forget(request.forget)
        inputs = self._memory.view(request.input_block).toreadonly()
        if self._memory.shared:
            self._output, self._used = self._memory.view(request.output_block), 0
        stop = self._stops.begin(request.number)
        try:
            model = self._sessions.get(request.model.sha256)
            if model is None:
                self._wire.send(["absent"])
                return
            try:
                reader = InputReader(request.model.inputs, model, inputs)
                computation = Computation(request.model, model, reader, stop)
            except Invalid as error:
                self._wire.send(["invalid", error.detail])
                return
            self._answer_all(request, computation)
        finally:
            self._stops.end(request.number)

    def _answer_all(self, request: RunRequest, computation: Computation) -> None:
        for index, subtask in enumerate(request.subtasks):
            try:
                frame, errors = self._frame_of(computation, subtask, request.model.sha256)
                answer, contents = self._placed(Answer(index, "done", item_errors=tuple(errors)), frame)
            except Undone as error:
                answer, contents = Answer(index, error.status, error.code, str(error)), []
            self._wire.send(["answer", fields_of_answer(answer)], contents=contents)

    def _frame_of(self, computation: Computation, subtask: SubtaskAt, sha256: str) -> tuple[Frame, list[Any]]:
        try:
            return computation.frame_of(subtask)
        except Undone as error:
            # Models that only wait here hold memory too; they make room before this one is given up.
            if error.code != "memory_limit" or not self._sessions.evict_but(sha256):
                raise
        gc.collect()
        return computation.frame_of(subtask)

    def _placed(self, answer: Answer, frame: Frame) -> tuple[Answer, Frame]:
        """The answer with the place of its frame, and what follows the message where memory is not shared."""
        length = sum(map(len, frame))
        if not self._memory.shared:
            return self._answer_at(answer, 0, length), frame
        if self._used + length > len(self._output):
            self._make_room(length)
        at = self._used
        for buffer in frame:
            self._output[at : at + len(buffer)] = buffer
            at += len(buffer)
        placed = self._answer_at(answer, self._used, length)
        self._used = at + -at % 64
        return placed, []

    def _answer_at(self, answer: Answer, offset: int, length: int) -> Answer:
        return Answer(answer.index, answer.status, offset=offset, length=length, item_errors=answer.item_errors)

    def _make_room(self, length: int) -> None:
        self._wire.send(["room", length])
        block = self._wire.receive()
        if not block:
            raise Undone("failed", "memory_limit", f"an output of {length} bytes is more than this slot may hold")
        self._output, self._used = self._memory.view((block[0], block[1])), 0


class Loads:
    """The conversation about loads."""

    def __init__(self, wire: Wire, sessions: Sessions, stops: Stops, *, shared: bool):
        self._wire = wire
        self._sessions = sessions
        self._stops = stops
        self._shared = shared

    def turn(self, message: Any) -> None:
        """One model: the list of those that are loaded, or why it is not."""
        number, sha256, size, items_max, evicted, block_bytes = message
        stop = self._stops.begin(number)
        try:
            self._sessions.evict(evicted)
            self._sessions.load(sha256, self._content(size, block_bytes), items_max, stop)
            self._wire.send(["loaded", self._sessions.loaded])
        except Stopped:
            self._wire.send(["stopped"])
        except LoadFailed as error:
            self._wire.send(["failed", error.code, str(error)[:DETAIL_CHARACTERS_MAX]])
        except MemoryError:
            self._wire.send(["failed", "memory_limit", "there is no memory for the model's own bytes"])
        finally:
            self._stops.end(number)

    def _content(self, size: int, block_bytes: int) -> bytes:
        if self._shared:
            return bytes(mapped(self._wire, block_bytes)[:size])
        content = bytearray(size)
        self._wire.receive_into(memoryview(content))
        return bytes(content)  # ONNX Runtime takes nothing else


def _converse(wire: Wire, turn: Callable[[Any], None]) -> None:
    """Take turns until the parent hangs up; then, or when anything here breaks, the process ends at once."""
    code = 1
    try:
        while True:
            turn(wire.receive())
    except BrokenWire:
        code = 0
    finally:
        os._exit(code)


def main() -> None:
    """Run until the parent is gone. Arguments: execution provider, threads, the device's id and bytes (0: no limit), shared memory
    or not, three sockets.
    """
    execution_provider, threads, device_id, device_bytes, memory, *sockets = sys.argv[1:]
    if not sockets:
        sockets = sys.stdin.readline().split()  # what Windows needs instead of descriptors is made after the start
    shared = memory == "shared"
    running, loading, stopping = (Wire(socket_of(told), takes_descriptors=shared) for told in sockets)
    sessions = Sessions(execution_provider, int(threads), Device(device_id, int(device_bytes) or None))
    stops = Stops()
    gc.freeze()  # what the imports made stays; only what runs make is looked through
    talks = (
        (stopping, stops.wish),
        (loading, Loads(loading, sessions, stops, shared=shared).turn),
    )
    for wire, turn in talks:
        threading.Thread(target=_converse, args=(wire, turn), daemon=True).start()
    _converse(running, Runs(running, sessions, stops, shared=shared).turn)


if __name__ == "__main__":
    main()
