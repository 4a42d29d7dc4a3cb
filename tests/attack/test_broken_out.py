"""Code that a model might get to run inside the runner, should ONNX Runtime or a decoder have a hole: what it could reach then."""

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fabric.sandbox.launch import Limits, start
from tests.attack.plain_side import plainly
from tests.attack.table import MODELS, record
from tests.fixtures import hostile_program

PROGRAM = Path(hostile_program.__file__)
MIB = 1024**2


def in_the_sandbox(attempt: str) -> str:
    """What the attempt came to under the limits of a runner, or how the program ended."""
    limits = Limits(memory_bytes=512 * MIB, file_bytes=0)
    child = start([str(PROGRAM), attempt], limits=limits, readable=[PROGRAM], stdout=subprocess.PIPE)
    try:
        said = child.process.communicate(timeout=60)[0].decode().strip()
        code = child.wait(10)
        return said or {-31: "ended by the kernel (SIGSYS)", -9: "ended by the kernel (SIGKILL)"}.get(code, f"ended ({code})")
    finally:
        child.close()


@contextmanager
def listener() -> Iterator[str]:
    """Somebody on an abstract Unix socket, as many services of an owner's machine are."""
    name = f"fabric-attack-{os.getpid()}"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(f"\0{name}")
        server.listen()

        def serve() -> None:
            try:
                while True:
                    caller, _ = server.accept()
                    with caller:
                        caller.sendall(b"hello")
            except OSError:
                return

        threading.Thread(target=serve, daemon=True).start()
        yield name
        server.shutdown(socket.SHUT_RDWR)


def is_name(said: str) -> bool:
    """An error's name, or the kernel's word."""
    return said.endswith(("Error", "(SIGSYS)", "(SIGKILL)")) or said in ("none", "")


def not_name(said: str) -> bool:
    return not is_name(said)


PROBES: list[tuple[str, str, Callable[[str], bool]]] = [
    ("broken out: read /etc/passwd", "read:/etc/passwd", not_name),
    ("broken out: read the home folder", "read:{home}/key", not_name),
    ("broken out: list whoever else runs", "processes", not_name),
    ("broken out: see the environment", "environment", lambda said: "FABRIC_SECRET" in said),
    ("broken out: open a socket", "socket", not_name),
    ("broken out: speak to an abstract Unix socket", "speak:{listener}", lambda said: said == "hello"),
    ("broken out: start a program", "fork", not_name),
    ("broken out: fork 1000 times", "forks:1000", not_name),
    ("broken out: 3 GB of memory", "allocate:3000", not_name),
    ("broken out: fill the disk", "fill:{home}/filled", not_name),
    ("broken out: fill /tmp", "fill:/tmp/filled", not_name),
    ("broken out: fill shared memory", "fill:/dev/shm/filled", not_name),
    ("broken out: take hold of another process (ptrace)", "trace:{victim}", not_name),
    ("broken out: make namespaces of its own (unshare)", "unshare", lambda said: said == "0"),
    ("broken out: reach the keys of the session (keyctl)", "session_keys", not_name),
    ("broken out: system calls past the filter (io_uring)", "ring", not_name),
]


@pytest.mark.parametrize(("attack", "attempt", "succeeds"), PROBES, ids=[name for name, _, _ in PROBES])
def test_code_in_the_runner(
    attack: str, attempt: str, succeeds: Callable[[str], bool], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("FABRIC_SECRET", "s3cret")
    (tmp_path / "key").write_text("s3cret")
    victim = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    try:
        with listener() as name:
            filled = attempt.format(home=tmp_path, listener=name, victim=victim.pid)
            before = next(iter(plainly("try_all", filled, timeout_s=60.0).said.values()), "")
            Path("/dev/shm/filled").unlink(missing_ok=True)
            Path("/tmp/filled").unlink(missing_ok=True)
            (tmp_path / "filled").unlink(missing_ok=True)
            inside = in_the_sandbox(filled)
    finally:
        victim.kill()
        victim.communicate()
    record(MODELS, attack, "plain", succeeded=succeeds(before), evidence=f"a child process: {before[:80]!r}")
    outcome = record(MODELS, attack, "fabric", succeeded=succeeds(inside) or (tmp_path / "filled").exists(), evidence=inside[:80])
    assert not outcome.succeeded
