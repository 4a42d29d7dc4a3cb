"""SQL for webhooks and their deliveries."""

from collections.abc import Sequence, Set
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import RowMapping, delete, func, insert, select, text, update

from fabric.core.ids import DeliveryId, JobId, UserId, WebhookId
from fabric.db.engine import Reader, Transaction
from fabric.db.tables.webhooks import webhook_deliveries as deliveries
from fabric.db.tables.webhooks import webhooks

FAILURE_CHARACTERS_MAX = 300
PENDING_MAX = 1000
"""Deliveries of one webhook that wait; what comes beyond is given up at once, and can be sent again by hand."""


@dataclass(frozen=True, slots=True)
class Webhook:
    """An address that wants to be told; without its secret."""

    id: WebhookId
    url: str
    description: str
    events: list[str]
    enabled: bool
    switched_off_because: str | None
    failing_since: datetime | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Delivery:
    """One thing told."""

    id: DeliveryId
    event: str
    job_id: JobId | None
    status: str
    attempts: int
    next_try_at: datetime | None
    response_status: int | None
    failure: str | None
    finished_at: datetime | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Due:
    """A try that is to be made now."""

    id: DeliveryId
    webhook_id: WebhookId
    attempts: int
    seconds_left: float
    """Until it is given up."""
    body: str
    url: str
    secret: bytes
    enabled: bool


async def insert_webhook(tx: Transaction, user_id: UserId, values: dict[str, Any]) -> Webhook:
    """Write a new one."""
    statement = insert(webhooks).values(user_id=user_id, **values).returning(webhooks)
    return _webhook((await tx.execute(statement)).mappings().one())


async def count_webhooks(reader: Reader, user_id: UserId) -> int:
    """How many this user has."""
    return int((await reader.execute(select(func.count()).where(webhooks.c.user_id == user_id))).scalar_one())


async def select_webhooks(reader: Reader, user_id: UserId, before: UUID | None, limit: int) -> list[Webhook]:
    """Those of a user, newest first."""
    statement = select(webhooks).where(webhooks.c.user_id == user_id)
    if before is not None:
        statement = statement.where(webhooks.c.id < before)
    return [_webhook(row) for row in (await reader.execute(statement.order_by(webhooks.c.id.desc()).limit(limit))).mappings()]


async def find_webhook(reader: Reader, user_id: UserId, webhook_id: WebhookId) -> Webhook | None:
    """One of a user."""
    row = (await reader.execute(select(webhooks).where(*_own(user_id, webhook_id)))).mappings().one_or_none()
    return None if row is None else _webhook(row)


async def update_webhook(tx: Transaction, user_id: UserId, webhook_id: WebhookId, values: dict[str, Any]) -> Webhook | None:
    """Change one of a user."""
    statement = update(webhooks).where(*_own(user_id, webhook_id)).values(values).returning(webhooks)
    row = (await tx.execute(statement)).mappings().one_or_none()
    return None if row is None else _webhook(row)


async def delete_webhook(tx: Transaction, user_id: UserId, webhook_id: WebhookId) -> bool:
    """Delete one of a user, with its deliveries."""
    return bool((await tx.execute(delete(webhooks).where(*_own(user_id, webhook_id)))).rowcount)


async def wanted_by(tx: Transaction, job_ids: Sequence[JobId], events: Sequence[str]) -> Sequence[RowMapping]:
    """For each (job, event) the enabled webhooks of the job's owner that want it, with what is told of the job, in the order given.

    A webhook that is being deleted meanwhile is waited for and left out.
    """
    statement = text("""
        SELECT g.event, now() AS at, w.id AS webhook_id,
               (SELECT count(*) FROM (SELECT 1 FROM webhook_deliveries d
                                       WHERE d.webhook_id = w.id AND d.next_try_at IS NOT NULL LIMIT :pending_max) p) AS pending,
               j.id, j.status, j.model_version_id, j.items_total, j.items_done, j.items_failed, j.subtasks_total, j.subtasks_done,
               j.held_nanos, j.captured_nanos, j.commission_nanos, j.released_nanos, j.error_code, j.error_detail, j.labels,
               j.created_at, j.started_at, j.finished_at, j.finished_at + make_interval(secs => j.results_kept_s) AS results_expire_at
          FROM unnest(CAST(:job_ids AS uuid[]), CAST(:events AS text[])) WITH ORDINALITY AS g(job_id, event, position)
          JOIN jobs j ON j.id = g.job_id
          JOIN webhooks w ON w.user_id = j.owner_id AND w.enabled AND g.event = ANY(w.events)
         ORDER BY g.position, w.id
           FOR KEY SHARE OF w""")
    values = {"job_ids": list(job_ids), "events": list(events), "pending_max": PENDING_MAX}
    return (await tx.execute(statement, values)).mappings().all()


