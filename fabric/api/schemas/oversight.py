"""Bodies of what an operator sees: everybody's jobs and machines, the books, the parts."""

from collections.abc import Mapping
from typing import Any, Literal, Self

from fabric.accounts.oversight import AnyJob, AnyMachine, Part
from fabric.api.schemas.common import Body, Moment, Money
from fabric.billing.ledger import Finding
from fabric.billing.reconcile import Report


class AnyJobOut(Body):
    """Somebody's job."""

    id: str
    owner_id: str
    owner_email: str
    model: str
    status: str
    waiting_reason: str | None
    error_code: str | None
    items_total: int
    items_done: int
    items_failed: int
    held: Money
    captured: Money
    created_at: Moment
    finished_at: Moment | None

    @classmethod
    def of(cls, job: AnyJob) -> Self:
        """Show one."""
        return cls(
            id=str(job.id), owner_id=str(job.owner_id), owner_email=job.owner_email, model=job.model, status=job.status,
            waiting_reason=job.waiting_reason, error_code=job.error_code, items_total=job.items_total, items_done=job.items_done,
            items_failed=job.items_failed, held=Money.of(job.held_nanos), captured=Money.of(job.captured_nanos),
            created_at=job.created_at, finished_at=job.finished_at,
        )  # fmt: skip


class AnyMachineOut(Body):
    """Somebody's machine."""

    id: str
    owner_id: str
    owner_email: str
    name: str
    status: str
    """enrolled, online, paused, draining, offline, removed."""
    banned: bool
    reason: str
    """Why it was banned; empty else."""
    region: str
    isolation: str
    address: str | None
    """From where it joined."""
    agent_version: str
    slots: int
    last_heartbeat_at: Moment | None
    created_at: Moment

    @classmethod
    def of(cls, machine: AnyMachine) -> Self:
        """Show one."""
        return cls(
            id=str(machine.id), owner_id=str(machine.owner_id), owner_email=machine.owner_email, name=machine.name,
            status=machine.status, banned=machine.is_banned, reason=machine.reason, region=machine.region,
            isolation=machine.isolation, address=machine.address, agent_version=machine.agent_version, slots=machine.slots,
            last_heartbeat_at=machine.last_heartbeat_at, created_at=machine.created_at,
        )  # fmt: skip


class PartOut(Body):
    """A part of the control plane."""

    name: str
    status: Literal["ok", "problem"]
    seen: str
    """In words."""

    @classmethod
    def of(cls, part: Part) -> Self:
        """Show one."""
        return cls(name=part.name, status="ok" if part.is_well else "problem", seen=part.seen)


class PartsOut(Body):
    """All of them."""

    parts: list[PartOut]


class KindOut(Body):
    """The accounts of one kind."""

    kind: str
    balance: Money
    """In the direction in which the kind grows."""


class BooksOut(Body):
    """The ledger as it stands."""

    trial_balance: Money
    """Debits less credits; zero, or the books are wrong."""
    kinds: list[KindOut]
    livemode: bool
    """False: play money."""


class FindingOut(Body):
    """An audit that found something."""

    name: str
    rows: int


class AuditOut(Body):
    """What the audits of the ledger say now."""

    audits: int
    """So many were read."""
    findings: list[FindingOut]
    """Empty: every invariant holds."""
    trial_balance: Money

    @classmethod
    def of(cls, audits: int, findings: list[Finding], trial_balance: int) -> Self:
        """Show it."""
        found = [FindingOut(name=finding.name, rows=finding.rows) for finding in findings]
        return cls(audits=audits, findings=found, trial_balance=Money.of(trial_balance))


class DifferenceOut(Body):
    """What one side knows and the other does not, or otherwise."""

    kind: str
    there: str | None
    """The payment service's balance transaction, or account."""
    here: str | None
    """The key of the ledger's transaction."""
    there_amount: Money
    here_amount: Money


class ReconciliationOut(Body):
    """Both sides compared."""

    there: int
    """Balance transactions."""
    here: int
    """Transactions of the ledger."""
    on_their_way: int
    fees_booked: int
    differences: list[DifferenceOut]
    """Empty: both sides agree."""

    @classmethod
    def of(cls, report: Report) -> Self:
        """Show it."""
        differences = [
            DifferenceOut(
                kind=one.kind, there=one.there, here=one.here, there_amount=Money.of(one.there_nanos), here_amount=Money.of(one.here_nanos)
            )
            for one in report.differences
        ]  # fmt: skip
        return cls(
            there=report.there, here=report.here, on_their_way=report.on_their_way, fees_booked=report.fees_booked,
            differences=differences,
        )  # fmt: skip


class RefusedOut(Body):
    """So many calls that the gate refused for one reason."""

    method: str
    reason: str
    count: int


class RefusalOut(Body):
    """One call that the gate refused."""

    method: str
    reason: str
    detail: str
    peer: str
    """From where it came."""
    provider_id: str
    """The machine; `unbound`: nobody who had entered."""
    at: Moment


class GateOut(Body):
    """What the gate between machines and the control plane refused since it started."""

    reached: bool
    """False: no gate answers beside this endpoint."""
    refused_total: int = 0
    refused: list[RefusedOut] = []
    latest: list[RefusalOut] = []
    """The latest, newest first."""

    @classmethod
    def of(cls, said: Mapping[str, Any]) -> Self:
        """Show what the gate said."""
        return cls.model_validate({
            "reached": True, "refused_total": said["refused_total"], "refused": said["refused"], "latest": said["latest"][::-1],
        })  # fmt: skip
