"""The gate's acts: who may speak and as whom, kept in Postgres, in memory and at the edge; entering, binding a node, cutting off.

What it knows is the last thing that Postgres said: while Postgres is away, machines that are known go on, and none can enter.
Postgres is written before anybody acts on a change, so a restarted gate knows what the last one did.
"""

import asyncio
from typing import Any

from fabric.core import clock
from fabric.core.errors import DatabaseUnavailable
from fabric.core.ids import ProviderId
from fabric.core.telemetry import logger
from fabric.db.engine import Database
from fabric.events import outbox
from fabric.gate import store
from fabric.gate.calls import Calls
from fabric.gate.check import Claim, Left, Refused, SubscriberClaim, Swallowed, WorkerClaim
from fabric.gate.claims import NodeClaim, conflict_of
from fabric.gate.config import GateConfig
from fabric.gate.enter import Denied, has_key, judge
from fabric.gate.gcs import Gcs, GcsAway
from fabric.gate.grants import Caller, Grants
from fabric.gate.haproxy import Edge

NODE_CHANGE_S = 1.0
"""A machine may replace its node no faster."""
SUBSCRIBERS_MAX = 1000
"""Of one machine; each of its processes has one or two."""
log = logger(__name__)


class Gate:
    """Who may speak."""

    def __init__(self, config: GateConfig, database: Database, gcs: Gcs, edge: Edge, calls: Calls) -> None:
        """Knows nobody until `refresh`."""
        self.config, self.calls, self.gcs = config, calls, gcs
        self.grants = Grants()
        self._database, self._edge = database, edge
        self._lock = asyncio.Lock()
        self._read_at_s = float("-inf")
        self._subscribers: dict[ProviderId, dict[bytes, None]] = {}
        self._node_changed_at_s: dict[ProviderId, float] = {}

    def caller(self, peer: str) -> Caller | None:
        """The machine that calls from this address; None when it is nobody's."""
        grant = self.grants.of_peer(peer)
        return None if grant is None else Caller(grant, self.config.node_ip(peer))

    def peers(self) -> dict[str, str]:
        """The machine of each address, as the edge knows them."""
        return {peer: str(grant.provider_id) for peer, grant in self.grants.by_peer.items()}

    async def refresh(self) -> None:
        """Know what Postgres knows now; whoever was cut off or moved is ended at once.

        Raises:
            DatabaseUnavailable: it is away; what was known stays.
        """
        asked_at_s = clock.monotonic_s()
        async with self._lock:
            if self._read_at_s >= asked_at_s:
                return  # somebody else read while we waited
            began_at_s = clock.monotonic_s()
            async with self._database.reading() as reader:
                grants = Grants.of(await store.read_grants(reader))
            self._read_at_s = began_at_s
            await self._adopt(grants)

    async def clear_banned(self) -> None:
        """Give up the nodes of machines that were cut off; again and again until the GCS agreed."""
        for grant in [g for g in self.grants.by_provider.values() if g.is_banned]:
            try:
                if grant.node_id is not None:
                    await self.gcs.unregister(grant.node_id, "cut off from this fabric")
            except GcsAway:
                continue  # the next turn tries again
            async with self._database.transaction() as tx:
                await store.clear_banned(tx, grant.provider_id)
            log.warning("gate_cut_off", provider_id=str(grant.provider_id), peer=grant.peer, node_id=grant.node_id)

    async def enter(self, peer: str, provider_id: ProviderId, key: str) -> str | Denied:
        """Let a machine be this address; the address that its node must register, or why not.

        Raises:
            DatabaseUnavailable: nothing was changed.
            GcsAway: nothing was changed.
        """
        if not has_key(self.grants.by_provider.get(provider_id), key):
            await self.refresh()  # it may have enrolled a moment ago
        if not has_key(self.grants.by_provider.get(provider_id), key):
            return Denied("key", "unknown machine or wrong key")
        alive = {node.node_id for node in await self.gcs.nodes() if node.is_alive}
        await self.refresh()
        entry = judge(self.grants, peer, provider_id, key, alive.__contains__)
        if isinstance(entry, Denied):
            return entry
        if entry.node_given_up is not None:
            await self.gcs.unregister(entry.node_given_up, "its machine moved to another address")
        async with self._lock:
            async with self._database.transaction() as tx:
                if not await store.bind_peer(tx, entry.grant, peer):
                    return Denied("key", "the grant changed meanwhile")
                await outbox.notify_dispatch(tx, "slots")
            await self._adopt(await self._reread())
        log.info("gate_entered", provider_id=str(provider_id), peer=peer)
        return self.config.node_ip(peer)

    async def settle(self, claim: Claim | None, caller: Caller) -> Refused | Swallowed | None:
        """Whether what a request claims is true; None when it may go to the GCS.

        Raises:
            DatabaseUnavailable: a node could not be bound; nothing was changed.
            GcsAway: it could not be found out.
        """
        if isinstance(claim, NodeClaim):
            return await self._accept_node(claim, caller)
        if isinstance(claim, WorkerClaim):
            return await self._settle_worker(claim, caller)
        if isinstance(claim, SubscriberClaim):
            return self._settle_subscriber(claim, caller.grant.provider_id)
        return None

    async def after(self, claim: Claim | None, caller: Caller) -> None:
        """The GCS agreed to a request."""
        if isinstance(claim, Left):
            try:
                async with self._lock:
                    async with self._database.transaction() as tx:
                        await store.unbind_node(tx, caller.grant.provider_id, claim.node_id)
                        await outbox.notify_dispatch(tx, "slots")
                    await self._adopt(await self._reread())
            except DatabaseUnavailable:
                log.warning("gate_node_left_unrecorded", node_id=claim.node_id)  # its successor takes its place anyway

    def status(self) -> dict[str, Any]:
        """For `fabric doctor` and for people."""
        under_way = self.calls.count()
        return {
            "gcs_address": self.config.gcs_address,
            "listening": self.config.listen_addresses(),
            "grants": len(self.grants.by_provider),
            "grants_read_s_ago": round(clock.monotonic_s() - self._read_at_s, 3),
            "peers": {
                str(g.provider_id): {"peer": g.peer, "node_id": g.node_id, "calls": under_way[g.provider_id]}
                for g in self.grants.by_peer.values()
            },
        }

    async def _reread(self) -> Grants:
        async with self._database.reading() as reader:
            self._read_at_s = clock.monotonic_s()
            return Grants.of(await store.read_grants(reader))

    async def _adopt(self, grants: Grants) -> None:
        before, self.grants = self.grants, grants
        gone = [
            grant for peer, grant in before.by_peer.items()
            if (now := grants.of_peer(peer)) is None or now.provider_id != grant.provider_id
        ]  # fmt: skip
        await self._edge.allow(self.peers())
        for grant in gone:
            ended = self.calls.end(grant.provider_id)
            await self.gcs.close_channel(grant.provider_id)
            self._subscribers.pop(grant.provider_id, None)
            log.info("gate_connections_ended", provider_id=str(grant.provider_id), peer=grant.peer, calls=ended)

    async def _accept_node(self, claim: NodeClaim, caller: Caller) -> Refused | None:
        grant, bound = caller.grant, caller.grant.node_id
        if (owner := self.grants.of_node(claim.node_id)) is not None and owner.provider_id != grant.provider_id:
            return Refused("node_id", f"node {claim.node_id} is another machine's")
        if wrong := conflict_of(claim, bound, await self.gcs.nodes(), self._reserved_ports(claim.address)):
            return Refused(*wrong)
        if claim.node_id != bound:
            now_s = clock.monotonic_s()
            if now_s - self._node_changed_at_s.get(grant.provider_id, float("-inf")) < NODE_CHANGE_S:
                return Refused("rate", "another node of this machine registered a moment ago")
            self._node_changed_at_s[grant.provider_id] = now_s
        if bound is not None and bound != claim.node_id:
            await self.gcs.unregister(bound, "replaced by a new node of the same machine")
        async with self._lock:
            async with self._database.transaction() as tx:
                if not await store.bind_node(tx, grant, claim.node_id):
                    return Refused("unbound", "the machine was cut off or moved")
                await outbox.notify_dispatch(tx, "slots")
            await self._adopt(await self._reread())
        log.info("gate_node_bound", provider_id=str(grant.provider_id), node_id=claim.node_id, replaced=bound)
        return None

    def _reserved_ports(self, address: str) -> set[int]:
        if address != self.config.local_node_ip:
            return set()
        own = {self.config.port, self.config.outward_port or 0, int(self.config.gcs_address.rpartition(":")[2])}
        return own | set(self.config.reserved_ports)

    async def _settle_worker(self, claim: WorkerClaim, caller: Caller) -> Refused | Swallowed | None:
        node_id = await self.gcs.node_of_worker(claim.worker_id)
        if node_id is None:
            # Nobody's: a worker that failed before it was known concerns nobody, and its id might be one that is still to come.
            return None if claim.may_be_new else Swallowed()
        if node_id != caller.node_id:
            return Refused("worker_id", f"worker {claim.worker_id.hex()} is of node {node_id.hex()}")
        return None

    def _settle_subscriber(self, claim: SubscriberClaim, provider_id: ProviderId) -> Refused | None:
        # Ids are random, and a gate that restarted has forgotten them: whoever first shows one has it.
        for other, used in self._subscribers.items():
            if other != provider_id and claim.subscriber_id in used:
                return Refused("subscriber", "a subscriber of another machine")
        mine = self._subscribers.setdefault(provider_id, {})
        mine.pop(claim.subscriber_id, None)
        mine[claim.subscriber_id] = None
        if len(mine) > SUBSCRIBERS_MAX:
            del mine[next(iter(mine))]
        return None
