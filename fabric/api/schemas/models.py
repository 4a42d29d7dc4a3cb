"""Bodies of /api/v1/models."""

from typing import Annotated, Any, Literal

from pydantic import Field

from fabric.api.schemas.common import Body, Moment, Money
from fabric.catalog.registry import ModelVersion
from fabric.core.ids import UserId
from fabric.jobs.capacity import Capacity


class TensorOut(Body):
    """An input or output of a model."""

    dtype: str
    """NumPy's name, string, bytes or bfloat16."""
    shape: list[int | None]
    """The item axis first; null where the model leaves the size open."""


class ResultOut(TensorOut):
    """An output as it is delivered."""

    media_type: str | None = None
    """Of texts and files: what each of them is."""


class ProfileOut(Body):
    """What admission measured on generated inputs."""

    batchable: bool
    """Whether items give the same alone and together, so that they are run in batches."""
    batch_items_max: int
    batch_fixed: bool
    """Whether the model takes exactly `batch_items_max` items a run."""
    item_us: float
    """Microseconds of one item on one processor thread of the control node, in the best batch."""
    load_us: int
    output_bytes_item: int | None
    memory_bytes: int
    """The most that it was seen to hold, above an idle process, at `batch_items_max`. A slot with less memory is not given it."""
    isolation: Literal["sandbox", "process"] = "process"
    """What it was measured in."""


class BoundsOut(Body):
    """The least that one item takes, from the graph alone."""

    operations: int
    memory_bytes: int
    costliest: dict[str, Any] | None = None
    """The node with the most operations."""
    largest: dict[str, Any] | None = None
    """The node that makes the largest value."""
    unbounded: dict[str, Any] | None = None
    """The first Loop whose number of trips depends on data."""


class CapacityNowOut(Body):
    """Which slots on line could run a model now."""

    slots: int
    """Of others, where jobs of yours may run."""
    slots_free: int
    """Of these, those that work on nothing."""
    slots_own: int
    """On your own machines: jobs run there only if they say so, and then cost nothing."""
    price_per_million: Money | None
    """Of a million items on the cheapest slot of others, one item being too little to write down; null: there is none."""

    @classmethod
    def of(cls, found: Capacity) -> "CapacityNowOut":
        """Show what was found."""
        price = None if found.per_million_nanos_min is None else Money.of(found.per_million_nanos_min)
        return cls(slots=found.slots, slots_free=found.slots_free, slots_own=found.slots_own, price_per_million=price)


class ModelOut(Body):
    """One version of a model."""

    id: str
    name: str
    visibility: Literal["private", "public"]
    own: bool
    """Whether it is yours."""
    version: int
    version_id: str
    sha256: str
    size: int
    description: str
    inputs: dict[str, TensorOut]
    outputs: dict[str, TensorOut]
    results: dict[str, ResultOut] = {}
    """What its jobs deliver: the outputs after the steps that the card names."""
    assets: dict[str, int] = {}
    """Files that came with it, and their bytes."""
    card: dict[str, Any]
    """What the owner declared, with every default filled in."""
    profile: ProfileOut
    bounds: BoundsOut | None = None
    opset: int
    operators: dict[str, int]
    """How often each operator occurs."""
    parameters: int
    created_at: Moment
    now: CapacityNowOut | None = None
    """Where models are listed or shown: what could run it now."""

    @classmethod
    def of(cls, model: ModelVersion, caller: UserId, now: Capacity | None = None) -> "ModelOut":
        """Show a version to `caller`."""
        return cls(
            id=str(model.model_id),
            name=model.name,
            visibility="public" if model.visibility == "public" else "private",
            own=model.owner_id == caller,
            version=model.version,
            version_id=str(model.id),
            sha256=model.sha256,
            size=model.size,
            description=model.card["description"],
            inputs={name: TensorOut(**tensor) for name, tensor in model.inputs.items()},
            outputs={name: TensorOut(**tensor) for name, tensor in model.outputs.items()},
            results={name: ResultOut(**tensor) for name, tensor in model.delivered.items()},
            assets=model.inspection.get("assets", {}),
            card=model.card,
            profile=ProfileOut(**model.profile),
            bounds=BoundsOut(**model.inspection["bounds"]) if model.inspection.get("bounds") else None,
            opset=model.inspection["opset"],
            operators=model.inspection["operators"],
            parameters=model.inspection["parameters"],
            created_at=model.created_at,
            now=None if now is None else CapacityNowOut.of(now),
        )


class CardIn(Body):
    """Another card for a model of yours."""

    card: dict[str, Any]
    """As at an upload: description, inputs, outputs. What is left out gets its default."""
    of_version: Annotated[int, Field(ge=1, le=2**31 - 1)] | None = None
    """Whose file it goes with; null: the newest version's."""


class ModelPatch(Body):
    """Change a model of yours."""

    visibility: Literal["private", "public"]
    """A public model can be run, but not downloaded, by everybody."""
