"""The shell around the core: tells it what happens, does what it says. Postgres, the fleet and the clock are reached from here.

Everything runs on the caller's event loop and nothing blocks it. A mistake of ours ends `run`, which forgets everything: whoever
leads next gives back the leases that it does not know.
"""

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from fabric.actors.messages import BadFrame, decode_pong, decode_receipt, encode_cancel
from fabric.core import clock
from fabric.core.errors import DatabaseUnavailable, FabricError
from fabric.core.settings import Settings
from fabric.core.telemetry import logger
from fabric.db.engine import Database, Transaction
from fabric.dispatch import core, leadership
from fabric.dispatch import steps as s
from fabric.dispatch import store as dispatch_store
from fabric.dispatch.fleet import Fleet, HostileAnswer, SlotId, SlotLost, SlotSpec
from fabric.dispatch.orders import MadeOrder, OrderMaker
from fabric.dispatch.settling import Settler
from fabric.dispatch.snapshot import OfferedSlot, PlanRules
from fabric.dispatch.state import CoreRules, State
from fabric.dispatch.uploads import find_uploads
from fabric.jobs import finish, queue
from fabric.jobs import store as jobs_store
from fabric.marketplace.offers import speed
from fabric.providers import store as providers_store
from fabric.storage.base import ObjectStore

TICK_S = 0.25
log = logger(__name__)


def rules_of(settings: Settings) -> CoreRules:
    """The core's constants, as configured."""
    d = settings.dispatch
    return CoreRules(
        plan=PlanRules(d.order_target_s, d.orders_per_slot, d.subtasks_per_order_max),
        lease_s=d.lease_s, order_timeout_s=d.order_timeout_s, ping_period_s=d.ping_period_s, ping_timeout_s=d.ping_timeout_s,
        unsettled_subtasks_max=4 * d.commit_subtasks_max, commission_bps=settings.billing.commission_bps,
    )  # fmt: skip


