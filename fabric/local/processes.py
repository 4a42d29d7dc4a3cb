"""Child processes of a fabric: started in sessions of their own, recognised by pid *and* start time, ended as whole families.

A pid alone is no identity: the kernel uses it again. Start times are counted in clock ticks since boot, so setting the clock
does not matter; marks of an earlier boot match nothing.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

LOG_BYTES_MAX = 16 * 1024 * 1024
LOGS_KEPT = 3
RUN_VARIABLE = "FABRIC_RUN"
KILL_TIMEOUT_S = 10.0
POLL_S = 0.02

# What children may see of our environment. Secrets reach them by files of mode 0600 only.
PASSED_ON = (
    "PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "TZ", "TMPDIR", "VIRTUAL_ENV", "PYTHONPATH", "PYTHONDONTWRITEBYTECODE",
    "LD_LIBRARY_PATH", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NVIDIA_VISIBLE_DEVICES",
    "CUDA_VISIBLE_DEVICES", "AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE",
    "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ROLE_ARN", "COVERAGE_PROCESS_START",
)  # fmt: skip


@dataclass(frozen=True)
class Mark:
    """One process and no other one."""

    pid: int
    started: int
    """Clock ticks after boot."""

    def is_alive(self) -> bool:
        """Whether exactly this process still runs (a zombie does not)."""
        return started_at(self.pid) == self.started


def started_at(pid: int) -> int | None:
    """When the process started, in clock ticks after boot; None when there is none or it is a zombie."""
    try:
        # The name may hold spaces and brackets; the fields after its last bracket are fixed: state, ppid, … starttime (20th).
        fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return None
    return None if fields[0] in "ZX" else int(fields[19])


def mark(pid: int) -> Mark | None:
    """The mark of a running process."""
    started = started_at(pid)
    return None if started is None else Mark(pid, started)


def boot_id() -> str:
    """Changes with each boot of the machine."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def scrubbed_environment(extra: Mapping[str, str]) -> dict[str, str]:
    """An environment for children: the harmless part of ours, plus `extra`."""
    kept = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    return {**kept, "PYTHONUNBUFFERED": "1", "PYTHONWARNINGS": "ignore", **extra}


def spawn_module(
    module: str, arguments: Sequence[str], *, log: Path, environment: Mapping[str, str], stdin: int = subprocess.DEVNULL
) -> subprocess.Popen[bytes]:
    """Start `python -m module …` as the leader of a session of its own; what it prints is appended to `log`."""
    with log.open("ab") as output:
        return subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            stdin=stdin, stdout=output, stderr=output, env=dict(environment), cwd="/", start_new_session=True,
        )  # fmt: skip


def family(marks: Iterable[Mark]) -> list[Mark]:
    """The living among `marks`, all that descends from them, and whatever is left in the sessions that they led.

    The last matters after a kill: orphans are adopted by init, but stay in their session, whose number the kernel
    does not give away while one member lives.
    """
    known = list(marks)
    found: dict[int, Mark] = {m.pid: m for m in known if m.is_alive()}
    oldest = {m.pid: m.started for m in known}
    parents: dict[int, int] = {}
    for process in psutil.process_iter():
        current = mark(process.pid)
        if current is None:
            continue
        try:
            parents[process.pid] = process.ppid()
            session = os.getsid(process.pid)
        except (psutil.Error, ProcessLookupError, PermissionError):
            continue
        led = oldest.get(session)
        leader_started = started_at(session)
        if led is not None and current.started >= led and leader_started in {None, led}:
            found[process.pid] = current
    grown = True
    while grown:
        grown = False
        for pid, parent in parents.items():
            if pid not in found and parent in found and (child := mark(pid)):
                found[pid] = child
                grown = True
    found.pop(os.getpid(), None)
    return list(found.values())


def marked_with_run(run_id: str) -> list[Mark]:
    """Processes whose environment carries this run's id (a random one, so nobody else's)."""
    wanted = f"{RUN_VARIABLE}={run_id}".encode()
    found = []
    for process in psutil.process_iter():
        try:
            if wanted in Path(f"/proc/{process.pid}/environ").read_bytes().split(b"\0") and (current := mark(process.pid)):
                found.append(current)
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
    return [m for m in found if m.pid != os.getpid()]


def end(marks: Iterable[Mark], *, patience_s: float = 5.0, signal_number: int = signal.SIGTERM) -> list[Mark]:
    """Ask these processes to end, wait, then kill those that did not; returns what even that could not end.

    Children of ours stay zombies until whoever started them waits for them; nobody else's exit status is taken away here.
    """
    asked = [one for one in marks if _send(one, signal_number)]
    stubborn = _wait_for(asked, patience_s)
    for one in stubborn:
        _send(one, signal.SIGKILL)
    return _wait_for(stubborn, KILL_TIMEOUT_S)


def _send(one: Mark, signal_number: int) -> bool:
    if not one.is_alive():
        return False
    try:
        os.kill(one.pid, signal_number)
    except ProcessLookupError:
        return False
    return True


def _wait_for(marks: list[Mark], timeout_s: float) -> list[Mark]:
    """Those that still run after so long."""
    deadline = time.monotonic() + timeout_s
    while (left := [one for one in marks if one.is_alive()]) and time.monotonic() < deadline:
        time.sleep(POLL_S)
    return left


def rotate(log: Path, *, bytes_max: int = LOG_BYTES_MAX, kept: int = LOGS_KEPT) -> bool:
    """Move a log that grew too large to `<log>.1` and empty it; its writers append, so they go on at the start."""
    if not log.exists() or log.stat().st_size <= bytes_max:
        return False
    for number in range(kept - 1, 0, -1):
        older = log.with_name(f"{log.name}.{number}")
        if older.exists():
            older.replace(log.with_name(f"{log.name}.{number + 1}"))
    with log.open("rb+") as file, log.with_name(f"{log.name}.1").open("wb") as copy:
        while chunk := file.read(1024 * 1024):
            copy.write(chunk)
        file.truncate(0)
    return True
