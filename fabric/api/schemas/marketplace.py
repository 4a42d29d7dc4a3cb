"""Bodies of /api/v1/marketplace."""

from dataclasses import asdict
from typing import Annotated, Any

from pydantic import Field

from fabric.api.schemas.common import Body, Moment, Money
from fabric.catalog.registry import ModelVersion
from fabric.core.ids import UserId
from fabric.db.census import MarketCounts
from fabric.jobs.capacity import MILLION, million_nanos
from fabric.jobs.requirements import has_memory
from fabric.marketplace.demand import FACTOR_MAX, FACTOR_MIN, FACTOR_STEP_PER_MINUTE
from fabric.marketplace.device_table import DEVICES_MAX, NAME_CHARACTERS_MAX, WATTS_MAX
from fabric.marketplace.offers import Offer
from fabric.marketplace.prices import Prices

Usd = Annotated[str, Field(max_length=40, description='Decimal USD for an hour, such as "0.02".')]


class OfferOut(Body):
    """One slot of a machine that is online."""

    provider_id: str
    provider_name: str
    slot: int
    accelerator: str
    """cpu, cuda, rocm, directml, coreml, openvino or npu."""
    device: str
    threads: int
    memory_gib: float
    region: str
    speed: float
    """Against one common server core, by the standard small model."""
    price_per_hour: Money
    is_busy: bool
    """Whether it works on something now."""
    isolation: str
    """What its agent says stands between a model and the machine: `sandbox` (no network, no files) or `process` (a child with limits)."""
    is_auto: bool
    """Whether its price follows the suggestion; else its owner has set it."""
    opset_max: int | None
    """The highest opset that its ONNX Runtime takes; null: nobody knows, so it is tried."""
    own: bool
    """Whether the machine is yours; then your jobs run on it only if they say so."""
    item: "ItemPriceOut | None" = None
    """Only when a model was asked for."""

    @classmethod
    def of(cls, offer: Offer, caller: UserId, model: ModelVersion | None = None) -> "OfferOut":
        """Show an offer to `caller`, without saying who owns the machine; with what items of `model` take on it."""
        facts = asdict(offer)
        for name in ("rate_nanos_per_hour", "owner_id", "provider_id", "newest", "model_rates"):
            del facts[name]
        is_own = offer.owner_id == caller
        return cls(
            provider_id=str(offer.provider_id), price_per_hour=Money.of(offer.rate_nanos_per_hour), own=is_own,
            opset_max=offer.newest.opset or None, item=None if model is None else ItemPriceOut.of(offer, model, is_own=is_own), **facts,
        )  # fmt: skip


class ItemPriceOut(Body):
    """What items of a model are expected to take on a slot, from the model's measured profile and the slot's speed."""

    seconds: float
    """Of one item."""
    price_per_million: Money
    """Of a million items, one being too little to write down. Nothing on a machine of your own."""
    fits: bool
    """Whether the slot has the memory that the model takes."""

    @classmethod
    def of(cls, offer: Offer, model: ModelVersion, *, is_own: bool) -> "ItemPriceOut":
        """Work it out."""
        return cls(
            seconds=float(model.profile["item_us"]) / offer.speed / MILLION,
            price_per_million=Money.of(0 if is_own else million_nanos(offer, model)),
            fits=has_memory(int(model.profile["memory_bytes"]), offer),
        )  # fmt: skip


class PublicModelOut(Body):
    """A model that everybody may run."""

    id: str
    name: str
    version: int
    description: str
    inputs: list[str]
    outputs: list[str]
    created_at: Moment

    @classmethod
    def of(cls, model: ModelVersion) -> "PublicModelOut":
        """Show the newest version of a public model."""
        return cls(
            id=str(model.model_id), name=model.name, version=model.version, description=str(model.card.get("description", "")),
            inputs=list(model.inputs), outputs=list(model.outputs), created_at=model.created_at,
        )  # fmt: skip


class StatsOut(Body):
    """The marketplace in numbers."""

    providers_online: int
    slots_online: int
    price_per_hour: Money
    """What all of these together ask for an hour; it changes with every price."""
    slots_busy: int
    models_public: int
    jobs_open: int
    jobs_day: int
    """Submitted within the last 24 hours."""
    items_day: int
    """Items of those that are done."""

    @classmethod
    def of(cls, counts: MarketCounts) -> "StatsOut":
        """Show the counts."""
        facts = asdict(counts)
        return cls(price_per_hour=Money.of(facts.pop("rates_nanos_per_hour")), **facts)


class BaseRateBody(Body):
    """What a device earns before memory and power."""

    usd_per_hour: Usd
    watts: Annotated[int, Field(ge=0, le=WATTS_MAX)]
    """The maker's board power."""


class DeviceBody(BaseRateBody):
    """A model of accelerator."""

    match: Annotated[str, Field(min_length=1, max_length=NAME_CHARACTERS_MAX)]
    """Devices whose name contains it; the longest such name counts."""


class DeviceTableBody(Body):
    """Base rates. An accelerator is suggested (base + memory + power) × demand factor; a processor its threads × demand factor."""

    devices: Annotated[list[DeviceBody], Field(max_length=DEVICES_MAX)]
    other: BaseRateBody
    """Any other accelerator."""
    cpu_thread_usd_per_hour: Usd
    npu_usd_per_hour: Usd
    memory_gib_usd_per_hour: Usd
    """For each GiB of an accelerator's memory."""
    watt_usd_per_hour: Usd


class DemandFactorOut(Body):
    """What demand adds in one device class."""

    device_class: str
    """cpu, npu, other, or a `match` of the table."""
    factor: float
    target: float
    """Where it moves."""
    updated_at: Moment


class PricesOut(Body):
    """What counts now for a job that is submitted now."""

    commission_bps: int
    """The platform's part of the price, in basis points. A job keeps the one that it was submitted with."""
    commission_since: Moment | None
    """null: as this fabric was set up."""
    devices: DeviceTableBody
    devices_since: Moment | None
    """null: the table that Fabric ships."""
    factors: list[DemandFactorOut]
    """Classes that are not listed: 1."""
    factor_min: float = FACTOR_MIN
    factor_max: float = FACTOR_MAX
    factor_step_per_minute: float = FACTOR_STEP_PER_MINUTE
    """A factor moves no faster."""

    @classmethod
    def facts(cls, prices: Prices) -> dict[str, Any]:
        """The fields."""
        return {
            "commission_bps": prices.commission_bps, "commission_since": prices.commission_since,
            "devices": DeviceTableBody.model_validate(prices.table.as_json()), "devices_since": prices.table_since,
            "factors": [
                DemandFactorOut(device_class=f.device_class, factor=f.factor, target=f.target, updated_at=f.updated_at)
                for f in prices.factors
            ],
        }  # fmt: skip
