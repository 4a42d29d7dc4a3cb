"""What a job would cost now and how long it would take, from the open offers."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from fabric.billing import pricing
from fabric.core.ids import UserId
from fabric.core.settings import BillingSettings
from fabric.db.engine import Reader
from fabric.marketplace import demand, prices, repricing, store
from fabric.marketplace.demand import Sample
from fabric.marketplace.device_table import DEFAULT_TABLE, DeviceTable
from fabric.marketplace.offers import Offer
from fabric.marketplace.statements import STATEMENTS


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
    rate_nanos_per_hour_bound: (
        int | None
    )  # a job under this quote pays no slot more; None: nothing is on offer, and there is no limit
    slots_matching: int
    slots_free: int
    slots_too_small: int  # suit the job but have less memory than its model takes
    memory_bytes: int  # that the model takes
    commission_bps: int
    expires_at: datetime
    capacity_probability: float = 0.0  # that a matching slot is free for a first subtask within START_S
    wait_s: float | None = None  # until the first subtask starts, if all that waits now goes first; None: no slot could take it


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
    tells_capacity: bool = False,
    model_id: str | None = None,
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
        billing: Hold factor, validity, and the commission as long as no operator has decided.
        tells_capacity: Whether somebody reads `capacity_probability` and `wait_s`; they take another look at the last hour.
        model_id: Whose own rates count, and whose refusals, where owners have any for it.
    """
    offers = [offer for offer in await store.open_offers(reader) if accepts(offer)]
    own = [offer for offer in offers if own_machines and offer.owner_id == owner_id]
    others = [asking for offer in offers if offer.owner_id != owner_id and (asking := offer.asking(model_id)) is not None]
    suitable = [*own, *others]
    large = [offer for offer in suitable if has_memory(memory_bytes, offer)]
    count = await prices.present(reader, billing)
    now: datetime = (await reader.execute(STATEMENTS["now"])).one().now
    found = quote_from(
        large, owner_id, items=items, item_us=item_us, rate_nanos_per_hour_max=rate_nanos_per_hour_max, billing=billing, now=now,
        core_rate_nanos_per_hour=count.table.cpu_thread,
    )  # fmt: skip
    looks = await repricing.samples_of_last_hour(reader) if tells_capacity else ()
    chance, wait_s = capacity(affordable(large, owner_id, rate_nanos_per_hour_max), count.table, looks)
    return replace(
        found, slots_too_small=len(suitable) - len(large), memory_bytes=memory_bytes, commission_bps=count.commission_bps,
        capacity_probability=chance, wait_s=wait_s,
    )  # fmt: skip


def affordable(offers: Sequence[Offer], owner_id: UserId, rate_nanos_per_hour_max: int | None) -> list[Offer]:
    """Those that ask for no more than the limit; one's own cost nothing."""
    limit = rate_nanos_per_hour_max
    return [o for o in offers if o.owner_id == owner_id or limit is None or o.rate_nanos_per_hour <= limit]


def capacity(matching: Sequence[Offer], table: DeviceTable, looks: Sequence[Mapping[str, Sample]]) -> tuple[float, float | None]:
    """The probability that one of these slots is free for a first subtask now, and how long that one has to wait at most.

    Args:
        matching: Slots that suit the job and its limit.
        table: Which class a slot is of.
        looks: At the market in the last hour, oldest first, by device class.
    """
    if not matching:
        return 0.0, None
    of_class = Counter(table.class_of(offer.accelerator, offer.device) for offer in matching)
    is_free = any(not offer.is_busy for offer in matching)
    chance = demand.capacity_probability(is_free, demand.history_of(looks, frozenset(of_class)))
    backlog_s = sum(looks[-1][name].backlog_s * n for name, n in of_class.items() if name in looks[-1]) if looks else 0.0
    return chance, 0.0 if is_free else backlog_s / of_class.total()


def quote_from(
    offers: Sequence[Offer],
    owner_id: UserId,
    *,
    items: int,
    item_us: float,
    rate_nanos_per_hour_max: int | None,
    billing: BillingSettings,
    now: datetime,
    core_rate_nanos_per_hour: int = DEFAULT_TABLE.cpu_thread,
) -> Quote:
    """The same as a function of values. With no slot on offer a processor core's base rate stands in."""
    limit = rate_nanos_per_hour_max
    matching = affordable(offers, owner_id, limit)
    paid = [o for o in matching if o.owner_id != owner_id]
    # Price of an item differs by slot: a slower slot needs more seconds, a dearer one costs more for each.
    costs = [pricing.expected_nanos(o.rate_nanos_per_hour, items, item_us / o.speed) for o in paid]
    rates = [o.rate_nanos_per_hour for o in paid]
    if not paid:
        rates = [core_rate_nanos_per_hour if limit is None else min(limit, core_rate_nanos_per_hour)]
        costs = [0] if matching else [pricing.expected_nanos(rates[0], items, item_us)]
    speeds = [o.speed for o in matching]
    weights = [o.speed for o in paid] or [1.0]  # a faster slot gets more of the items
    expected = round(sum(price * weight for price, weight in zip(costs, weights, strict=True)) / sum(weights))
    hold = pricing.hold_nanos(max(costs), items, billing.hold_factor) if paid or not matching else 0
    bounds = [demand.rate_bound(o.rate_nanos_per_hour, billing.quote_s) if o.is_auto else o.rate_nanos_per_hour for o in paid]
    return Quote(
        items=items, seconds_expected=items * item_us / 1e6 / sum(speeds) if speeds else None,
        price_nanos_min=min(costs), price_nanos_expected=expected, price_nanos_max=max(costs), hold_nanos=hold,
        rate_nanos_per_hour_min=min(rates), rate_nanos_per_hour_max=max(rates),
        rate_nanos_per_hour_bound=min(max(bounds), max(bounds) if limit is None else limit) if bounds else limit,
        slots_matching=len(matching), slots_free=sum(not o.is_busy for o in matching), slots_too_small=0, memory_bytes=0,
        commission_bps=billing.commission_bps, expires_at=now + timedelta(seconds=billing.quote_s),
    )  # fmt: skip
