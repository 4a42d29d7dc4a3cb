"""What happens to the dispatcher (events) and what it wants done (commands), as values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from fabric.actors.messages import Pong, Receipt
from fabric.core.ids import JobId, OrderId
from fabric.dispatch.fleet import NodeFacts, SlotId, SlotSpec
from fabric.dispatch.judge import ModelOutputs, Upload
from fabric.dispatch.snapshot import OfferedSlot
from fabric.jobs.job import Claim, Completion, GiveBack, Leased, OpenJob

Topic = Literal["jobs", "slots", "cancel"]

# ── events ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Led:
    """We lead now; or we lead again after a moment without the lock, and go on with what is under way."""


@dataclass(frozen=True, slots=True)
class Deposed:
    """We lead no more, or cannot know."""


@dataclass(frozen=True, slots=True)
class Woken:
    """Somebody told us that there is something new."""

    topic: Topic


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has passed."""


@dataclass(frozen=True, slots=True)
class SlotsSeen:
    """The slots that providers offer, and the nodes that the cluster sees."""

    slots: tuple[OfferedSlot, ...]
    nodes: tuple[NodeFacts, ...]


@dataclass(frozen=True, slots=True)
class JobsSeen:
    """The unfinished jobs; None when they could not be read."""

    jobs: tuple[OpenJob, ...] | None


@dataclass(frozen=True, slots=True)
class Connected:
    """The slot's actor answers."""

    slot: SlotId


@dataclass(frozen=True, slots=True)
class SlotGone:
    """The slot's actor never came, or it or its node is gone."""

    slot: SlotId
    detail: str


@dataclass(frozen=True, slots=True)
class SlotHostile:
    """The slot answered a ping with something that no honest slot sends."""

    slot: SlotId
    detail: str


@dataclass(frozen=True, slots=True)
class Ponged:
    """The slot is alive."""

    slot: SlotId
    pong: Pong


@dataclass(frozen=True, slots=True)
class Claimed:
    """The leases that the claims got; None when the database did not answer (then nothing is known, and leases expire)."""

    claims: tuple[Claim, ...]
    leases: tuple[Leased, ...] | None


@dataclass(frozen=True, slots=True)
class Answered:
    """A receipt came."""

    order_id: OrderId
    receipt: Receipt
    outputs: ModelOutputs
    uploads: Mapping[bytes, Upload] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class OrderLost:
    """The slot went away with the order."""

    order_id: OrderId
    detail: str


@dataclass(frozen=True, slots=True)
class OrderHostile:
    """What came back was refused unread, or is no receipt."""

    order_id: OrderId
    detail: str


@dataclass(frozen=True, slots=True)
class OrderUnsent:
    """The order could not be made: our storage or database does not answer. Nobody's fault out there."""

    order_id: OrderId
    detail: str


@dataclass(frozen=True, slots=True)
class Trimmed:
    """Some leases had no room in their order; the rest was sent."""

    order_id: OrderId
    left_out: tuple[Leased, ...]


@dataclass(frozen=True, slots=True)
class Settled:
    """Results of these orders, and whatever was given back of them, are written."""

    order_ids: tuple[OrderId, ...]


@dataclass(frozen=True, slots=True)
class UnknownReturned:
    """Leases of orders that we do not know were given back; or could not be, when the database does not answer."""

    is_done: bool


@dataclass(frozen=True, slots=True)
class LeasesSeen:
    """Of the orders that were asked for, those that still hold a lease."""

    asked: frozenset[OrderId]
    live: frozenset[OrderId]


Event = (
    Led | Deposed | Woken | Tick | SlotsSeen | JobsSeen | Connected | SlotGone | SlotHostile | Ponged | Claimed | Answered
    | OrderLost | OrderHostile | OrderUnsent | Trimmed | Settled | UnknownReturned | LeasesSeen
)  # fmt: skip


# ── commands ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class LookAtJobs:
    """Read the unfinished jobs; answer with JobsSeen."""


@dataclass(frozen=True, slots=True)
class LookAtSlots:
    """Read slots and nodes; answer with SlotsSeen."""


@dataclass(frozen=True, slots=True)
class Connect:
    """Start the slot's actor; answer with Connected or SlotGone."""

    spec: SlotSpec


@dataclass(frozen=True, slots=True)
class Release:
    """End the slot's actor."""

    slot: SlotId


@dataclass(frozen=True, slots=True)
class Ping:
    """Ping; answer with Ponged, SlotGone or SlotHostile."""

    slot: SlotId


@dataclass(frozen=True, slots=True)
class ClaimWork:
    """Lease subtasks; answer with Claimed."""

    claims: tuple[Claim, ...]


@dataclass(frozen=True, slots=True)
class Send:
    """Make the order and send it; answer with Answered, OrderLost, OrderHostile or OrderUnsent."""

    order_id: OrderId
    slot: SlotId
    job_id: JobId
    leases: tuple[Leased, ...]
    timeout_s: float


@dataclass(frozen=True, slots=True)
class CancelOrders:
    """Ask the slot to give orders up."""

    slot: SlotId
    order_ids: tuple[OrderId, ...]


@dataclass(frozen=True, slots=True)
class Settle:
    """Write results and give leases back, in any order, as long as it takes; answer with Settled."""

    order_id: OrderId
    completions: tuple[Completion, ...]
    given_back: tuple[GiveBack, ...]
    more_expected: bool  # other receipts are on their way, so that waiting a moment for company pays


@dataclass(frozen=True, slots=True)
class ReturnUnknown:
    """Give back all leases but those of these orders, uncounted; answer with UnknownReturned."""

    known: frozenset[OrderId]


@dataclass(frozen=True, slots=True)
class RenewLeases:
    """Renew the leases of running orders; answer with LeasesSeen."""

    order_ids: frozenset[OrderId]


@dataclass(frozen=True, slots=True)
class TellReasons:
    """Write why jobs wait, or that they do not."""

    reasons: Mapping[JobId, str | None]


@dataclass(frozen=True, slots=True)
class EndBroke:
    """End jobs that cannot pay any further subtask; with what the cheapest would have to be able to cost."""

    caps_nanos_min: Mapping[JobId, int]


Command = (
    LookAtJobs | LookAtSlots | Connect | Release | Ping | ClaimWork | Send | CancelOrders | Settle | ReturnUnknown | RenewLeases
    | TellReasons | EndBroke
)  # fmt: skip
