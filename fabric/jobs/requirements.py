"""Pure: which slots a job accepts."""

from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from typing import Any, Protocol, Self
from uuid import UUID

from fabric.core.errors import Invalid
from fabric.core.ids import ProviderId
from fabric.providers.runtimes import Newest

GIB = 1024**3
ACCELERATORS = ("cpu", "cuda", "rocm", "directml", "coreml", "openvino", "npu")


class SlotLike(Protocol):
    """What has to be known of a slot to say whether a job accepts it."""

    @property
    def provider_id(self) -> UUID:
        """The machine."""
        ...

    @property
    def accelerator(self) -> str:
        """One of ACCELERATORS."""
        ...

    @property
    def memory_gib(self) -> float:
        """Memory that its models may use."""
        ...

    @property
    def region(self) -> str | None:
        """Where the machine stands; None when nobody said."""
        ...

    @property
    def newest(self) -> Newest:
        """The newest models that its ONNX Runtime takes."""
        ...


@dataclass(frozen=True, slots=True)
class Requirements:
    """What a requestor asks of the machines. An empty field asks nothing."""

    accelerators: frozenset[str] = field(default_factory=frozenset)
    memory_gib_min: float = 0.0
    regions: frozenset[str] = field(default_factory=frozenset)
    only: frozenset[UUID] = field(default_factory=frozenset)
    never: frozenset[UUID] = field(default_factory=frozenset)

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Self:
        """Read the public form, as in a job's body and in jobs.requirements.

        Raises:
            Invalid: an unknown accelerator, a negative amount of memory, or an id that is none.
        """
        providers = document.get("providers") or {}
        accelerators = frozenset(document.get("accelerator") or ())
        memory_gib_min = float(document.get("memory_gib_min") or 0)
        if unknown := accelerators - set(ACCELERATORS):
            raise Invalid(f"unknown accelerator {min(unknown)!r}; there are {', '.join(ACCELERATORS)}")
        if memory_gib_min < 0:
            raise Invalid("memory_gib_min cannot be negative")
        return cls(
            accelerators, memory_gib_min, frozenset(document.get("region") or ()),
            frozenset(map(ProviderId.parse, providers.get("only") or ())),
            frozenset(map(ProviderId.parse, providers.get("never") or ())),
        )  # fmt: skip


ANYTHING = Requirements()


def matches(requirements: Requirements, slot: SlotLike) -> bool:
    """Whether a job with these requirements accepts this slot (price and ownership aside)."""
    if requirements is ANYTHING:
        return True
    return (
        (not requirements.accelerators or slot.accelerator in requirements.accelerators)
        and slot.memory_gib >= requirements.memory_gib_min
        and (not requirements.regions or slot.region in requirements.regions)
        and (not requirements.only or slot.provider_id in requirements.only)
        and slot.provider_id not in requirements.never
    )


def has_memory(memory_bytes: int, slot: SlotLike) -> bool:
    """Whether a model whose profile has this peak fits the memory of a slot."""
    return memory_bytes <= slot.memory_gib * GIB


@dataclass(frozen=True, slots=True)
class Format:
    """What a model's file asks of an ONNX Runtime. 0 asks nothing."""

    opset: int = 0
    ir_version: int = 0

    @classmethod
    def of(cls, inspection: Mapping[str, Any]) -> Self:
        """That of a model, from what admission saw."""
        return cls(int(inspection.get("opset") or 0), int(inspection.get("ir_version") or 0))


ANY_FORMAT = Format()


def has_runtime(wanted: Format, slot: SlotLike) -> bool:
    """Whether the ONNX Runtime of a slot's machine takes such a model."""
    return slot.newest.takes(wanted.opset, wanted.ir_version)


def accepts_owner(job_owner_id: UUID, own_machines: bool, slot_owner_id: UUID, barred_owner_ids: Set[UUID] = frozenset()) -> bool:
    """Whether the job may run on a machine of this owner: on one's own only if the job says so, and it earns nothing there.

    Barred are owners who gave promotional credit to the job: it shall not come back to them as earnings.
    """
    if slot_owner_id == job_owner_id:
        return own_machines
    return slot_owner_id not in barred_owner_ids
