"""The Fleet protocol: reach a provider, send an order, get a receipt.

Promises that every fleet keeps (contract tests cite the numbers):

1. `nodes` says which provider nodes are alive now, as the cluster sees them; it never waits for a provider, and raises
   FleetUnavailable when the cluster itself does not answer.
2. `connect` makes the actor of one slot on exactly that node, or raises SlotLost within `CONNECT_TIMEOUT_S`. HostileAnswer: the
   actor is said to live elsewhere; it was ended and nothing was sent to it.
3. `send` delivers an order at most once and returns the raw receipt bytes. Anything that is not raw bytes, or is larger than
   RECEIPT_BYTES_MAX, raises HostileAnswer *unread*. A dead actor or node raises SlotLost.
4. `ping` answers while an order runs.
5. `cancel` makes the slot give up orders; their `send` then returns soon, subtasks marked cancelled.
6. `release` ends the slot's actor; whatever was outstanding raises SlotLost. Releasing twice is nothing.
"""

from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

CONNECT_TIMEOUT_S = 30.0


class SlotLost(Exception):
    """The slot's actor or node is gone, or never came."""


class HostileAnswer(Exception):
    """The provider answered with something that is not raw bytes of a permitted size."""


@dataclass(frozen=True, slots=True, order=True)
class SlotId:
    """One slot of one provider."""

    provider_id: UUID
    slot: int


@dataclass(frozen=True, slots=True)
class SlotSpec:
    """What the fleet must know to start a slot's actor: granted at enrolment, never declared by the actor."""

    id: SlotId
    node_id: str  # of the provider's present Ray node
    resource: str  # such as fabric_cpu
    execution_provider: str  # ONNX Runtime's name
    threads: int
    memory_bytes: int | None = None  # that models may use; None: what the machine can spare
    device_id: str = ""  # which of the machine's devices; empty: the default one
    device_bytes: int | None = None  # the device's own memory, of an accelerator


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """A live provider node as the cluster itself sees it."""

    node_id: str
    provider_id: str  # label fabric.provider-id: a claim until the gate stands, so compare with enrolment
    address: str


class Fleet(Protocol):
    """All provider actors, as the dispatcher sees them."""

    async def nodes(self) -> list[NodeFacts]:
        """Live provider nodes (promise 1)."""
        ...

    async def connect(self, spec: SlotSpec) -> None:
        """Start the slot's actor (promise 2)."""
        ...

    async def send(self, slot: SlotId, order: bytes) -> bytes:
        """Send one order, wait for its receipt (promise 3)."""
        ...

    async def ping(self, slot: SlotId) -> bytes:
        """A pong frame (promise 4)."""
        ...

    async def cancel(self, slot: SlotId, frame: bytes) -> None:
        """Give up orders (promise 5)."""
        ...

    async def release(self, slot: SlotId) -> None:
        """End the slot's actor (promise 6)."""
        ...

    async def close(self) -> None:
        """End all of them."""
        ...
