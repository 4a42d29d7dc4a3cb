"""Fleet on Ray. All Ray calls of the control plane are here.

One actor for each slot, pinned to the node id that enrolment verified, never restarted and never retried by Ray: attempts are rows
that we own. Nothing here blocks the event loop: calls into Ray that may wait run in threads, answers are awaited.
"""

import asyncio
import contextlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

import ray
from ray._private import state as ray_state

from fabric.actors.messages import RECEIPT_BYTES_MAX
from fabric.actors.provider_actor import ProviderActor
from fabric.core.errors import FleetUnavailable
from fabric.dispatch import ray_guard
from fabric.dispatch.fleet import CONNECT_TIMEOUT_S, HostileAnswer, NodeFacts, SlotId, SlotLost, SlotSpec

PROVIDER_ID_LABEL = "fabric.provider-id"
CONTROL_GROUP = "control"  # pings and cancels, so that they are heard while an order runs
WAITING_THREADS_MAX = 2048  # one sleeping thread for each answer that is waited for
HERE_TIMEOUT_S = 5.0  # an inline answer that has arrived is read at once; any other would be looked for, for ever
METADATA_BYTES_MAX = 1024
WAIT_SLICE_S = 5.0  # then it is looked whether the slot is still ours
PLACE_POLL_S = 0.02
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Place:
    """Where an actor lives, in the words of the raylet that started it."""

    node_id: str
    address: str


def check_place(found: Place, granted: NodeFacts) -> None:
    """A raylet can answer a lease with a worker of somebody else: then whatever is sent to the actor would reach that one.

    Raises:
        HostileAnswer: it is not the node that was granted, or not at its address.
    """
    if (found.node_id, found.address) != (granted.node_id, granted.address):
        raise HostileAnswer(
            f"the actor of node {granted.node_id[:12]} at {granted.address} is said to live on {found.node_id[:12]} at {found.address}"
        )


