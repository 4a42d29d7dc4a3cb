"""Says in plain words why joining does not work, or that it would: records of what was found, what is needed and what helps."""

import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from pathlib import Path

import psutil

from provider_join import benchmark, hardware
from provider_join.api import ControlPlane, Unreachable
from provider_join.config import Home, Options, Stop
from provider_join.records import MEND, NOTE, OK, Record, is_fine, size_of
from provider_join.trust import trust_of

GIB = 1024**3
FREE_BYTES_MIN = 2 * GIB
MEMORY_BYTES_MIN = GIB
SHARED_MEMORY_BYTES_MIN = 128 * 1024**2
CLOCK_S_MAX = 60.0
"""Signed URLs live for minutes, and certificates have dates."""
CONNECT_TIMEOUT_S = 5.0
PYTHON_MIN = (3, 11)
DISTRIBUTION = "onnx-fabric"
EXTRA = "pip install 'onnx-fabric[provider]'"


def report(options: Options, say: Callable[[str], None]) -> int:
    """Print one line for each record; 0 when joining should work."""
    records = examine(options)
    for record in records:
        say(f"{'MEND' if record.status == MEND else 'ok  '} {record.sentence()}")
    return 0 if is_fine(records) else 1


def examine(options: Options) -> list[Record]:
    """Look at everything that joining needs. Takes some seconds; changes nothing and tells the fabric nothing."""
    runtime, records = _runtime()
    checks = (_isolation, _disk, _memory, _shared_memory, _home, fabric_records, _gate)
    records = [_python(), _ray(), *records, *_flavours(), *(_slots(options, runtime) if runtime else ())]
    return records + [record for check in checks for record in check(options)]


def _python() -> Record:
    found = f"Python {'.'.join(map(str, sys.version_info[:3]))}"
    fine = sys.version_info[:2] >= PYTHON_MIN
    return Record("python", OK if fine else MEND, found, "3.11 or newer, the same 3.x as the fabric's", "install that Python")


def _ray() -> Record:
    try:
        return Record("ray", OK, f"Ray {version('ray')} is installed")
    except PackageNotFoundError:
        return Record("ray", MEND, "Ray is not installed", "the fabric's version", EXTRA)


def _runtime() -> tuple[benchmark.Runtime | None, list[Record]]:
    try:
        runtime = benchmark.detect_runtime()
    except Stop as stop:
        return None, [Record("runtime", MEND, str(stop), "one ONNX Runtime", EXTRA)]
    return runtime, [Record("runtime", OK, f"ONNX Runtime {runtime.version} drives {', '.join(runtime.execution_providers)}")]


def _flavours() -> list[Record]:
    found = sorted(set(packages_distributions().get("onnxruntime", ())))
    if len(found) <= 1:
        return []
    remedy = f"pip uninstall -y {' '.join(found)}, then install one flavour again"
    return [Record("flavours", MEND, f"several own one module: {', '.join(found)}", "exactly one of them", remedy)]


def _slots(options: Options, runtime: benchmark.Runtime) -> list[Record]:
    machine = hardware.detect_hardware()
    slots = hardware.plan_slots(machine, runtime.execution_providers, runtime.devices, options.wishes)
    kinds = ", ".join(f"{slot.key} ({slot.device}, {slot.threads} threads)" for slot in slots)
    problem = hardware.problem_of(machine, runtime.execution_providers)
    left_out = [Record("devices", NOTE, problem, "", "see the fabric's page on platforms")] if problem else []
    if slots:
        return [Record("slots", OK, f"{len(slots)} slots to lend: {kinds}"), *left_out]
    return [
        *left_out,
        Record("slots", MEND, "no slot to lend", "an accelerator that ONNX Runtime drives, or CPU slots", "give --slots 1"),
    ]


def _isolation(_: Options) -> list[Record]:
    why_not = hardware.detect_isolation()[1]
    if why_not:
        found = f"no sandbox ({why_not}): models run in a plain child process, and offers say `isolation: process`"
        return [Record("isolation", NOTE, found, "", "on Linux, let this user make namespaces (bubblewrap)")]
    return [Record("isolation", OK, "models run in a sandbox, without network, files or environment")]


def _disk(_: Options) -> list[Record]:
    folder = tempfile.gettempdir()
    free = shutil.disk_usage(folder).free
    status = OK if free >= FREE_BYTES_MIN else MEND
    return [Record("disk", status, f"{size_of(free)} free in {folder}", f"{size_of(FREE_BYTES_MIN)} for scratch", "make room")]