async def insert_deliveries(tx: Transaction, rows: Sequence[dict[str, Any]], kept_trying_s: float) -> None:
    """Write deliveries: id, webhook_id, event, job_id, body; due at once unless they have a `failure`, which gives them up."""
    statement = text("""
        INSERT INTO webhook_deliveries (id, webhook_id, event, job_id, body, status, next_try_at, give_up_at, failure, finished_at)
        SELECT g.id, g.webhook_id, g.event, g.job_id, g.body, CASE WHEN g.failure IS NULL THEN 'pending' ELSE 'given_up' END,
               CASE WHEN g.failure IS NULL THEN now() END, now() + make_interval(secs => :kept_trying_s), g.failure,
               CASE WHEN g.failure IS NOT NULL THEN now() END
          FROM unnest(CAST(:id AS uuid[]), CAST(:webhook_id AS uuid[]), CAST(:event AS text[]), CAST(:job_id AS uuid[]),
                      CAST(:body AS text[]), CAST(:failure AS text[])) AS g(id, webhook_id, event, job_id, body, failure)""")
    names = ("id", "webhook_id", "event", "job_id", "body", "failure")
    await tx.execute(statement, {name: [row.get(name) for row in rows] for name in names} | {"kept_trying_s": kept_trying_s})


async def count_pending(reader: Reader, webhook_id: WebhookId) -> int:
    """Deliveries that wait."""
    waiting = select(func.count()).where(deliveries.c.webhook_id == webhook_id, deliveries.c.next_try_at.is_not(None))
    return int((await reader.execute(waiting)).scalar_one())


async def select_deliveries(reader: Reader, webhook_id: WebhookId, before: UUID | None, limit: int) -> list[Delivery]:
    """What a webhook was told, newest first."""
    statement = select(deliveries).where(deliveries.c.webhook_id == webhook_id)
    if before is not None:
        statement = statement.where(deliveries.c.id < before)
    rows = (await reader.execute(statement.order_by(deliveries.c.id.desc()).limit(limit))).mappings()
    return [_delivery(row) for row in rows]


async def find_delivery(reader: Reader, webhook_id: WebhookId, delivery_id: DeliveryId) -> Delivery | None:
    """One of a webhook."""
    own = (deliveries.c.webhook_id == webhook_id) & (deliveries.c.id == delivery_id)
    row = (await reader.execute(select(deliveries).where(own))).mappings().one_or_none()
    return None if row is None else _delivery(row)


async def make_due(tx: Transaction, delivery_id: DeliveryId, kept_trying_s: float) -> None:
    """Begin its tries anew, now."""
    statement = text("""
        UPDATE webhook_deliveries SET status = 'pending', attempts = 0, next_try_at = now(), finished_at = NULL,
               give_up_at = now() + make_interval(secs => :kept_trying_s) WHERE id = :id""")
    await tx.execute(statement, {"id": delivery_id, "kept_trying_s": kept_trying_s})


async def take_due(
    tx: Transaction, lease_s: float, *, each_max: int, limit: int, looked_at_max: int, busy: Set[WebhookId] = frozenset()
) -> list[Due]:
    """Tries that are due, those that wait longest first, and `each_max` of one webhook, none of those that are `busy`.

    Nobody else gets them for `lease_s`.
    """
    statement = text("""
        WITH longest AS (
          SELECT id, webhook_id, next_try_at FROM webhook_deliveries
           WHERE next_try_at <= now() AND webhook_id <> ALL(CAST(:busy AS uuid[])) ORDER BY next_try_at LIMIT :looked_at_max),
        fair AS (
          SELECT id FROM (SELECT id, row_number() OVER (PARTITION BY webhook_id ORDER BY next_try_at, id) AS n FROM longest) AS numbered
           WHERE n <= :each_max),
        taken AS (
          SELECT id FROM webhook_deliveries WHERE id IN (SELECT id FROM fair) AND next_try_at <= now()
           ORDER BY next_try_at LIMIT :limit FOR UPDATE SKIP LOCKED)
        UPDATE webhook_deliveries AS d SET attempts = d.attempts + 1, next_try_at = now() + make_interval(secs => :lease_s)
          FROM taken, webhooks AS w
         WHERE d.id = taken.id AND w.id = d.webhook_id
        RETURNING d.id, d.webhook_id, d.attempts, extract(epoch FROM d.give_up_at - now()) AS seconds_left, d.body, w.url, w.secret,
                  w.enabled""")
    values = {"lease_s": lease_s, "each_max": each_max, "limit": limit, "looked_at_max": looked_at_max, "busy": list(busy)}
    return [
        Due(
            DeliveryId.of(row.id), WebhookId.of(row.webhook_id), row.attempts, float(row.seconds_left), row.body, row.url,
            bytes(row.secret), row.enabled,
        )
        for row in await tx.execute(statement, values)
    ]  # fmt: skip


