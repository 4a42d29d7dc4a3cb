"""Starts a program as a child that can hurt nobody, as far as this platform allows, and says how far that is.

On Linux with bubblewrap (`isolation: sandbox`) the child has no network, no file but Python's and the system's libraries and what
is named in `readable`, no environment, nothing that it can write. Elsewhere (`isolation: process`) it is a child with limits, and
with a filter of system calls where the kernel has one. `FABRIC_SANDBOX=process` asks for the latter.
"""

import functools
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType
from typing import IO, Any

import psutil

from fabric.sandbox import bubblewrap

SANDBOX = "sandbox"
PROCESS = "process"
KILLED_WAIT_S = 10.0
CHECK_TIMEOUT_S = 30.0
_DETAIL_CHARACTERS_MAX = 300
_BOOT = "import sys; sys.path += sys.argv[1].split('\\n'); from fabric.sandbox.confine import main; main()"
_PACKAGE = Path(__file__).resolve().parents[1]
_WANTED = ("numpy", "msgpack", "PIL", "av", "tokenizers", "onnxruntime", "onnx", "google.protobuf")
# Libraries make a thread for each core of the machine unless they are told, and ONNX Runtime looks for a place to write.
ENVIRONMENT = {
    "LANG": "C.UTF-8", "ORT_DISABLE_TELEMETRY": "1",
    "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false",
}  # fmt: skip
# Which of several devices to use, and where their libraries lie, is said by whoever started the parent.
_DEVICE_VARIABLES = ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "LD_LIBRARY_PATH")
# bwrap dies with the *thread* that started it, so one thread, which stays, starts all of them.
_starter = ThreadPoolExecutor(1, thread_name_prefix="sandbox-start")


class StartFailed(Exception):
    """The child could not be started."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a child may use; the kernel holds it to that where it can (rlimits). None: no limit."""

    memory_bytes: int | None = None  # private memory; memory shared with the parent is the parent's to bound
    cpu_s: int | None = None  # processor time
    file_bytes: int = 0  # of any one file, also one that it was handed open
    open_files: int = 64
    threads: int | None = 128