def _memory(_: Options) -> list[Record]:
    free = psutil.virtual_memory().available
    status = OK if free >= MEMORY_BYTES_MIN else MEND
    return [Record("memory", status, f"{size_of(free)} of memory available", size_of(MEMORY_BYTES_MIN), "end what uses it")]


def _shared_memory(_: Options) -> list[Record]:
    path = Path("/dev/shm")  # noqa: S108
    if not path.is_dir():
        return []
    total = shutil.disk_usage(path).total
    status = OK if total >= SHARED_MEMORY_BYTES_MIN else MEND
    return [Record("shared-memory", status, f"{size_of(total)} of shared memory", "128 MiB", "docker: --shm-size=256m")]


def _home(options: Options) -> list[Record]:
    try:
        home = Home(options.home)
        known = home.credential()
        home.settings()
    except (OSError, Stop) as error:
        return [Record("home", MEND, f"{options.home} cannot be used: {error}", "a folder of this user's", "give another --home")]
    if known:
        return [Record("home", OK, f"{options.home} knows this machine as {known.provider_id}; no token is needed")]
    if options.token:
        return [Record("home", OK, f"{options.home} is new, and a token is given")]
    return [Record("home", MEND, f"{options.home} is new", "a join token", "the first start needs --token")]


def fabric_records(options: Options) -> list[Record]:
    """Whether the fabric answers, and whether its clock and its versions are this machine's."""
    try:
        control = ControlPlane(options.url, trust_of(options))
    except Stop as stop:
        return [Record("fabric", MEND, str(stop), "a way that is encrypted")]
    try:
        asked_at = time.time()
        wanted, date = control.public("/join/versions.json")
    except Unreachable as error:
        remedy = "is the address right, and does a firewall stand between?"
        return [Record("fabric", MEND, f"{error}, asked from {socket.gethostname()}", "a fabric that answers", remedy)]
    finally:
        control.close()
    records = [Record("fabric", OK, f"{options.url} answers")]
    if date is not None:
        records.append(clock_record(asked_at, parsedate_to_datetime(date).timestamp()))
    return records + (_versions(wanted) if wanted else [])


def clock_record(here_s: float, there_s: float) -> Record:
    """Pure: how far this machine's clock is from the fabric's, both in seconds since 1970."""
    off = abs(here_s - there_s)
    found = f"the clock here is {off:.0f} s {'ahead of' if here_s > there_s else 'behind'} the fabric's"
    status = OK if off <= CLOCK_S_MAX else MEND
    return Record("clock", status, found, f"at most {CLOCK_S_MAX:.0f} s", "let the system set its clock (NTP)")


def _versions(wanted: dict[str, object]) -> list[Record]:
    here = {"Python": ".".join(map(str, sys.version_info[:2])), "Fabric": _installed()}
    there = {"Python": str(wanted.get("python_version")), "Fabric": str(wanted.get("fabric_version"))}
    wrong = [name for name in here if here[name] != there[name]]
    found = ", ".join(f"{name} {here[name]}" for name in here)
    needed = ", ".join(f"{name} {there[name]}" for name in there)
    remedy = "install again with the line on the fabric's page /join"
    return [Record("versions", MEND if wrong else OK, found, needed, remedy)]


def _installed() -> str:
    try:
        return version(DISTRIBUTION)
    except PackageNotFoundError:
        return "none"


def _gate(options: Options) -> list[Record]:
    """The way on which this machine's node went last; which one it is, only a session tells."""
    try:
        address = str(Home(options.home).settings().get("cluster_address") or "")
        host, _, port = address.rpartition(":")
        if not address:
            return [
                Record("gate", NOTE, "the way to the cluster is known after the first start", "", "start once, then ask again")
            ]
        with socket.create_connection((host.strip("[]"), int(port)), CONNECT_TIMEOUT_S):
            pass
        trust_of(options).check_way(address)
    except (OSError, ValueError) as error:
        remedy = "does a firewall stand between, or is a tunnel down?"
        return [Record("gate", MEND, f"{address} does not answer ({error})", "a connection", remedy)]
    except Stop as stop:
        return [Record("gate", MEND, str(stop), "a way that is encrypted")]
    return [Record("gate", OK, f"{address} answers")]
