"""What the events of /api/v1/events carry."""

from collections.abc import Collection

from fabric.accounts.pulse import Changes, JobNow, MachineNow, Pulse, WalletNow
from fabric.api.schemas.common import Body, Money
from fabric.api.schemas.marketplace import StatsOut
from fabric.api.schemas.providers import ProviderOut
from fabric.api.schemas.wallet import WalletOut


class JobNowOut(Body):
    """A job as it stands."""

    id: str
    status: str
    waiting_reason: str | None
    items_total: int
    items_done: int
    items_failed: int
    subtasks_total: int
    subtasks_done: int
    captured: Money
    released: Money

    @classmethod
    def of(cls, job: JobNow) -> "JobNowOut":
        """Show a job."""
        return cls(
            id=str(job.id), status=job.status, waiting_reason=job.waiting_reason, items_total=job.items_total,
            items_done=job.items_done, items_failed=job.items_failed, subtasks_total=job.subtasks_total,
            subtasks_done=job.subtasks_done, captured=Money.of(job.captured_nanos), released=Money.of(job.released_nanos),
        )  # fmt: skip


class JobsChangedOut(Body):
    """Jobs that are new, or stand otherwise."""

    changed: list[JobNowOut]
    gone: list[str]
    """They are followed no longer: read your list of jobs again."""
    whole: bool = False
    """`changed` is all that is followed, as you were away: the youngest jobs, and those that are not finished."""


class MachineNowOut(ProviderOut):
    """A machine as it stands."""

    slots_busy: int
    earned: Money
    """Ever, before what was taken back for bad results."""

    @classmethod
    def seen(cls, now: MachineNow) -> "MachineNowOut":
        """Show a machine."""
        shown = ProviderOut.of(now.machine, now.work).model_dump()
        return cls.model_validate({**shown, "slots_busy": len(now.work), "earned": Money.of(now.earned_nanos)})


class MachinesChangedOut(Body):
    """Machines that are new, or stand otherwise."""

    changed: list[MachineNowOut]
    gone: list[str]
    whole: bool = False
    """`changed` is all that is followed, as you were away."""


class StartOverOut(Body):
    """What you saw before may be old: read everything again."""

    topics: list[str]
    """What the events will be about."""


def bodies_of(found: Changes, *, livemode: bool, whole: Collection[str] = ()) -> list[tuple[str, Body]]:
    """The events that tell of changes, by name; of the topics in `whole` they tell everything."""
    told: list[tuple[str, Body]] = []
    if (all_jobs := "jobs" in whole) or found.jobs or found.jobs_gone:
        gone = [str(job_id) for job_id in found.jobs_gone]
        told.append(("jobs", JobsChangedOut(changed=[JobNowOut.of(job) for job in found.jobs], gone=gone, whole=all_jobs)))
    if (all_machines := "machines" in whole) or found.machines or found.machines_gone:
        gone = [str(machine_id) for machine_id in found.machines_gone]
        machines = [MachineNowOut.seen(one) for one in found.machines]
        told.append(("machines", MachinesChangedOut(changed=machines, gone=gone, whole=all_machines)))
    if found.wallet is not None:
        told.append(("wallet", wallet_body(found.wallet, livemode=livemode)))
    if found.network is not None:
        told.append(("network", StatsOut.of(found.network)))
    return told


def wallet_body(now: WalletNow, *, livemode: bool) -> WalletOut:
    """The wallet as it stands."""
    return WalletOut.of(now.balance, now.state, livemode=livemode)


def only(pulse: Pulse, topics: tuple[str, ...]) -> Pulse:
    """The look as somebody saw it who knows nothing of `topics` yet."""
    return Pulse(
        {} if "jobs" in topics else pulse.jobs, {} if "machines" in topics else pulse.machines,
        None if "wallet" in topics else pulse.wallet, None if "network" in topics else pulse.network,
    )  # fmt: skip