async def note_delivered(tx: Transaction, due: Due, response_status: int | None) -> None:
    """It was taken: the webhook works."""
    values = {
        "status": "delivered",
        "next_try_at": None,
        "finished_at": func.now(),
        "response_status": response_status,
        "failure": None,
    }
    await tx.execute(update(deliveries).where(deliveries.c.id == due.id).values(values))
    failing = (webhooks.c.id == due.webhook_id) & webhooks.c.failing_since.is_not(None)
    await tx.execute(update(webhooks).where(failing).values(failing_since=None))


async def note_failure(tx: Transaction, due: Due, response_status: int | None, failure: str, again_in_s: float | None) -> None:
    """It was not taken; None: it is given up."""
    values: dict[str, Any] = {"response_status": response_status, "failure": failure.replace("\0", "")[:FAILURE_CHARACTERS_MAX]}
    if again_in_s is not None:
        values["next_try_at"] = _in(again_in_s)
    else:
        values |= {"status": "given_up", "next_try_at": None, "finished_at": func.now()}
        works = (webhooks.c.id == due.webhook_id) & webhooks.c.failing_since.is_(None)
        await tx.execute(update(webhooks).where(works).values(failing_since=func.now()))
    # Somebody else has delivered it meanwhile when its lease had run out.
    await tx.execute(update(deliveries).where(deliveries.c.id == due.id, deliveries.c.status == "pending").values(values))


async def switch_off(tx: Transaction, webhook_id: WebhookId, because: str, *, failing_s_min: float = 0.0) -> bool:
    """Switch one off that has been failing for so long; whether it was on."""
    long_enough = webhooks.c.enabled if failing_s_min <= 0 else webhooks.c.failing_since <= _in(-failing_s_min)
    statement = update(webhooks).where(webhooks.c.id == webhook_id, webhooks.c.enabled, long_enough)
    return bool((await tx.execute(statement.values(enabled=False, switched_off_because=because))).rowcount)


async def give_up_pending(tx: Transaction, webhook_id: WebhookId, failure: str) -> None:
    """Give up all that waits for one."""
    waiting = (deliveries.c.webhook_id == webhook_id) & deliveries.c.next_try_at.is_not(None)
    values = {"status": "given_up", "next_try_at": None, "finished_at": func.now(), "failure": failure}
    await tx.execute(update(deliveries).where(waiting).values(values))


async def delete_old_deliveries(tx: Transaction, older_than_s: float, limit: int) -> int:
    """Forget what was told long ago, some at a time."""
    old = (
        select(deliveries.c.id)
        .where(deliveries.c.created_at < _in(-older_than_s), deliveries.c.next_try_at.is_(None))
        .limit(limit)
    )
    return int((await tx.execute(delete(deliveries).where(deliveries.c.id.in_(old)))).rowcount)


def _in(seconds: float) -> Any:
    return func.now() + func.make_interval(0, 0, 0, 0, 0, 0, seconds)


def _own(user_id: UserId, webhook_id: WebhookId) -> tuple[Any, Any]:
    return webhooks.c.id == webhook_id, webhooks.c.user_id == user_id


def _webhook(row: RowMapping) -> Webhook:
    return Webhook(
        WebhookId.of(row["id"]), row["url"], row["description"], list(row["events"]), row["enabled"], row["switched_off_because"],
        row["failing_since"], row["created_at"],
    )  # fmt: skip


def _delivery(row: RowMapping) -> Delivery:
    return Delivery(
        DeliveryId.of(row["id"]), row["event"], None if row["job_id"] is None else JobId.of(row["job_id"]), row["status"],
        row["attempts"], row["next_try_at"], row["response_status"], row["failure"], row["finished_at"], row["created_at"],
    )  # fmt: skip
