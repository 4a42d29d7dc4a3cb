"""Looks at this machine: how hot it is, what it draws, and whether somebody uses it.

Nothing here decides, and nothing fails: what a platform does not tell is None. Linux is what this was tried on; the ways to ask
macOS and Windows are the documented ones, untried by us.
"""

import contextlib
import ctypes
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil

from provider_join.amd import Kfd
from provider_join.holding import Facts
from provider_join.metrics import processor_temperature
from provider_join.nvidia import Nvml

ASK_TIMEOUT_S = 5.0
RAPL = Path("/sys/class/powercap")
TERMINALS = Path("/dev")
RAPL_PAUSE_S = 0.2


class Sensors:
    """One who looks; keeps the last counters, since power and load are what they grew by."""

    def __init__(self, family_of: int | None = None) -> None:
        """The process `family_of` and its children are the fabric's own; what others use is foreign."""
        self._family_of = family_of
        self._drivers = (Nvml(), Kfd())
        self._energy: tuple[float, dict[str, int]] | None = None
        self._cpu: tuple[float, float, float] | None = None

    def look(self, *, use: bool = True) -> Facts:
        """What can be seen now; without `use`, not whether somebody uses the machine."""
        told = [reading for driver in self._drivers for reading in driver.readings()]
        temperatures = [reading["temperature_c"] for reading in told if "temperature_c" in reading]
        watts = [reading["power_w"] for reading in told if "power_w" in reading]
        if (degrees := processor_temperature()) is not None:
            temperatures.append(degrees)
        if (power := self._processor_power()) is not None:
            watts.append(power)
        return Facts(
            max(temperatures, default=None), sum(watts) if watts else None,
            input_age_s() if use else None, self._foreign_cpu() if use else None,
        )  # fmt: skip

    def _processor_power(self) -> float | None:
        """Of all packages, from their energy counters; most kernels show those to root only."""
        counters: dict[str, int] = {}
        for package in RAPL.glob("intel-rapl:?"):
            with contextlib.suppress(OSError, ValueError):
                counters[package.name] = int((package / "energy_uj").read_text())
        now = time.monotonic()
        before, self._energy = self._energy, (now, counters)
        if not counters:
            return None
        if before is None:
            time.sleep(RAPL_PAUSE_S)
            return self._processor_power()
        grown = [counters[name] - before[1][name] for name in counters if name in before[1]]
        if now <= before[0] or not grown or min(grown) < 0:  # a counter began anew
            return None
        return sum(grown) / 1e6 / (now - before[0])

    def _foreign_cpu(self) -> float | None:
        """The share of all cores that others used since the last look; None at the first one."""
        times = psutil.cpu_times()
        idle = times.idle + getattr(times, "iowait", 0.0)
        guests = getattr(times, "guest", 0.0) + getattr(times, "guest_nice", 0.0)  # counted in user already
        total, own = sum(times) - guests, self._own_cpu_s()
        before, self._cpu = self._cpu, (total, total - idle, own)
        if before is None or total <= before[0]:
            return None
        busy = (total - idle - before[1]) - max(0.0, own - before[2])
        return min(1.0, max(0.0, busy / (total - before[0])))

    def _own_cpu_s(self) -> float:
        spent = 0.0
        with contextlib.suppress(psutil.Error):
            agent = psutil.Process(self._family_of)
            for process in [agent, *agent.children(recursive=True)]:
                with contextlib.suppress(psutil.Error):
                    used = process.cpu_times()
                    spent += used.user + used.system
        return spent


def input_age_s() -> float | None:
    """Seconds since a key or the mouse was touched, as far as the platform tells.

    Linux: the latest input of any terminal, and of sessions whose desktop tells logind that it is idle or not. macOS: the HID
    system. Windows: the last input of this session.
    """
    with contextlib.suppress(OSError, ValueError, subprocess.SubprocessError, AttributeError):
        if sys.platform == "darwin":
            found = re.search(r'"HIDIdleTime" = (\d+)', _ask(["ioreg", "-c", "IOHIDSystem", "-d", "4"]))
            return int(found[1]) / 1e9 if found else None
        if sys.platform == "win32":
            return _windows_input_age_s()
        return min((age for age in (_terminal_age_s(), _desktop_age_s()) if age is not None), default=None)
    return None


def _terminal_age_s() -> float | None:
    """Reading from a terminal touches its access time (to within 8 s), as `w` shows it."""
    now, ages = time.time(), []
    for terminal in [*TERMINALS.glob("pts/[0-9]*"), *TERMINALS.glob("tty[1-9]*")]:
        with contextlib.suppress(OSError):
            state = terminal.stat()
            if state.st_uid != 0 or terminal.parent.name == "pts":  # an unused console is root's
                ages.append(max(0.0, now - state.st_atime))
    return min(ages, default=None)


def _desktop_age_s() -> float | None:
    if shutil.which("loginctl") is None:
        return None
    ages = []
    for line in _ask(["loginctl", "list-sessions", "--no-legend"]).splitlines():
        facts = _ask(["loginctl", "show-session", line.split()[0], "-p", "Type", "-p", "IdleHint", "-p", "IdleSinceHint"])
        said = dict(pair.partition("=")[::2] for pair in facts.splitlines())
        if said.get("Type") in {"x11", "wayland", "mir"}:
            since = int(said.get("IdleSinceHint") or 0) / 1e6
            ages.append(max(0.0, time.time() - since) if said.get("IdleHint") == "yes" and since else 0.0)
    return min(ages, default=None)


def _windows_input_age_s() -> float | None:
    class LastInput(ctypes.Structure):
        _fields_ = (("size", ctypes.c_uint), ("ticks", ctypes.c_uint))

    windows: Any = ctypes.__dict__["windll"]
    last = LastInput(ctypes.sizeof(LastInput), 0)
    if not windows.user32.GetLastInputInfo(ctypes.byref(last)):
        return None
    return float((windows.kernel32.GetTickCount() - last.ticks) & 0xFFFFFFFF) / 1000


def _ask(command: list[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, timeout=ASK_TIMEOUT_S, check=True).stdout
