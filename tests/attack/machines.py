"""Machines made of namespaces: each has a network, processes, files and an unprivileged user of its own, and one link to the hub.

A machine lives exactly as long as its process 1, which ends when its standard input closes; the kernel then ends everything in it and
removes its link. `python -m tests.attack.machines` is that process 1.
"""

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).parents[2]
UNSHARE = ["unshare", "--net", "--mount", "--pid", "--uts", "--ipc", "--fork", "--mount-proc", "--kill-child"]
HUB = "10.99.0.1"
USER = 64_000
HIDDEN = ("/tmp", "/dev/shm", "/root", "/home", "/run", "/var/lib", "/var/tmp", "/mnt")
START_S = 20.0
PROGRAM_S = 60.0


@dataclass(frozen=True, slots=True)
class Report:
    """What a program in a machine said."""

    succeeded: bool
    evidence: str
    facts: dict[str, Any]


class Machine:
    """A stranger's computer on the overlay."""

    def __init__(self, name: str, number: int) -> None:
        """Start it; its address and user come from its number (from 1)."""
        self.name = name
        self.address = f"10.99.0.{number + 1}"
        self.user = USER + number
        self.link = f"to-{name}"[:15]
        self._programs: subprocess.Popen[str] | None = None
        self._process = subprocess.Popen(
            [*UNSHARE, sys.executable, "-m", "tests.attack.machines"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT,
        )  # fmt: skip
        assert self._process.stdout is not None
        watch = threading.Timer(START_S, self._process.kill)
        watch.start()
        ready = self._process.stdout.readline()
        watch.cancel()
        assert ready == b"ready\n", f"the machine {name} did not start"
        (first,) = psutil.Process(self._process.pid).children()
        self.pid = first.pid
        self._connect()

    def _connect(self) -> None:
        """One link to the hub, on which only this machine's address is taken; the hub forwards nothing."""
        _ip("link", "add", self.link, "type", "veth", "peer", "name", "hub", "netns", str(self.pid))
        Path(f"/proc/sys/net/ipv4/conf/{self.link}/rp_filter").write_text("1")
        _ip("link", "set", self.link, "up")
        _ip("route", "add", f"{self.address}/32", "dev", self.link)
        assert Path("/proc/sys/net/ipv4/ip_forward").read_text().strip() == "0"
        inside = ["nsenter", "--target", str(self.pid), "--net", "ip"]
        for command in (
            ["link", "set", "lo", "up"],
            ["addr", "add", f"{self.address}/32", "dev", "hub"],
            ["link", "set", "hub", "up"],
            ["route", "add", "default", "via", HUB, "dev", "hub", "onlink"],
        ):
            subprocess.run([*inside, *command], check=True)

    def spawn(
        self, command: Sequence[str], *, environment: Mapping[str, str] | None = None, **options: Any
    ) -> "subprocess.Popen[str]":
        """Start a command in it, as its user, with no more of the environment than a login would give."""
        variables = {
            "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "HOME": "/tmp", "USER": "owner", "LOGNAME": "owner",
            "LANG": "C.UTF-8", "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1", **(environment or {}),
        }  # fmt: skip
        enter = ["nsenter", "--target", str(self.pid), "--net", "--mount", "--pid", "--uts", "--ipc", "--"]
        become = [
            "setpriv",
            f"--reuid={self.user}",
            f"--regid={self.user}",
            "--clear-groups",
            "--no-new-privs",
            "--bounding-set=-all",
            "--",
        ]
        login = ["env", "-i", "--chdir=/tmp", *(f"{name}={value}" for name, value in variables.items())]
        return subprocess.Popen([*enter, *become, *login, *command], text=True, **options)

    def run(self, program: str, *, timeout_s: float = PROGRAM_S, **given: Any) -> Report:
        """Run one of `programs/` (`module:function`) to its end; they run one after the other."""
        return self.begin(program, **given)(timeout_s)

    def begin(self, program: str, **given: Any) -> Callable[..., Report]:
        """Start one of `programs/` and go on; what is returned waits for its report."""
        if self._programs is None or self._programs.poll() is not None:
            self._programs = self.spawn(
                [sys.executable, "-m", "tests.attack.programs"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=1
            )
        programs = self._programs
        assert programs.stdin is not None and programs.stdout is not None
        programs.stdin.write(json.dumps({"program": program, "given": given}) + "\n")
        programs.stdin.flush()

        def report(timeout_s: float = PROGRAM_S) -> Report:
            watch = threading.Timer(timeout_s, programs.kill)
            watch.start()
            line = programs.stdout.readline() if programs.stdout else ""
            watch.cancel()
            assert line, f"{program} did not end within {timeout_s:.0f} s"
            answer = json.loads(line)
            # A program that breaks is a mistake of this suite, never a refusal.
            assert "broke" not in answer, f"{program} broke:\n{answer['broke']}"
            return Report(bool(answer["succeeded"]), str(answer["evidence"]), dict(answer["facts"]))

        return report

    def path(self, path: str) -> Path:
        """How a file of that machine is reached from here."""
        return Path(f"/proc/{self.pid}/root{path}")

    def end(self) -> None:
        """End everything in it."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def private_view(hidden: Mapping[str, Path | None]) -> None:
    """Put a folder (None: an empty one) over each place, for this mount namespace alone.

    What Python and this suite need stays where it is, wherever that may be, and every user can come to it.
    """
    needed = {ROOT, Path(sys.prefix), Path(sys.base_prefix)}
    places = dict(hidden)
    for path in needed:
        closed = [str(parent) for parent in reversed(path.parents) if not parent.stat().st_mode & 0o001]
        if closed and not any(Path(closed[0]).is_relative_to(place) for place in places):
            places[closed[0]] = None
    _mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", "/mnt")  # kept aside while places are covered
    aside = {}
    for number, path in enumerate(sorted([*needed, *(f for f in places.values() if f)])):
        aside[path] = Path(f"/mnt/{number}")
        aside[path].mkdir()
        _mount("--rbind", str(path), str(aside[path]))
    for place, source in places.items():
        if place == "/mnt" or not Path(place).is_dir():
            continue
        if source is None:
            mode = "1777" if place in ("/tmp", "/dev/shm", "/var/tmp") else "755"
            _mount("-t", "tmpfs", "-o", f"mode={mode}", "tmpfs", place)
        else:
            _mount("--bind", str(aside[source]), place)
    for path in sorted(needed):
        if not path.exists():
            path.mkdir(parents=True)
            _mount("--rbind", str(aside[path]), str(path))
    subprocess.run(["umount", "--recursive", "--lazy", "/mnt"], check=True)


def _mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True)


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)


def _be_process_one() -> None:
    """Cover what belongs to other machines, then wait, collecting orphans, until standard input closes."""
    private_view(dict.fromkeys(HIDDEN))
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel collects them
    print("ready", flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    _be_process_one()
