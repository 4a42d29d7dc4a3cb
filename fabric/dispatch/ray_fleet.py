"""Fleet on Ray. All Ray calls of the control plane are here.

One actor for each slot, pinned to the node id that enrolment verified, never restarted and never retried by Ray: attempts are rows
that we own. Nothing here blocks the event loop: calls into Ray that may wait run in threads, answers are awaited.
"""

import asyncio
import contextlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import ray

from fabric.actors.provider_actor import ProviderActor
from fabric.core.errors import FleetUnavailable
from fabric.dispatch import ray_guard
from fabric.dispatch.fleet import CONNECT_TIMEOUT_S, HostileAnswer, NodeFacts, SlotId, SlotLost, SlotSpec

PROVIDER_ID_LABEL = "fabric.provider-id"
CONTROL_GROUP = "control"  # pings and cancels, so that they are heard while an order runs
WAITING_THREADS_MAX = 2048  # one sleeping thread for each answer that is waited for
WAIT_SLICE_S = 3600.0
Result = TypeVar("Result")


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
        """
        await self.release(spec.id)
        # A selector that nothing satisfies waits for ever, so the live table is asked first and creation has a time-out.
        try:
            if spec.node_id not in {node.node_id for node in await self.nodes()}:
                raise SlotLost(f"node {spec.node_id[:12]} is not alive")
        except FleetUnavailable as error:
            raise SlotLost(error.detail) from error
        actor = await self._in_thread(lambda: self._create(spec))
        self._actors[spec.id] = actor
        try:
            async with asyncio.timeout(self._connect_timeout_s):
                await self.ping(spec.id)
        except (TimeoutError, SlotLost, HostileAnswer) as error:
            await self._end(spec.id, actor)
            raise SlotLost(f"the actor did not start: {error or 'no answer in time'}") from error
        except asyncio.CancelledError:
            await self._end(spec.id, actor)
            raise

    async def send(self, slot: SlotId, order: bytes) -> bytes:
        """Send one order, wait for its receipt.

        Raises:
            SlotLost: actor or node are gone, or never were.
            HostileAnswer: what came back is not raw bytes of a permitted size; it was not read.
        """
        return await self._answer(self._actor(slot).run.options(num_returns=1).remote(order))

    async def ping(self, slot: SlotId) -> bytes:
        """A pong frame. Raises like `send`."""
        method = self._actor(slot).ping.options(num_returns=1, concurrency_group=CONTROL_GROUP)
        return await self._answer(method.remote(b""))

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
        actor = self._actor_class.options(
            resources={spec.resource: 1}, label_selector={"ray.io/node-id": spec.node_id}
        ).remote(spec.execution_provider, spec.threads)  # fmt: skip
        ray_guard.distrust(actor._actor_id.binary())
        return actor

    def _actor(self, slot: SlotId) -> Any:
        try:
            return self._actors[slot]
        except KeyError:
            raise SlotLost("not connected") from None

    async def _end(self, slot: SlotId, actor: Any) -> None:
        if self._actors.get(slot) is actor:
            del self._actors[slot]
        await self._in_thread(lambda: ray.kill(actor))

    async def _answer(self, reference: Any) -> bytes:
        # First only learn that it is there: awaiting an answer that is not inline would pull it over, however large it is.
        await self._in_thread(lambda: _wait_unread(reference))
        location = ray.experimental.get_local_object_locations([reference]).get(reference, {})
        if location.get("node_ids"):
            raise HostileAnswer(f"an answer of {location.get('object_size')} bytes, kept on its node")
        match await reference:
            case bytes() as frame:
                return frame
            case ray_guard.Lost(reason):
                raise SlotLost(reason)
            case ray_guard.Refused(reason):
                raise HostileAnswer(reason)
            case _:
                raise HostileAnswer("an answer that came past the guard")


def _wait_unread(reference: Any) -> None:
    while not ray.wait([reference], timeout=WAIT_SLICE_S, fetch_local=False)[0]:
        pass
