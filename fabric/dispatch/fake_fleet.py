"""Fleet in memory, with failures on demand.

Slots are objects with the methods of a provider's actor, so the real ProviderActor can be used as well as a hostile one.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol

from fabric.actors.messages import RECEIPT_BYTES_MAX
from fabric.dispatch.fleet import HostileAnswer, NodeFacts, SlotId, SlotLost, SlotSpec


class SlotActor(Protocol):
    """What runs in a slot. Its answers are whatever a provider sends, so nothing is said of their type."""

    def run(self, frame: bytes) -> Awaitable[Any]:
        """Run an order."""
        ...

    def ping(self, frame: bytes) -> Awaitable[Any]:
        """Answer at once."""
        ...

    def cancel(self, frame: bytes) -> Awaitable[Any]:
        """Give up orders."""
        ...


@dataclass(slots=True)
class _Connection:
    actor: Any
    node_id: str
    gone: asyncio.Event


class FakeFleet:
    """Fleet without a network."""

    def __init__(self, make_actor: Callable[[SlotSpec], SlotActor]) -> None:
        """`make_actor` starts what runs in a slot."""
        self._make_actor = make_actor
        self._nodes: dict[str, NodeFacts] = {}
        self._connections: dict[SlotId, _Connection] = {}

    def add_node(self, node_id: str, provider_id: str, address: str = "192.0.2.1") -> None:
        """A provider's node joins."""
        self._nodes[node_id] = NodeFacts(node_id, provider_id, address)

    def lose_node(self, node_id: str) -> None:
        """The node dies, with all its slots and whatever they were doing."""
        self._nodes.pop(node_id, None)
        for slot, connection in list(self._connections.items()):
            if connection.node_id == node_id:
                self._drop(slot)

    def lose_slot(self, slot: SlotId) -> None:
        """The slot's actor dies; its node lives."""
        self._drop(slot)

    def connected(self) -> set[SlotId]:
        """Slots with an actor."""
        return set(self._connections)

    async def nodes(self) -> list[NodeFacts]:
        """Live provider nodes."""
        return list(self._nodes.values())

    async def connect(self, spec: SlotSpec) -> None:
        """Start the slot's actor. Raises SlotLost."""
        await self.release(spec.id)
        if spec.node_id not in self._nodes:
            raise SlotLost(f"node {spec.node_id} is not alive")
        self._connections[spec.id] = _Connection(self._make_actor(spec), spec.node_id, asyncio.Event())
        try:
            await self.ping(spec.id)
        except HostileAnswer as error:
            self._drop(spec.id)
            raise SlotLost(f"the actor did not start: {error}") from error

    async def send(self, slot: SlotId, order: bytes) -> bytes:
        """Send one order, wait for its receipt. Raises SlotLost, HostileAnswer."""
        return await self._call(slot, lambda actor: actor.run(order))

    async def ping(self, slot: SlotId) -> bytes:
        """A pong frame. Raises like `send`."""
        return await self._call(slot, lambda actor: actor.ping(b""))

    async def cancel(self, slot: SlotId, frame: bytes) -> None:
        """Give up orders."""
        with contextlib.suppress(SlotLost, HostileAnswer):
            await self._call(slot, lambda actor: actor.cancel(frame))

    async def release(self, slot: SlotId) -> None:
        """End the slot's actor."""
        self._drop(slot)

    async def close(self) -> None:
        """End all actors."""
        for slot in list(self._connections):
            self._drop(slot)

    def _drop(self, slot: SlotId) -> None:
        if (connection := self._connections.pop(slot, None)) is not None:
            connection.gone.set()
            if (close := getattr(connection.actor, "close", None)) is not None:
                close()

    async def _call(self, slot: SlotId, call: Callable[[Any], Awaitable[Any]]) -> bytes:
        connection = self._connections.get(slot)
        if connection is None:
            raise SlotLost("not connected")
        answer = asyncio.ensure_future(call(connection.actor))
        gone = asyncio.ensure_future(connection.gone.wait())
        try:
            await asyncio.wait({answer, gone}, return_when=asyncio.FIRST_COMPLETED)
            if gone.done() or connection.gone.is_set():
                raise SlotLost("the actor is gone")
            return _checked(answer)
        finally:
            gone.cancel()
            if answer.done() and not answer.cancelled():
                answer.exception()  # looked at, so that nobody complains that it was not
            else:
                answer.cancel()


def _checked(answer: "asyncio.Future[Any]") -> bytes:
    if answer.exception() is not None:
        raise HostileAnswer("an exception instead of bytes")
    value = answer.result()
    if not isinstance(value, bytes):
        raise HostileAnswer("an answer that is not raw bytes")
    if len(value) > RECEIPT_BYTES_MAX:
        raise HostileAnswer(f"an answer of {len(value)} bytes")
    return value
