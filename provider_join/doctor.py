"""Says in plain words why joining does not work, or that it would."""

import shutil
import socket
import sys
import tempfile
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from provider_join import benchmark, hardware
from provider_join.api import ControlPlane
from provider_join.config import Home, Options, Stop
from provider_join.trust import trust_of

FREE_BYTES_MIN = 2 * 1024**3
SHARED_MEMORY_BYTES_MIN = 128 * 1024**2
PYTHON_MIN = (3, 11)

Finding = tuple[bool, str]
"""Whether it is fine, and a sentence."""


def report(options: Options, say: Callable[[str], None]) -> int:
    """Print one line for each check; 0 when joining should work."""
    findings = [
        finding
        for check in (_python, _ray, _runtime, _slots, _isolation, _disk, _shared_memory, _home, _contact)
        for finding in check(options)
    ]
    for fine, sentence in findings:
        say(f"{'ok  ' if fine else 'MEND'} {sentence}")
    return 0 if all(fine for fine, _ in findings) else 1


def _python(_: Options) -> list[Finding]:
    found = ".".join(map(str, sys.version_info[:3]))
    return [(sys.version_info[:2] >= PYTHON_MIN, f"Python {found}; 3.11 or newer is needed, the same 3.x as the fabric's")]


def _ray(_: Options) -> list[Finding]:
    try:
        return [(True, f"Ray {version('ray')} is installed")]
    except PackageNotFoundError:
        return [(False, "Ray is not installed: pip install 'onnx-fabric[provider]'")]


def _runtime(_: Options) -> list[Finding]:
    try:
        runtime = benchmark.detect_runtime()
    except Stop as stop:
        return [(False, str(stop))]
    return [(True, f"ONNX Runtime {runtime.version} drives {', '.join(runtime.execution_providers)}")]


def _slots(options: Options) -> list[Finding]:
    try:
        runtime = benchmark.detect_runtime()
    except Stop:
        return []
    machine = hardware.detect_hardware()
    slots = hardware.plan_slots(machine, runtime.execution_providers, runtime.devices, options.wishes)
    kinds = ", ".join(f"{slot.key} ({slot.device}, {slot.threads} threads)" for slot in slots)
    return [(bool(slots), f"{len(slots)} slots to lend: {kinds}" if slots else "no slot to lend; give --slots")]


def _isolation(_: Options) -> list[Finding]:
    why_not = hardware.detect_isolation()[1]
    if why_not:
        return [(True, f"no sandbox ({why_not}): models run in a plain child process, and offers say `isolation: process`")]
    return [(True, "models run in a sandbox, without network, files or environment")]


def _disk(_: Options) -> list[Finding]:
    free = shutil.disk_usage(tempfile.gettempdir()).free
    return [(free >= FREE_BYTES_MIN, f"{free / 1024**3:.1f} GiB free in {tempfile.gettempdir()}; models and scratch need 2")]


def _shared_memory(_: Options) -> list[Finding]:
    path = Path("/dev/shm")  # noqa: S108
    if not path.is_dir():
        return []
    total = shutil.disk_usage(path).total
    return [
        (
            total >= SHARED_MEMORY_BYTES_MIN,
            f"{total / 1024**2:.0f} MiB of shared memory; 128 are needed (docker: --shm-size=256m)",
        )
    ]


def _home(options: Options) -> list[Finding]:
    try:
        home = Home(options.home)
        known = home.credential()
    except (OSError, Stop) as error:
        return [(False, f"{options.home} cannot be used: {error}")]
    if known:
        return [(True, f"{options.home} knows this machine as {known.provider_id}; no token is needed")]
    return [
        (
            options.token is not None,
            f"{options.home} is new: the first start needs --token" + (", given" if options.token else ""),
        )
    ]


def _contact(options: Options) -> list[Finding]:
    try:
        control = ControlPlane(options.url, trust_of(options))
    except Stop as stop:
        return [(False, str(stop))]
    try:
        if control.is_reachable():
            return [(True, f"{options.url} answers")]
    finally:
        control.close()
    host = socket.gethostname()
    return [(False, f"{options.url} does not answer from {host}; is the address right, and does a firewall stand between?")]
