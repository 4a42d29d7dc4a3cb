"""Join tokens and the first registration of a machine.

A join token says *whose* machine it is; enrolment answers with a credential of the machine's own and the session: everything its
agent needs to start its Ray node exactly as granted. Tokens and credentials are shown once and stored as SHA-256 only.
"""

import hashlib
import ipaddress
import secrets
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any
from uuid import UUID

from fabric import __version__
from fabric.core.errors import Conflict, FleetUnavailable, Invalid, Unauthenticated
from fabric.core.ids import JoinTokenId, ProviderId
from fabric.core.settings import RaySettings, Settings
from fabric.db.engine import Reader, Transaction
from fabric.events import outbox
from fabric.providers import grants, store, token_store
from fabric.providers.capabilities import Capabilities, SlotReport, check_capabilities, granted_labels, granted_resources
from fabric.providers.distribution import DISTRIBUTION
from fabric.providers.presence import HEARTBEAT_S
from fabric.providers.rates import require_rate
from fabric.providers.schedule import order_for

TOKEN_PREFIX = "fjt_"  # noqa: S105
CREDENTIAL_PREFIX = "fpc_"
HINT_CHARACTERS = 10
USES_MAX = 1000
EXPIRES_S_MAX = 90 * 86_400

RateOf = Callable[[SlotReport], int]
"""What a slot is suggested to ask, in nano-USD per hour."""


@dataclass(frozen=True, slots=True)
class Versions:
    """What a machine runs."""

    fabric: str
    ray: str
    python: str
    agent: str


@dataclass(frozen=True, slots=True)
class Application:
    """What an agent says when it enrols or comes back."""

    name: str
    platform: str
    region: str
    versions: Versions
    capabilities: Capabilities
    rate_nanos_per_hour: int | None  # the owner's own for every slot; None: it follows the suggestion, or stays what it is
    address: str | None


@dataclass(frozen=True, slots=True)
class GatePass:
    """With what and where a machine enters the gate."""

    key: str
    address: str | None
    """Of the gate for machines elsewhere; None: there is none."""
    loopback_address: str | None
    """Of the gate for this machine alone, if it is the control node itself."""


@dataclass(frozen=True, slots=True)
class Enrolment:
    """The answer to an enrolment; `credential` is shown this once."""

    provider_id: ProviderId
    credential: str
    session: dict[str, Any]


def secret_hash(secret: str) -> bytes:
    """What is stored of a token or credential. They are random, so one round of SHA-256 is enough."""
    return hashlib.sha256(secret.encode()).digest()


async def create_join_token(
    tx: Transaction, owner_id: UUID, *, label: str, uses_max: int, expires_s: int, live_max: int
) -> tuple[token_store.JoinToken, str]:
    """Make a token for machines of this user; the second value is the secret, shown once.

    Raises:
        Invalid: uses or expiry out of range.
        Conflict: the user has `live_max` live tokens already.
    """
    if not 1 <= uses_max <= USES_MAX:
        raise Invalid(f"A join token is good for 1 to {USES_MAX} machines.")
    if not 1 <= expires_s <= EXPIRES_S_MAX:
        raise Invalid(f"A join token expires after 1 to {EXPIRES_S_MAX} seconds.")
    await store.lock_owner(tx, owner_id)
    if await token_store.count_live_join_tokens(tx, owner_id) >= live_max:
        raise Conflict(f"You have {live_max} live join tokens; revoke one first.")
    secret = TOKEN_PREFIX + secrets.token_urlsafe(32)
    values = {
        "id": JoinTokenId.new(), "label": label, "hint": secret[:HINT_CHARACTERS], "token_hash": secret_hash(secret),
        "uses_max": uses_max,
    }  # fmt: skip
    return await token_store.insert_join_token(tx, owner_id, values, expires_s), secret


def wanted_versions() -> dict[str, str]:
    """What a machine must run to join: fabric and Ray exactly, Python in its first two numbers."""
    import platform

    return {
        "fabric_version": _installed(DISTRIBUTION, __version__),
        "ray_version": _installed("ray", "none"),
        "python_version": platform.python_version(),
    }


