"""Pure: which slots on offer could run a model now, and what a million of its items would cost on the cheapest of them."""

from collections.abc import Sequence
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


def capacity_for(offers: Sequence[Offer], user_id: UserId, model: ModelVersion) -> Capacity:
    """Count the slots that take the model: enough memory, a runtime that is new enough, an owner who lets it run there."""
    memory_bytes, wanted = int(model.profile["memory_bytes"]), Format.of(model.inspection)
    asking = (
        offer.asking(str(model.model_id)) for offer in offers if has_memory(memory_bytes, offer) and has_runtime(wanted, offer)
    )
    suiting = [offer for offer in asking if offer is not None]
    others = [offer for offer in suiting if offer.owner_id != user_id]
    item_us = float(model.profile["item_us"])
    prices = [pricing.expected_nanos(offer.rate_nanos_per_hour, MILLION, item_us / offer.speed) for offer in others]
    return Capacity(
        len(others), sum(not offer.is_busy for offer in others), len(suiting) - len(others), min(prices, default=None)
    )  # fmt: skip
