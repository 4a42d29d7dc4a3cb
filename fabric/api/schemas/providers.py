"""Bodies of /api/v1/providers, including the capability report."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Field

from fabric.api.schemas.common import Body, Moment, Money
from fabric.api.schemas.heartbeats import DeviceReading, Holding, Text
from fabric.api.schemas.schedules import (
    CapsOut,
    MachineScheduleIn,
    MachineScheduleOut,
    ScheduleOrderOut,
    ScheduleWantedOut,
    schedules_of,
)
from fabric.core.money import usd_nanos
from fabric.providers import enroll, presence, store, token_store
from fabric.providers.capabilities import Capabilities, SlotReport
from fabric.providers.rates import AUTO, REFUSE, ModelRate, Rate

Price = Annotated[str, Field(max_length=40, description='Decimal USD per hour, such as "0.02".')]


class JoinTokenIn(Body):
    """A token to make."""

    label: Text
    """For you, to tell it from others."""
    uses_max: int = 1
    """So many machines may join with it."""
    expires_s: int = 3600
    """It is good for so long."""


class JoinTokenOut(Body):
    """A token that lets machines join; the secret itself is not kept."""

    id: str
    label: str
    hint: str
    """How it begins."""
    uses_max: int
    uses: int
    expires_at: Moment
    revoked_at: Moment | None
    created_at: Moment

    @classmethod
    def of(cls, token: token_store.JoinToken) -> Self:
        """Show a token."""
        return cls(
            id=str(token.id), label=token.label, hint=token.hint, uses_max=token.uses_max, uses=token.uses,
            expires_at=token.expires_at, revoked_at=token.revoked_at, created_at=token.created_at,
        )  # fmt: skip


class NewJoinTokenOut(JoinTokenOut):
    """A fresh token, with its secret."""

    token: str
    """Shown this once."""


class SlotIn(Body):
    """One slot that a machine reports."""

    slot: int
    resource: Text
    accelerator: Text
    device: Text
    execution_provider: Text
    threads: int
    memory_gib: float
    benchmark_runs_per_s: float
    device_id: Annotated[str, Field(max_length=80)] = ""
    """How ONNX Runtime there is told which device; empty: its default one."""
    device_key: Annotated[str, Field(max_length=80)] = ""
    """The owner's word for the device, such as `cuda:1`."""


class CapabilitiesIn(Body):
    """What a machine says it has."""

    cpu: Text
    cpu_cores: Annotated[int, Field(ge=1, le=65_536)]
    memory_gib: float
    onnxruntime_version: Text
    execution_providers: Annotated[list[Text], Field(max_length=64)]
    slots: Annotated[list[SlotIn], Field(max_length=1024)]
    isolation: Text = "process"
    """`sandbox`: models run without network and files; `process`: in a child process with limits."""

    opset_max: int | None = None
    """The highest opset that its ONNX Runtime takes; null: by its version."""
    ir_version_max: int | None = None

    def report(self) -> Capabilities:
        """The same as a value of the domain, not yet checked."""
        return Capabilities(
            self.cpu, self.cpu_cores, self.memory_gib, self.onnxruntime_version, tuple(self.execution_providers),
            tuple(SlotReport(**slot.model_dump()) for slot in self.slots), self.isolation,
            self.opset_max, self.ir_version_max,
        )  # fmt: skip


class SessionIn(Body):
    """What an agent says when it comes (back)."""

    name: Text
    region: Text = "unknown"
    platform: Text
    agent_version: Text
    fabric_version: Text
    ray_version: Text
    python_version: Text
    capabilities: CapabilitiesIn
    price_usd_per_hour: Price | None = None
    """The owner's own for every slot; null: it follows the suggestion from enrolment on, or stays what it is."""

    def application(self, address: str | None) -> enroll.Application:
        """The same as a value of the domain.

        Raises:
            Invalid: the price is no amount.
        """
        return enroll.Application(
            self.name, self.platform, self.region,
            enroll.Versions(self.fabric_version, self.ray_version, self.python_version, self.agent_version),
            self.capabilities.report(), _nanos(self.price_usd_per_hour), address,
        )  # fmt: skip


class EnrollIn(SessionIn):
    """A machine's first registration."""

    token: Text


class RayOut(Body):
    """How to reach the Ray cluster."""

    address: str
    """host:port of the gate where there is one, else of the cluster."""
    loopback_address: str | None = None
    """The gate's address for this machine alone, if it is the control node itself."""
    gate_key: str | None = None
    """With it the machine enters the gate, before its node starts; a fresh one for each session. null: there is no gate."""
    token: str | None
    env: dict[str, str]


class SessionOut(Body):
    """All that an agent needs to start its Ray node, exactly as granted."""

    fabric_version: str
    ray_version: str
    python_version: str
    cluster: str
    """Changes when another Ray cluster takes over."""
    ray: RayOut
    labels: dict[str, str]
    resources: dict[str, int]
    node_ip: str | None
    """null: the address that reaches the cluster."""
    ports: dict[str, int] | None
    """null: any free ones."""
    heartbeat_s: float
    schedule: ScheduleOrderOut | None = None
    """What its owner wished while it was away; null: nothing. A fabric without this field knows of no schedules."""


class EnrolledOut(Body):
    """The answer to an enrolment."""

    provider_id: str
    credential: str
    """The machine's own, shown this once."""
    session: SessionOut


class ModelPriceIn(Body):
    """What to ask for a single model."""

    model: Text
    """Its id, or a name that you could run it by."""
    price_usd_per_hour: Price
    """An own rate for it, `refuse`: it is not run here, or `auto`: whatever is asked otherwise."""


