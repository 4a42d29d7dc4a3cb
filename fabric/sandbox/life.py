"""One life of a runner: a child, the three wires to it, what it holds, and why it ended."""

import os
import signal
import socket
import subprocess
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from fabric.sandbox import launch
from fabric.sandbox.launch import Child, Limits
from fabric.sandbox.wire import BrokenWire, Nonsense, Wire

PROGRAM = "fabric.sandbox.runner"
END_WAIT_S = 5.0
STOP_TIMEOUT_S = 0.5  # of a wish that the child does not take off the wire


class Lost(Exception):
    """The runner ended under an order.

    `status` is what this says about what it was doing: failed (another machine may do it), refused (nobody should try again),
    stopped (it was ended on purpose).
    """

    def __init__(self, status: str, code: str, detail: str):
        self.status = status
        self.code = code
        super().__init__(detail)


class Life:
    """From the start of a child to its end. Safe to use from several threads, one for each wire."""

    def __init__(
        self, arguments: Sequence[str], limits: Limits, devices: Sequence[Path], environment: Mapping[str, str], *, shared: bool
    ):
        """Start a runner: `arguments` are its program and what that is told; the wires are added to them.

        Raises:
            launch.StartFailed: it could not be started.
        """
        self.known: set[int] = set()  # blocks that it has mapped
        self.forget: list[int] = []  # blocks that are gone, to be told with the next run
        self.models: OrderedDict[str, int] = OrderedDict()  # hash -> bytes of what it holds, least recently used first
        self._lock = threading.Lock()
        self._verdict: Lost | None = None
        self._culprit: int | None = None
        with ExitStack() as theirs:
            pairs = [socket.socketpair() for _ in range(3)]
            for _, other in pairs:
                theirs.enter_context(other)
            argv = [*arguments, "shared" if shared else "pipe"]
            self.child = _started(argv, [o for _, o in pairs], limits, devices, environment)
        self._wires = self.running, self.loading, self._stopping = tuple(Wire(own) for own, _ in pairs)
        pairs[2][0].settimeout(STOP_TIMEOUT_S)

    @property
    def is_over(self) -> bool:
        """True once it has ended, or is being ended."""
        return self._verdict is not None or self.child.returncode is not None

    @property
    def is_ended(self) -> bool:
        """True once it is known to be over, without asking the system."""
        return self._verdict is not None

    def wish_stop(self, number: int) -> None:
        """Ask it to give up what it does under this number; a runner that does not even listen is ended."""
        try:
            self._stopping.send(number)
        except BrokenWire:
            self.end(Lost("stopped", "stopped", "the runner did not listen"), number)

    def end(self, verdict: Lost, culprit: int | None = None) -> None:
        """End it, now, for this reason unless there is one already; `culprit` is the number of what it was doing."""
        with self._lock:
            if self._verdict is None:
                self._verdict, self._culprit = verdict, culprit
        self.child.kill()
        for wire in self._wires:
            wire.hang_up()

    def lost(self, number: int, said: Exception) -> Lost:
        """What its end means for what it did under `number`, in which `said` came up."""
        if self._verdict is None:
            self.end(self._why(said))
        assert self._verdict is not None
        if self._culprit not in {None, number}:
            return Lost("stopped", "runner_lost", "the runner was ended for another order")
        return self._verdict

    def is_to_blame(self, number: int) -> bool:
        """True when it was ended because of what it did under this number."""
        return self._culprit == number

    def close(self) -> None:
        """End it and wait for its end."""
        self.end(Lost("stopped", "runner_lost", "the slot was closed"))
        self.child.close()
        for wire in self._wires:
            wire.close()

    def _why(self, said: Exception) -> Lost:
        if isinstance(said, Nonsense) or not isinstance(said, BrokenWire):
            return Lost("failed", "runner_broken", f"the runner said what none says: {said}")
        try:
            code = self.child.wait(END_WAIT_S)
        except subprocess.TimeoutExpired:
            return Lost("failed", "runner_broken", f"the runner fell silent: {said}")
        if code == -getattr(signal, "SIGSYS", 0):
            return Lost("refused", "forbidden_call", "the model made the runner ask the system for what no model needs")
        if code == -getattr(signal, "SIGKILL", 0):
            return Lost("failed", "memory_limit", "the system ended the runner, most likely for want of memory")
        return Lost("failed", "runner_died", f"the runner ended by {_name_of(code)}")


def _started(
    argv: list[str], sockets: Sequence[socket.socket], limits: Limits, devices: Sequence[Path], environment: Mapping[str, str]
) -> Child:
    readable = [Path(argv[0])] if argv[0].endswith(".py") else []
    if os.name == "posix":
        numbers = [other.fileno() for other in sockets]
        return launch.start(
            [*argv, *map(str, numbers)], limits=limits, readable=readable, devices=devices, environment=environment,
            pass_fds=numbers,
        )  # fmt: skip
    child = launch.start(argv, limits=limits, environment=environment, stdin=subprocess.PIPE)
    told = " ".join(other.share(child.process.pid).hex() for other in sockets)  # type: ignore[attr-defined]
    assert child.process.stdin is not None
    child.process.stdin.write(told.encode() + b"\n")
    child.process.stdin.flush()
    return child


def _name_of(code: int) -> str:
    if code >= 0:
        return f"itself with {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"
