"""What a job would cost now and how long it would take, from the open offers."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from fabric.billing import pricing
from fabric.core import clock
from fabric.core.ids import UserId
from fabric.core.settings import BillingSettings
from fabric.db.engine import Reader
from fabric.marketplace import store
from fabric.marketplace.offers import Offer, suggested_rate_nanos_per_hour


@dataclass(frozen=True, slots=True)
class Quote:
    """A price range with the reason for it. Amounts in nano-USD; rates for an hour of a slot."""

    items: int
    seconds_expected: float | None  # None: no slot could take it now
    price_nanos_min: int
    price_nanos_expected: int
    price_nanos_max: int
    hold_nanos: int  # without a budget, this is held at submit
    rate_nanos_per_hour_min: int
    rate_nanos_per_hour_max: int
    slots_matching: int
    slots_free: int
    slots_too_small: int  # suit the job but have less memory than its model takes
    memory_bytes: int  # that the model takes
    commission_bps: int
    expires_at: datetime


async def quote(
    reader: Reader,
    owner_id: UserId,
    *,
    items: int,
    item_us: float,
    own_machines: bool,
    rate_nanos_per_hour_max: int | None,
    accepts: Callable[[Offer], bool],
    has_memory: Callable[[int, Offer], bool],
    memory_bytes: int,
    billing: BillingSettings,
) -> Quote:
    """Look at what is on offer now and price the job.

    Args:
        reader: Any transaction.
        owner_id: The requestor; own machines count only with `own_machines`, and then cost nothing.
        items: How many.
        item_us: Of one item on a slot of speed 1.
        own_machines: The job may run on machines of its owner.
        rate_nanos_per_hour_max: The requestor's limit.
        accepts: Whether a slot suits the job's requirements.
        has_memory: Whether a slot has so much memory.
        memory_bytes: The peak of the model's profile.
        billing: Commission, hold factor and validity.
    """
    offers = [offer for offer in await store.open_offers(reader) if accepts(offer)]
    suitable = [offer for offer in offers if own_machines or offer.owner_id != owner_id]
    large = [offer for offer in suitable if has_memory(memory_bytes, offer)]
    found = quote_from(
        large, owner_id, items=items, item_us=item_us, rate_nanos_per_hour_max=rate_nanos_per_hour_max, billing=billing,
        now=clock.now(),
    )  # fmt: skip
    return replace(found, slots_too_small=len(suitable) - len(large), memory_bytes=memory_bytes)


def quote_from(
    offers: Sequence[Offer],
    owner_id: UserId,
    *,
    items: int,
    item_us: float,
    rate_nanos_per_hour_max: int | None,
    billing: BillingSettings,
    now: datetime,
) -> Quote:
    """The same as a function of values."""
    limit = rate_nanos_per_hour_max
    affordable = [o for o in offers if o.owner_id == owner_id or limit is None or o.rate_nanos_per_hour <= limit]
    paid = [o for o in affordable if o.owner_id != owner_id]
    # Price of an item differs by slot: a slower slot needs more seconds, a dearer one costs more for each.
    prices = [pricing.expected_nanos(o.rate_nanos_per_hour, items, item_us / o.speed) for o in paid]
    rates = [o.rate_nanos_per_hour for o in paid]
    if not paid:
        stand_in = suggested_rate_nanos_per_hour("cpu", "", threads=1, memory_gib=0)
        rates = [stand_in if limit is None else min(limit, stand_in)]
        prices = [0] if affordable else [pricing.expected_nanos(rates[0], items, item_us)]
    speeds = [o.speed for o in affordable]
    weights = [o.speed for o in paid] or [1.0]  # a faster slot gets more of the items
    expected = round(sum(price * weight for price, weight in zip(prices, weights, strict=True)) / sum(weights))
    hold = pricing.hold_nanos(max(prices), items, billing.hold_factor) if paid or not affordable else 0
    return Quote(
        items=items, seconds_expected=items * item_us / 1e6 / sum(speeds) if speeds else None,
        price_nanos_min=min(prices), price_nanos_expected=expected, price_nanos_max=max(prices), hold_nanos=hold,
        rate_nanos_per_hour_min=min(rates), rate_nanos_per_hour_max=max(rates),
        slots_matching=len(affordable), slots_free=sum(not o.is_busy for o in affordable), slots_too_small=0, memory_bytes=0,
        commission_bps=billing.commission_bps, expires_at=now + timedelta(seconds=billing.quote_s),
    )  # fmt: skip
