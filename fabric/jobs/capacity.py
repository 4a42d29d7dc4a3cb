"""Pure: which slots on offer could run a model now, and what a million of its items would cost on the cheapest of them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from fabric.billing import pricing
from fabric.catalog.registry import ModelVersion
from fabric.core.ids import UserId
from fabric.jobs.requirements import Format, has_memory, has_runtime
from fabric.marketplace.offers import Offer

MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class Capacity:
    """What is on offer for a model. Own machines are counted apart: jobs run there only if they say so, at no cost."""

    slots: int  # of others
    slots_free: int  # of these, those that work on nothing
    slots_own: int
    per_million_nanos_min: int | None  # nano-USD; None: nobody else offers any


def asking_for(offers: Iterable[Offer], model: ModelVersion) -> list[Offer]:
    """Those whose ONNX Runtime takes the model and whose owners let it run there, at what they ask for it."""
    wanted = Format.of(model.inspection)
    asking = (offer.asking(str(model.model_id)) for offer in offers if has_runtime(wanted, offer))
    return [offer for offer in asking if offer is not None]


def million_nanos(offer: Offer, model: ModelVersion) -> int:
    """What a million items are expected to cost on a slot, in nano-USD, by the model's measured profile and the slot's speed."""
    return pricing.expected_nanos(offer.rate_nanos_per_hour, MILLION, float(model.profile["item_us"]) / offer.speed)


def capacity_for(offers: Sequence[Offer], user_id: UserId, model: ModelVersion) -> Capacity:
    """Count those that ask for the model and have memory enough for it."""
    memory_bytes = int(model.profile["memory_bytes"])
    suiting = [offer for offer in asking_for(offers, model) if has_memory(memory_bytes, offer)]
    others = [offer for offer in suiting if offer.owner_id != user_id]
    prices = [million_nanos(offer, model) for offer in others]
    return Capacity(
        len(others), sum(not offer.is_busy for offer in others), len(suiting) - len(others), min(prices, default=None)
    )  # fmt: skip
