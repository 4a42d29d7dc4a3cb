"""Bodies of /api/v1/marketplace."""

from dataclasses import asdict

from fabric.api.schemas.common import Body, Moment, Money
from fabric.catalog.registry import ModelVersion
from fabric.core.ids import UserId
from fabric.db.census import MarketCounts
from fabric.marketplace.offers import Offer


class OfferOut(Body):
    """One slot of a machine that is online."""

    provider_id: str
    provider_name: str
    slot: int
    accelerator: str
    """cpu, cuda, directml, coreml or npu."""
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
    own: bool
    """Whether the machine is yours; then your jobs run on it only if they say so."""

    @classmethod
    def of(cls, offer: Offer, caller: UserId) -> "OfferOut":
        """Show an offer to `caller`, without saying who owns the machine."""
        facts = asdict(offer)
        rate, owner_id, provider_id = facts.pop("rate_nanos_per_hour"), facts.pop("owner_id"), facts.pop("provider_id")
        return cls(provider_id=str(provider_id), price_per_hour=Money.of(rate), own=owner_id == caller, **facts)


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
        return cls(**asdict(counts))
