"""How a user's jobs, machines and wallet and the network stand now, what changed since an earlier look, and a mark by which to go on from there.

    now = await read_pulse(reader, user_id, topics, figures)
    now.mark                          "jobs=…;machines=…;wallet=…;network=…": short, and the same for the same state in every process
    stale_topics(now, mark)           topics that changed since that mark; None: nobody can read the mark, so start over
    changes(before, now)              what is different between two looks

A mark stands for a state and not for a place in a log, so nothing is stored for those who watch, and somebody who was cut off for
a minute and missed nothing is told nothing.
"""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from fabric.accounts import store
from fabric.billing import chart, limits, wallet
from fabric.core.ids import JobId, ProviderId, UserId
from fabric.db.census import MarketCounts
from fabric.db.engine import Reader
from fabric.providers import store as provider_store

Topic = Literal["jobs", "machines", "wallet", "network"]
TOPICS: tuple[Topic, ...] = ("jobs", "machines", "wallet", "network")
YOUNG_JOBS_MAX = 100
OPEN_JOBS_MAX = 400
MACHINES_MAX = 200
MARK_CHARACTERS_MAX = 160


@dataclass(frozen=True, slots=True)
class JobNow:
    """One job as it stands. Amounts in nano-USD."""

    id: JobId
    status: str
    waiting_reason: str | None
    items_total: int
    items_done: int
    items_failed: int
    subtasks_total: int
    subtasks_done: int
    captured_nanos: int
    released_nanos: int
    event_seq: int


@dataclass(frozen=True, slots=True)
class MachineNow:
    """One machine as it stands."""

    machine: provider_store.Provider
    work: Mapping[int, str | None]  # slots at work, and the model there, if its name is the owner's to know
    earned_nanos: int  # ever, before what was taken back

    def __repr__(self) -> str:
        """What makes a difference: a heartbeat that says what the last one said does not."""
        of = self.machine
        return repr((of.name, of.status, of.ray_node_id, of.agent_version, sorted(of.agent_state.items(), key=str), of.slots,
                     of.schedule_wanted, self.work, self.earned_nanos))  # fmt: skip


@dataclass(frozen=True, slots=True)
class WalletNow:
    """The wallet as it stands."""

    balance: wallet.Balance
    state: limits.WalletState


@dataclass(frozen=True, slots=True)
class Pulse:
    """One look at an account; a topic that was not looked at is None."""

    jobs: Mapping[JobId, JobNow] | None = None
    machines: Mapping[ProviderId, MachineNow] | None = None
    wallet: WalletNow | None = None
    network: MarketCounts | None = None

    @property
    def mark(self) -> str:
        """Names this state."""
        return ";".join(f"{topic}={_digest(getattr(self, topic))}" for topic in self.topics)

    @property
    def topics(self) -> tuple[Topic, ...]:
        """What was looked at."""
        return tuple(topic for topic in TOPICS if getattr(self, topic) is not None)


@dataclass(frozen=True, slots=True)
class Changes:
    """What is different between two looks. `gone` is no longer seen: deleted, or older than what is looked at."""

    jobs: Sequence[JobNow] = ()
    jobs_gone: Sequence[JobId] = ()
    machines: Sequence[MachineNow] = ()
    machines_gone: Sequence[ProviderId] = ()
    wallet: WalletNow | None = None
    network: MarketCounts | None = None


async def read_pulse(reader: Reader, user_id: UserId, topics: Collection[Topic], network: MarketCounts | None = None) -> Pulse:
    """Look at the account: the youngest jobs and the open ones, the youngest machines, the wallet; each within its bound.

    `network` is everybody's, so whoever looks for many reads it once and hands it in.
    """
    purse = None
    if "wallet" in topics:
        purse = WalletNow(await wallet.balance(reader, user_id), await limits.read_wallet(reader, user_id))
    return Pulse(
        await _jobs(reader, user_id) if "jobs" in topics else None,
        await _machines(reader, user_id) if "machines" in topics else None,
        purse,
        network,
    )


def stale_topics(now: Pulse, mark: str) -> tuple[Topic, ...] | None:
    """What changed since somebody was given `mark`; None when it is no mark of such a look."""
    if len(mark) > MARK_CHARACTERS_MAX:
        return None
    seen, present = _read_mark(mark), _read_mark(now.mark)
    if seen is None or present is None or set(seen) != set(present):
        return None
    return tuple(topic for topic in now.topics if seen[topic] != present[topic])


def changes(before: Pulse, now: Pulse) -> Changes:
    """What `now` has that `before` had not, or had otherwise."""
    jobs, jobs_gone = _different(before.jobs, now.jobs)
    machines, machines_gone = _different(before.machines, now.machines)
    return Changes(
        jobs, jobs_gone, machines, machines_gone, now.wallet if now.wallet != before.wallet else None,
        now.network if now.network != before.network else None,
    )  # fmt: skip


def _different(before: Mapping[Any, Any] | None, now: Mapping[Any, Any] | None) -> tuple[list[Any], list[Any]]:
    before, now = before or {}, now or {}
    changed = [value for key, value in now.items() if key not in before or repr(before[key]) != repr(value)]
    return changed, [key for key in before if key not in now]


def _digest(state: object) -> str:
    return hashlib.blake2b(repr(state).encode(), digest_size=8).hexdigest()


def _read_mark(mark: str) -> dict[str, str] | None:
    parts = [part.partition("=") for part in mark.split(";")]
    return None if any(not digest for _, _, digest in parts) else {topic: digest for topic, _, digest in parts}


async def _jobs(reader: Reader, user_id: UserId) -> dict[JobId, JobNow]:
    rows = await store.jobs_now(reader, user_id, young_max=YOUNG_JOBS_MAX, open_max=OPEN_JOBS_MAX)
    found = (JobNow(**{**row, "id": JobId.of(row["id"])}) for row in rows)
    return {job.id: job for job in found}


async def _machines(reader: Reader, user_id: UserId) -> dict[ProviderId, MachineNow]:
    machines = await provider_store.list_providers(reader, user_id, None, MACHINES_MAX)
    ids = [machine.id for machine in machines]
    work, earned = await store.work_now(reader, ids), await store.earned_ever(reader, ids, chart.PROVIDER_PENDING.name)
    return {machine.id: MachineNow(machine, work.get(machine.id, {}), earned.get(machine.id, 0)) for machine in machines}