class Dispatcher:
    """Leads when nobody else does, and then keeps all slots busy."""

    def __init__(self, *, settings: Settings, database: Database, store: ObjectStore, fleet: Fleet) -> None:
        """Nothing is started yet. The parts stay the caller's, to be closed after `run` has ended."""
        self._settings = settings
        self._database = database
        self._store = store
        self._fleet = fleet
        self._state = State(rules_of(settings))
        self._maker = OrderMaker(database, store, settings.dispatch)
        self._settler = Settler(database, settings.dispatch, self._happen)
        self._tasks: set[asyncio.Task[None]] = set()
        self._connecting: dict[SlotId, asyncio.Task[None]] = {}
        self._generations: dict[SlotId, int] = {}  # grows with each release, so that news of an ended actor is told from others
        self._slots_changed = asyncio.Event()
        self._broken: asyncio.Future[None] | None = None

    @property
    def is_leading(self) -> bool:
        """Whether this dispatcher leads now."""
        return self._state.is_leader

    async def run(self) -> None:
        """Dispatch until cancelled. Raises whatever is wrong with ourselves."""
        self._broken = asyncio.get_running_loop().create_future()
        try:
            self._start(leadership.lead(self._database.url, self._happen))
            self._start(self._settler.run())
            self._start(self._tick())
            self._start(self._look_at_slots_for_ever())
            await self._broken
        finally:
            tasks = list(self._tasks)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._fleet.close()

    def _happen(self, event: s.Event) -> None:
        if isinstance(event, s.Deposed):
            self._settler.forget()
        self._state, commands = core.step(self._state, event, clock.monotonic_s())
        for command in commands:
            self._do(command)

    def _do(self, command: s.Command) -> None:
        match command:
            case s.LookAtJobs():
                self._start(self._look_at_jobs())
            case s.LookAtSlots():
                self._slots_changed.set()
            case s.Connect(spec):
                self._connecting[spec.id] = self._start(self._connect(spec))
            case s.Release(slot):
                self._release(slot)
            case s.Ping(slot):
                self._start(self._ping(slot))
            case s.ClaimWork():
                self._start(self._claim(command))
            case s.Send():
                self._start(self._send(command))
            case s.CancelOrders(slot, order_ids):
                self._start(self._fleet.cancel(slot, encode_cancel([order_id.bytes for order_id in order_ids])))
            case s.Settle():
                self._settler.add(command)
            case s.ReturnUnknown():
                self._start(self._return_unknown(command))
            case s.RenewLeases():
                self._start(self._renew(command))
            case s.TellReasons(reasons):
                self._start(self._quietly(partial(jobs_store.set_waiting_reasons, reasons=reasons)))
            case s.EndBroke(caps):
                grace_s = self._settings.billing.funds_grace_s
                self._start(self._quietly(partial(finish.fail_exhausted_budgets, caps_nanos_min=caps, grace_s=grace_s)))

    def _start(self, act: Coroutine[Any, Any, Any]) -> "asyncio.Task[None]":
        task = asyncio.ensure_future(act)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None and self._broken is not None and not self._broken.done():
            self._broken.set_exception(error)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            self._happen(s.Tick())

    async def _look_at_jobs(self) -> None:
        try:
            async with self._database.reading() as reader:
                jobs = tuple(await queue.open_jobs(reader))
        except DatabaseUnavailable:
            self._happen(s.JobsSeen(None))
        else:
            self._happen(s.JobsSeen(jobs))

    async def _look_at_slots_for_ever(self) -> None:
        # One look at a time: while the cluster's head is away a look may take a minute.
        while True:
            await self._slots_changed.wait()
            self._slots_changed.clear()
            await self._look_at_slots()

    async def _look_at_slots(self) -> None:
        try:
            async with self._database.reading() as reader:
                ready = await providers_store.ready_slots(reader, is_gated=self._settings.ray.gate)
            nodes = await self._fleet.nodes()
        except FabricError as error:
            log.warning("slots_not_seen", error=error.code)  # what we know stays true enough; the next look is near
            return
        self._happen(s.SlotsSeen(tuple(map(offered, ready)), tuple(nodes)))

    async def _connect(self, spec: SlotSpec) -> None:
        generation = self._generations.get(spec.id, 0)
        try:
            await self._fleet.connect(spec)
        except SlotLost as error:
            log.info("slot_not_connected", slot=_name_of(spec.id), error=str(error))
            event: s.Event = s.SlotGone(spec.id, str(error))
        except HostileAnswer as error:
            log.warning("slot_is_hostile", slot=_name_of(spec.id), error=str(error))
            event = s.SlotHostile(spec.id, str(error))
        else:
            event = s.Connected(spec.id)
        if self._connecting.get(spec.id) is asyncio.current_task():
            del self._connecting[spec.id]
        self._tell_of(spec.id, generation, event)

    def _release(self, slot: SlotId) -> None:
        self._generations[slot] = self._generations.get(slot, 0) + 1
        if (connecting := self._connecting.pop(slot, None)) is not None:
            connecting.cancel()
        self._start(self._fleet.release(slot))

    async def _ping(self, slot: SlotId) -> None:
        generation = self._generations.get(slot, 0)
        try:
            event: s.Event = s.Ponged(slot, decode_pong(await self._fleet.ping(slot)))
        except SlotLost as error:
            event = s.SlotGone(slot, str(error))
        except (HostileAnswer, BadFrame) as error:
            event = s.SlotHostile(slot, str(error))
        self._tell_of(slot, generation, event)

    def _tell_of(self, slot: SlotId, generation: int, event: s.Event) -> None:
        if self._generations.get(slot, 0) == generation:
            self._happen(event)

    async def _claim(self, command: s.ClaimWork) -> None:
        jobs = {claim.job_id for claim in command.claims}
        try:
            # What the orders will be made of is read beside the claim: at rest that is a third of the time to the first order.
            leases, _ = await asyncio.gather(
                self._database.retrying(lambda tx: queue.claim(tx, command.claims)), self._maker.remember(jobs)
            )
        except DatabaseUnavailable:
            self._happen(s.Claimed(command.claims, None))
        else:
            self._happen(s.Claimed(command.claims, tuple(leases)))

    async def _send(self, command: s.Send) -> None:
        try:
            made = await self._maker.make(command.order_id, command.job_id, command.leases, command.timeout_s)
        except FabricError as error:
            log.warning("order_not_made", job_id=str(command.job_id), error=error.detail)
            self._happen(s.OrderUnsent(command.order_id, error.detail))
            return
        if made.left_out:
            self._happen(s.Trimmed(command.order_id, made.left_out))
        self._maker.inline_bytes_outstanding += made.inline_bytes
        try:
            event = await self._deliver(command, made)
        finally:
            self._maker.inline_bytes_outstanding -= made.inline_bytes
        self._happen(event)

    async def _deliver(self, command: s.Send, made: MadeOrder) -> s.Event:
        try:
            receipt = decode_receipt(await self._fleet.send(command.slot, made.frame))
            uploads = await find_uploads(self._store, command.leases, receipt)
        except SlotLost as error:
            return s.OrderLost(command.order_id, str(error))
        except (HostileAnswer, BadFrame) as error:
            log.warning("hostile_answer", slot=_name_of(command.slot), error=str(error))
            return s.OrderHostile(command.order_id, str(error))
        except FabricError as error:
            return s.OrderUnsent(command.order_id, error.detail)
        return s.Answered(command.order_id, receipt, made.version.delivered, uploads)

    async def _return_unknown(self, command: s.ReturnUnknown) -> None:
        attempts_max = self._settings.dispatch.attempts_max
        try:
            while True:
                async with self._database.reading() as reader:
                    unknown = await dispatch_store.unknown_leases(reader, command.known)
                if not unknown:
                    break
                log.info("unknown_leases_returned", subtasks=len(unknown))
                await self._database.retrying(partial(queue.give_back, ended=unknown, attempts_max=attempts_max))
        except DatabaseUnavailable:
            self._happen(s.UnknownReturned(is_done=False))
        else:
            self._happen(s.UnknownReturned(is_done=True))

    async def _renew(self, command: s.RenewLeases) -> None:
        lease_s = self._settings.dispatch.lease_s
        try:
            live = await self._database.retrying(partial(queue.extend, order_ids=command.order_ids, lease_s=lease_s))
            if missing := command.order_ids - live:
                async with self._database.reading() as reader:
                    live |= await queue.live_orders(reader, missing)
        except DatabaseUnavailable:
            return
        self._happen(s.LeasesSeen(command.order_ids, frozenset(live)))

    async def _quietly(self, act: Callable[[Transaction], Coroutine[Any, Any, Any]]) -> None:
        """Something that will be tried again anyway."""
        try:
            await self._database.retrying(act)
        except DatabaseUnavailable:
            log.debug("skipped_without_database")


def offered(slot: providers_store.ReadySlot) -> OfferedSlot:
    """A slot as the core knows it."""
    return OfferedSlot(
        SlotId(slot.provider_id, slot.slot), slot.owner_id, slot.node_id, slot.resource, slot.execution_provider, slot.threads,
        slot.accelerator, slot.memory_gib, slot.region, slot.rate_nanos_per_hour, speed(slot.benchmark_runs_per_s), slot.status,
        slot.device_id, slot.newest, slot.model_rates, tuple((until_s, int(rate)) for until_s, rate in slot.older_rates),
    )  # fmt: skip


def _name_of(slot: SlotId) -> str:
    return f"{slot.provider_id}/{slot.slot}"