class Child:
    """A running child. Its pipes are those of `process`."""

    def __init__(self, process: "subprocess.Popen[bytes]", isolation: str, init_pid: int):
        """Made by `start`."""
        self.process = process
        self.isolation = isolation
        self._init_pid = init_pid  # of the process whose end is the end of all inside
        self._program: psutil.Process | None = None

    @property
    def returncode(self) -> int | None:
        """None while it runs; negative: the signal that ended it."""
        code = self.process.poll()
        if code is not None and self.isolation == SANDBOX and 128 < code <= 128 + signal.NSIG:
            return 128 - code  # as bwrap tells a signal
        return code

    def memory_bytes(self) -> int:
        """What it holds now, shared memory included; 0 when it has ended."""
        try:
            return int(self._found().memory_info().rss)
        except psutil.Error:
            return 0

    def processor_s(self) -> float:
        """Processor time that it has used; 0 when it has ended."""
        try:
            times = self._found().cpu_times()
            return float(times.user + times.system)
        except psutil.Error:
            return 0.0

    def kill(self) -> None:
        """End it and all it may have started, now. Does not wait."""
        if self.process.poll() is not None:
            return
        try:
            # Everything inside ends with its process number 1, and bwrap with that. bwrap waits for it, so the number is still its.
            os.kill(self._init_pid, signal.SIGKILL)
        except OSError:
            self.process.kill()

    def wait(self, timeout_s: float | None = None) -> int:
        """Wait for its end; the return code as `returncode` tells it.

        Raises:
            subprocess.TimeoutExpired: it has not ended.
        """
        self.process.wait(timeout_s)
        code = self.returncode
        assert code is not None
        return code

    def close(self) -> None:
        """Kill it and forget it."""
        self.kill()
        try:
            self.process.wait(KILLED_WAIT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()  # what is inside is in an uninterruptible system call, and ends when that returns
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            if pipe is not None:
                try:
                    pipe.close()
                except OSError:
                    pass

    def _found(self) -> psutil.Process:
        if self._program is None:
            self._program = self._find_program()
        return self._program

    def _find_program(self) -> psutil.Process:
        if self.isolation != SANDBOX:
            return psutil.Process(self.process.pid)
        # bwrap's process number 1 waits for the program, its only child.
        inside = psutil.Process(self._init_pid).children()
        if not inside:
            raise psutil.NoSuchProcess(self._init_pid)
        return inside[0]


def start(
    argv: Sequence[str],
    *,
    limits: Limits,
    readable: Sequence[Path] = (),
    devices: Sequence[Path] = (),
    environment: Mapping[str, str] = MappingProxyType({}),
    pass_fds: Iterable[int] = (),
    stdin: int | IO[Any] | None = subprocess.DEVNULL,
    stdout: int | IO[Any] | None = subprocess.DEVNULL,
    stderr: int | IO[Any] | None = subprocess.DEVNULL,
) -> Child:
    """Run the Python module, or the readable `.py` file, `argv[0]` as `__main__`, the rest its arguments, as isolated as this
    machine can.

    `readable`: further files and folders that it may read, at their own paths. `devices`: device files that it may use; with any,
    memory is not limited by the kernel, since drivers map far more than they use. `environment`: what it finds in its environment
    besides, such as which of several devices is its. `pass_fds`: descriptors that stay open in it.

    Raises:
        StartFailed: it could not be started.
    """
    return _started(isolation(), argv, limits, readable, devices, environment, tuple(pass_fds), (stdin, stdout, stderr))


@functools.cache
def isolation() -> str:
    """SANDBOX or PROCESS: what `start` gives on this machine. Found out once, by trying."""
    return SANDBOX if not why_no_sandbox() else PROCESS


@functools.cache
def why_no_sandbox() -> str:
    """Why this machine has no sandbox; empty when it has one."""
    if os.environ.get("FABRIC_SANDBOX") == PROCESS:
        return "FABRIC_SANDBOX=process asks for none"
    if not sys.platform.startswith("linux"):
        return f"bubblewrap does not exist on {sys.platform}"
    if bubblewrap.program() is None:
        return "bwrap is not installed"
    streams = (subprocess.DEVNULL, subprocess.DEVNULL, subprocess.PIPE)
    try:
        child = _started(SANDBOX, ["fabric.sandbox.confine"], Limits(), (), (), {}, (), streams)
    except StartFailed as error:
        return str(error)
    try:
        said = child.process.communicate(timeout=CHECK_TIMEOUT_S)[1]
    except subprocess.TimeoutExpired:
        return "bwrap does not come to an end"
    finally:
        child.close()
    return "" if child.returncode == 0 else _last_line(said) or f"bwrap ends with {child.returncode}"


def _started(
    wanted: str,
    argv: Sequence[str],
    limits: Limits,
    readable: Sequence[Path],
    devices: Sequence[Path],
    further: Mapping[str, str],
    pass_fds: tuple[int, ...],
    streams: tuple[Any, Any, Any],
) -> Child:
    program = _python(wanted, argv, limits, bool(devices))
    environment = dict(ENVIRONMENT)
    if devices:
        environment |= {name: os.environ[name] for name in _DEVICE_VARIABLES if name in os.environ} | {"CUDA_CACHE_DISABLE": "1"}
    environment |= further

    def begin() -> Child:
        if wanted == SANDBOX:
            inside = bubblewrap.arguments([*_libraries(), *readable], devices, environment)
            return _start_sandbox([*inside, "--info-fd", "{}", "--", *program], pass_fds, streams)
        return _start_process(program, environment, pass_fds, streams)

    try:
        return _starter.submit(begin).result()
    except OSError as error:
        raise StartFailed(f"the child could not be started: {error.strerror}") from error


def _start_sandbox(arguments: list[str], pass_fds: tuple[int, ...], streams: tuple[Any, Any, Any]) -> Child:
    told, telling = os.pipe()
    with os.fdopen(told, "rb") as info:
        try:
            process = subprocess.Popen(
                [str(bubblewrap.program()), *(str(telling) if argument == "{}" else argument for argument in arguments)],
                stdin=streams[0], stdout=streams[1], stderr=streams[2], env={}, cwd="/", pass_fds=(*pass_fds, telling),
            )  # fmt: skip
        finally:
            os.close(telling)
        content = info.read()
    try:
        return Child(process, SANDBOX, int(json.loads(content)["child-pid"]))
    except (ValueError, KeyError):
        said = process.stderr.read() if process.stderr else b""
        process.kill()
        process.wait(KILLED_WAIT_S)
        raise StartFailed(_last_line(said) or "bwrap could not make a sandbox") from None


def _start_process(
    program: list[str], environment: dict[str, str], pass_fds: tuple[int, ...], streams: tuple[Any, Any, Any]
) -> Child:
    # Windows finds its own libraries by SystemRoot, and hands no descriptors over.
    kept = {name: os.environ[name] for name in ("SYSTEMROOT",) if name in os.environ}
    more: dict[str, Any] = {"pass_fds": pass_fds} if os.name == "posix" else {}
    process = subprocess.Popen(
        program, stdin=streams[0], stdout=streams[1], stderr=streams[2],
        env=environment | kept, cwd="/" if os.name == "posix" else None, **more,
    )  # fmt: skip
    return Child(process, PROCESS, process.pid)


def _python(wanted: str, argv: Sequence[str], limits: Limits, has_devices: bool) -> list[str]:
    told = {"limits": asdict(limits), "argv": list(argv), "devices": has_devices, "isolation": wanted}
    # -S: neither site hooks nor the user's packages; where packages lie is said by us.
    paths = "\n".join(map(str, (*_sites(), _PACKAGE.parent)))
    return [bubblewrap.python(), "-I", "-S", "-B", "-c", _BOOT, paths, json.dumps(told)]


@functools.cache
def _sites() -> tuple[Path, ...]:
    return bubblewrap.folders_of(_WANTED)


@functools.cache
def _libraries() -> tuple[Path, ...]:
    return (*bubblewrap.system_paths(), *_sites(), _PACKAGE)


def _last_line(said: bytes | None) -> str:
    lines = (said or b"").decode(errors="replace").strip().splitlines()
    return lines[-1][:_DETAIL_CHARACTERS_MAX] if lines else ""


if __name__ == "__main__":
    print(isolation(), why_no_sandbox())