def check_versions(versions: Versions) -> None:
    """Refuse a machine whose actors could not talk with this fabric.

    Raises:
        Conflict: with `wanted` and `found`.
    """
    wanted = wanted_versions()
    found = {"fabric_version": versions.fabric, "ray_version": versions.ray, "python_version": versions.python}
    wrong = [name for name in ("fabric_version", "ray_version") if wanted[name] != found[name]]
    if wanted["python_version"].split(".")[:2] != found["python_version"].split(".")[:2]:
        wrong.append("python_version")
    if wrong:
        said = ", ".join(f"{n.removesuffix('_version')} {wanted[n]} is wanted, {found[n]} was found" for n in wrong)
        raise Conflict(f"This machine's versions do not fit: {said}.", wanted=wanted, found=found)


async def enroll(tx: Transaction, settings: Settings, token: str, application: Application, rate_of: RateOf) -> Enrolment:
    """Let a machine in: one use of the token, one new provider with its slots, a credential of its own.

    Raises:
        Unauthenticated: the token is unknown, spent, expired or revoked.
        Conflict: versions do not fit, or the owner has as many machines as allowed.
        Invalid: the capability report is wrong.
        FleetUnavailable: this fabric has no Ray cluster yet, or none that this machine can reach.
    """
    check_versions(application.versions)
    check_capabilities(application.capabilities)
    owner_id = await token_store.use_join_token(tx, secret_hash(token))
    if owner_id is None:
        raise Unauthenticated("This join token is unknown, used up, expired or revoked.")
    await store.lock_owner(tx, owner_id)
    if await store.count_providers(tx, owner_id) >= settings.limits.providers_max:
        raise Conflict(f"This user has {settings.limits.providers_max} machines already.")
    provider_id = ProviderId.new()
    credential = CREDENTIAL_PREFIX + secrets.token_urlsafe(32)
    values = _columns(provider_id, application)
    await store.insert_provider(
        tx,
        {"id": provider_id, "owner_id": owner_id, "credential_hash": secret_hash(credential), **values, "name": application.name},
    )
    await _write_slots(tx, provider_id, application, rate_of)
    gate = await _open_gate(tx, settings.ray, provider_id, values["labels"], application)
    return Enrolment(provider_id, credential, session(settings.ray, values["labels"], application.capabilities, gate))


async def rejoin(
    tx: Transaction, settings: Settings, machine: store.Provider, application: Application, rate_of: RateOf
) -> dict[str, Any]:
    """A machine that is known comes back: its facts are renewed, its prices stay; returns its session.

    Raises:
        Conflict: versions do not fit.
        Invalid: the capability report is wrong.
        Forbidden: the machine was cut off.
        FleetUnavailable: this fabric has no Ray cluster yet, or none that this machine can reach.
    """
    check_versions(application.versions)
    check_capabilities(application.capabilities)
    values = _columns(machine.id, application)
    await store.renew_provider(tx, machine.id, values)
    await _write_slots(tx, machine.id, application, rate_of)
    await outbox.notify_dispatch(tx, "slots")
    gate = await _open_gate(tx, settings.ray, machine.id, values["labels"], application)
    wish = order_for(machine.schedule_told, machine.schedule_revision, machine.schedule_wanted)
    return {**session(settings.ray, values["labels"], application.capabilities, gate), "schedule": asdict(wish) if wish else None}


async def machine_of_credential(reader: Reader, credential: str) -> store.Provider:
    """The machine that shows this credential.

    Raises:
        Unauthenticated: nobody has it, or the machine was removed.
    """
    machine = await store.provider_of_credential(reader, secret_hash(credential))
    if machine is None:
        raise Unauthenticated("This machine's credential is unknown or was revoked.")
    return machine