class RayFleet:
    """Fleet on the Ray cluster that this process is connected to."""

    def __init__(self, actor_class: type = ProviderActor, *, connect_timeout_s: float = CONNECT_TIMEOUT_S) -> None:
        """Nothing is started yet. `actor_class` is what runs on the providers' machines."""
        ray_guard.install()
        self._actor_class = ray.remote(
            num_cpus=0, max_restarts=0, max_task_retries=0, concurrency_groups={CONTROL_GROUP: 8}
        )(actor_class)  # fmt: skip
        self._connect_timeout_s = connect_timeout_s
        self._actors: dict[SlotId, Any] = {}
        self._waiters = ThreadPoolExecutor(WAITING_THREADS_MAX, thread_name_prefix="ray-answer")

    async def nodes(self) -> list[NodeFacts]:
        """Live provider nodes, as the GCS sees them. Raises FleetUnavailable when it does not answer."""
        try:
            nodes: list[dict[str, Any]] = await self._in_thread(ray.nodes)
        except Exception as error:  # whatever Ray raises while its head is away
            raise FleetUnavailable from error
        return [
            NodeFacts(n["NodeID"], n["Labels"][PROVIDER_ID_LABEL], n["NodeManagerAddress"])
            for n in nodes
            if n["Alive"] and PROVIDER_ID_LABEL in n["Labels"]
        ]

    async def connect(self, spec: SlotSpec) -> None:
        """Start the slot's actor on exactly its node.

        Raises:
            SlotLost: the node is not there, or the actor did not answer in time.
            HostileAnswer: the node says that the actor lives elsewhere.
        """
        await self.release(spec.id)
        # A selector that nothing satisfies waits for ever, so the live table is asked first and creation has a time-out.
        try:
            node = next((node for node in await self.nodes() if node.node_id == spec.node_id), None)
        except FleetUnavailable as error:
            raise SlotLost(error.detail) from error
        if node is None:
            raise SlotLost(f"node {spec.node_id[:12]} is not alive")
        actor = await self._in_thread(lambda: self._create(spec))
        try:
            async with asyncio.timeout(self._connect_timeout_s):
                check_place(await self._place_of(actor), node)
                self._actors[spec.id] = actor  # only now can anything be sent to it
                await self._first_ping(spec.id)
        except TimeoutError:
            await self._end(spec.id, actor)
            raise SlotLost("the actor did not start: no answer in time") from None
        except (SlotLost, HostileAnswer, asyncio.CancelledError):
            await self._end(spec.id, actor)
            raise

    async def _place_of(self, actor: Any) -> Place:
        """Where the cluster's own table says that a new actor lives, as soon as it does."""
        actor_id = actor._actor_id.hex()
        while True:
            try:
                facts = await self._in_thread(lambda: ray_state.actors(actor_id))
            except Exception as error:  # whatever Ray raises while its head is away
                raise SlotLost("the cluster does not say where the actor lives") from error
            match facts.get("State"):
                case "ALIVE":
                    return Place(facts["Address"]["NodeID"], facts["Address"]["IPAddress"])
                case "DEAD":
                    raise SlotLost("the actor did not start: it died")
            await asyncio.sleep(PLACE_POLL_S)

    async def _first_ping(self, slot: SlotId) -> None:
        try:
            await self.ping(slot)
        except (SlotLost, HostileAnswer) as error:
            raise SlotLost(f"the actor did not start: {error}") from error

    async def send(self, slot: SlotId, order: bytes) -> bytes:
        """Send one order, wait for its receipt.

        Raises:
            SlotLost: actor or node are gone, or never were.
            HostileAnswer: what came back is not raw bytes of a permitted size; it was not read.
        """
        actor = self._actor(slot)
        return await self._answer(slot, actor, actor.run.options(num_returns=1).remote(order))

    async def ping(self, slot: SlotId) -> bytes:
        """A pong frame. Raises like `send`."""
        actor = self._actor(slot)
        method = actor.ping.options(num_returns=1, concurrency_group=CONTROL_GROUP)
        return await self._answer(slot, actor, method.remote(b""))

    async def cancel(self, slot: SlotId, frame: bytes) -> None:
        """Give up orders. The answer is never looked at; a slot that is gone has nothing to give up."""
        with contextlib.suppress(SlotLost):
            self._actor(slot).cancel.options(num_returns=1, concurrency_group=CONTROL_GROUP).remote(frame)

    async def release(self, slot: SlotId) -> None:
        """End the slot's actor, now."""
        if (actor := self._actors.get(slot)) is not None:
            await self._end(slot, actor)

    async def close(self) -> None:
        """End all actors."""
        for slot in list(self._actors):
            await self.release(slot)
        self._waiters.shutdown(wait=False, cancel_futures=True)

    async def _in_thread(self, act: Callable[[], Result]) -> Result:
        # Threads of our own: those of the loop are few, and a head that is away may hold a call for a minute.
        return await asyncio.get_running_loop().run_in_executor(self._waiters, act)

    def _create(self, spec: SlotSpec) -> Any:
        return self._actor_class.options(
            resources={spec.resource: 1}, label_selector={"ray.io/node-id": spec.node_id}
        ).remote(spec.execution_provider, spec.threads, spec.memory_bytes, spec.device_id, spec.device_bytes)  # fmt: skip

    def _actor(self, slot: SlotId) -> Any:
        try:
            return self._actors[slot]
        except KeyError:
            raise SlotLost("not connected") from None

    async def _end(self, slot: SlotId, actor: Any) -> None:
        if self._actors.get(slot) is actor:
            del self._actors[slot]
        await self._in_thread(lambda: ray.kill(actor))

    async def _answer(self, slot: SlotId, actor: Any, reference: Any) -> bytes:
        # First only learn that it is there: awaiting an answer that is not inline would pull it over, however large it is.
        while not await self._in_thread(lambda: _is_there(reference)):
            if self._actors.get(slot) is not actor:
                raise SlotLost("released")
        _check_inline(reference)
        try:
            async with asyncio.timeout(HERE_TIMEOUT_S):
                answer = await reference
        except TimeoutError:
            raise HostileAnswer("an answer that is said to lie somewhere and does not") from None
        match answer:
            case bytes() as frame:
                return frame
            case ray_guard.Lost(reason):
                raise SlotLost(reason)
            case ray_guard.Refused(reason):
                raise HostileAnswer(reason)
            case _:
                raise HostileAnswer("an answer that came past the guard")


def _is_there(reference: Any) -> bool:
    return bool(ray.wait([reference], timeout=WAIT_SLICE_S, fetch_local=False)[0])


def _check_inline(reference: Any) -> None:
    location = ray.experimental.get_local_object_locations([reference]).get(reference, {})
    size = location.get("object_size") or 0
    if location.get("node_ids") or size > RECEIPT_BYTES_MAX + METADATA_BYTES_MAX:
        raise HostileAnswer(f"an answer of {size} bytes")