class SlotChangeIn(Body):
    """What to change of one slot."""

    slot: int
    price_usd_per_hour: Price | None = None
    """An own rate, or `auto`: it follows the suggestion."""
    enabled: bool | None = None
    models: list[ModelPriceIn] = Field(default_factory=list, max_length=64)


class ProviderChangeIn(Body):
    """What to change of a machine; what is left out stays."""

    name: Text | None = None
    state: Literal["paused", "online"] | None = None
    price_usd_per_hour: Price | None = None
    """Of every slot; `auto`: it follows the suggestion."""
    slots: list[SlotChangeIn] = Field(default_factory=list, max_length=64)
    models: list[ModelPriceIn] = Field(default_factory=list, max_length=64)
    """Of every slot."""
    schedule: MachineScheduleIn | None = None
    """When it lends. The machine takes it with its next heartbeat; what runs is finished."""

    @property
    def model_names(self) -> set[str]:
        """All models that are named."""
        return {entry.model for entries in (self.models, *(slot.models for slot in self.slots)) for entry in entries}

    def changes(self, model_ids: Mapping[str, str]) -> presence.Changes:
        """The same as a value of the domain; `model_ids` has the id of each of `model_names`.

        Raises:
            Invalid: a price is no amount.
        """
        slots = tuple((slot.slot, _rate(slot.price_usd_per_hour), slot.enabled) for slot in self.slots)
        entries = [(None, entry) for entry in self.models] + [(slot.slot, entry) for slot in self.slots for entry in slot.models]
        models = tuple((slot, model_ids[entry.model], _model_rate(entry.price_usd_per_hour)) for slot, entry in entries)
        wish = self.schedule.wish() if self.schedule else None
        return presence.Changes(self.name, self.state, _rate(self.price_usd_per_hour), slots, models, wish)


class ModelPriceOut(Body):
    """What a slot asks for a single model."""

    model_id: str
    price_per_hour: Money | None
    """null: it is not run here."""


class SlotOut(Body):
    """One slot of a machine."""

    slot: int
    accelerator: str
    device: str
    device_key: str
    """Your word for the device, as in `provider-join --without`; empty: its agent is older than that."""
    execution_provider: str
    threads: int
    memory_gib: float
    benchmark_runs_per_s: float
    price_per_hour: Money
    price: Literal["auto", "own"]
    """`auto`: it follows the suggestion; `own`: you set it."""
    enabled: bool
    is_busy: bool
    """Whether it works on something now."""
    works_on: str | None
    """The model, by name; null: on nothing, or on a private model of somebody else."""
    models: list[ModelPriceOut]
    """For which single models it asks something else."""


class ProviderOut(Body):
    """A machine of yours."""

    id: str
    name: str
    status: Literal["enrolled", "online", "paused", "draining", "offline"]
    """`paused`: by you here, or the machine holds back by itself (`holding` says why)."""
    holding: Holding | None = None
    schedule: MachineScheduleOut | None = None
    """When it lends, as it told last; null: its agent is too old to say."""
    schedule_wanted: ScheduleWantedOut | None = None
    """What you set and it has not taken; null: nothing."""
    caps: CapsOut | None = None
    """What it keeps to beside it; null: its agent is too old to say."""
    region: str
    agent_version: str
    capabilities: dict[str, Any]
    agent_state: dict[str, Any]
    """The last heartbeat's report."""
    slots: list[SlotOut]
    devices: list[DeviceReading]
    """How its devices did at the last heartbeat."""
    last_heartbeat_at: Moment | None
    created_at: Moment

    @classmethod
    def of(cls, machine: store.Provider, work: Mapping[int, str | None]) -> Self:
        """Show a machine to its owner; `work`: slots at work, and the models there."""
        slots = [
            SlotOut(
                slot=s.slot, accelerator=s.accelerator, device=s.device, device_key=s.device_key, execution_provider=s.execution_provider,
                threads=s.threads, memory_gib=s.memory_gib, benchmark_runs_per_s=s.benchmark_runs_per_s,
                price_per_hour=Money.of(s.rate_nanos_per_hour), enabled=s.enabled,
                price="auto" if s.is_auto else "own", is_busy=s.slot in work, works_on=work.get(s.slot),
                models=[
                    ModelPriceOut(model_id=model_id, price_per_hour=None if rate is None else Money.of(rate))
                    for model_id, rate in sorted(s.model_rates.items())
                ],
            )
            for s in machine.slots
        ]  # fmt: skip
        holding = machine.agent_state.get("holding")
        status = "paused" if holding and machine.status == "online" else machine.status
        return cls.model_validate(
            {
                "id": str(machine.id), "name": machine.name, "status": status, "holding": holding,
                **schedules_of(machine),
                "region": machine.labels.get("fabric.region", "unknown"), "agent_version": machine.agent_version,
                "capabilities": machine.capabilities, "agent_state": machine.agent_state, "slots": slots,
                "devices": machine.agent_state.get("devices", []),
                "last_heartbeat_at": machine.last_heartbeat_at, "created_at": machine.created_at,
            }
        )  # fmt: skip


def _model_rate(price: str) -> ModelRate:
    return REFUSE if price == REFUSE else AUTO if price == AUTO else usd_nanos(price)


def _rate(price: str | None) -> Rate | None:
    return AUTO if price == AUTO else _nanos(price)


def _nanos(price: str | None) -> int | None:
    return None if price is None else usd_nanos(price)