def session(ray: RaySettings, labels: dict[str, str], capabilities: Capabilities, gate: GatePass | None = None) -> dict[str, Any]:
    """All that an agent needs to start its Ray node; behind the gate that is how to enter it, and never where the GCS is.

    Raises:
        FleetUnavailable: no Ray cluster is configured.
    """
    if not ray.address:
        raise FleetUnavailable("This fabric has no Ray cluster that machines could join.")
    token = ray.token.get_secret_value() if ray.token else None
    # Ray compares Python to the patch level by default; what crosses here is bytes, so the minor level is enough.
    env = {"RAY_AUTH_MODE": "token" if token else "disabled", "RAY_DEFAULT_PYTHON_VERSION_MATCH_LEVEL": "minor"}
    is_loopback = gate is None and _is_loopback(_host_of(ray.address))
    if is_loopback:
        env["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"  # Ray's switch for "this node is loopback only"
    return {
        **wanted_versions(),
        "cluster": cluster_fingerprint(ray),
        "ray": {
            "address": (gate.address or gate.loopback_address) if gate else ray.address,
            "loopback_address": gate.loopback_address if gate else None,
            "gate_key": gate.key if gate else None,
            "token": token,
            "env": env,
        },
        "labels": labels,
        "resources": granted_resources(capabilities),
        "node_ip": "127.0.0.1" if is_loopback else None,
        "ports": provider_ports(ray.provider_ports_start),
        "heartbeat_s": HEARTBEAT_S,
    }


async def _open_gate(
    tx: Transaction, ray: RaySettings, provider_id: ProviderId, labels: dict[str, str], application: Application
) -> GatePass | None:
    """Grant the machine what it may register as, with a fresh key; None when there is no gate."""
    if not (ray.gate and ray.address):
        return None
    key, hashed = grants.new_key()
    is_local = _is_of_control_node(ray, application.address)
    resources = granted_resources(application.capabilities)
    number = await grants.write_grant(tx, provider_id, hashed, labels, resources, is_local=is_local)
    is_open_here = number is not None and ray.gate_port is not None
    made = GatePass(key, ray.gate_address, f"127.64.0.{number}:{ray.gate_port}" if is_open_here else None)
    if made.address is None and made.loopback_address is None:
        raise FleetUnavailable(
            f"At most {grants.LOOPBACK_NUMBERS_MAX} machines can join on the control node itself, and so many are here."
            if is_local and ray.gate_port is not None
            else "The gate of this fabric lets in machines of the control node only: it has no address beyond loopback."
        )
    return made


def _is_of_control_node(ray: RaySettings, address: str | None) -> bool:
    return address is not None and (_is_loopback(address) or address == _host_of(ray.gate_address or ""))


def _host_of(address: str) -> str:
    return address.rpartition(":")[0].strip("[]")


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def cluster_fingerprint(ray: RaySettings) -> str:
    """Tells one cluster (addresses and token) from another without telling the token."""
    token = ray.token.get_secret_value() if ray.token else ""
    way_in = f"{ray.gate_address} {ray.gate_port}" if ray.gate else ""
    return hashlib.sha256(f"{ray.address}\n{way_in}\n{token}".encode()).hexdigest()[:16]


def provider_ports(start: int | None) -> dict[str, int] | None:
    """The ports that a machine's Ray node shall use, so that a firewall can name them; None: any free ones."""
    if start is None:
        return None
    names = (
        "node_manager",
        "object_manager",
        "runtime_env_agent",
        "dashboard_agent_grpc",
        "dashboard_agent_listen",
        "metrics_export",
    )
    ports = {name: start + offset for offset, name in enumerate(names)}
    return {**ports, "worker_min": start + len(names), "worker_max": start + 105}


async def _write_slots(tx: Transaction, provider_id: ProviderId, application: Application, rate_of: RateOf) -> None:
    named = application.rate_nanos_per_hour
    require_rate(named)
    reports = application.capabilities.slots
    rates = [rate_of(slot) if named is None else named for slot in reports]
    await store.write_slots(tx, provider_id, reports, rates, is_own=named is not None)


def _columns(provider_id: ProviderId, application: Application) -> dict[str, Any]:
    versions = application.versions
    facts = {
        **application.capabilities.as_json(), "platform": application.platform, "fabric_version": versions.fabric,
        "ray_version": versions.ray, "python_version": versions.python,
    }  # fmt: skip
    return {
        "capabilities": facts,
        "labels": granted_labels(provider_id, application.capabilities, application.region),
        "address": application.address,
        "agent_version": versions.agent,
        "agent_state": {},
    }


def _installed(distribution: str, otherwise: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return otherwise
