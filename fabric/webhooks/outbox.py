"""The outbox of webhooks: deliveries are written in the transaction of what happened and sent by a loop, again after trouble.

    await outbox.queue(tx, [(job_id, "job.succeeded"), …])      in the transaction that ends the jobs

A turn takes due tries, sends them outside any transaction, and notes what became of each; while some are under way it takes more, of
other webhooks. A crash in between sends a try once more after `LEASE_S`, under the same id, by which receivers know it again.
"""

import asyncio
import json
from collections.abc import Mapping, Sequence, Set
from datetime import UTC, datetime
from typing import Any

from cryptography.fernet import InvalidToken

from fabric.core import clock
from fabric.core.ids import DeliveryId, JobId, ModelVersionId, WebhookId
from fabric.core.money import usd_text
from fabric.core.settings import AuthSettings, Settings
from fabric.core.telemetry import logger
from fabric.db.engine import Database, Transaction
from fabric.identity.cipher import WEBHOOK, cipher
from fabric.webhooks import store
from fabric.webhooks.sender import Outcome, Sender
from fabric.webhooks.store import Due

KEPT_TRYING_S = 86_400.0
BACKOFF_S = 5.0
BACKOFF_S_MAX = 4 * 3600.0
LEASE_S = 120.0
BATCH = 32
"""Taken at one look."""
AT_ONCE_MAX = 96
"""Tries beside each other."""
EACH_MAX = 4
"""Of them for one webhook, so that one that is slow holds up itself alone."""
LOOK_AGAIN_S = 1.0
"""While tries are under way."""
LOOKED_AT_MAX = 2000
FAILING_S_MAX = 3 * 86_400.0
"""A webhook to which nothing came through for so long is switched off."""
FORGOTTEN_PER_TURN_MAX = 5000
DAY_S = 86_400.0
GONE = "It answered 410: it wants nothing any more."
FAILING = "Nothing came through for days."

log = logger(__name__)


async def queue(tx: Transaction, happenings: Sequence[tuple[JobId, str]]) -> None:
    """Have the webhooks of these jobs' owners told once this transaction is committed; nothing is told if it is not."""
    if not happenings:
        return
    wanted = await store.wanted_by(tx, [job_id for job_id, _ in happenings], [event for _, event in happenings])
    rows: list[dict[str, Any]] = []
    waiting: dict[Any, int] = {}
    for row in wanted:
        waiting[row["webhook_id"]] = 1 + waiting.get(row["webhook_id"], int(row["pending"]))
        is_full = waiting[row["webhook_id"]] > store.PENDING_MAX
        rows.append({
            "id": DeliveryId.new(), "webhook_id": row["webhook_id"], "event": row["event"], "job_id": row["id"],
            "body": body(row["event"], row["at"], job_data(dict(row))),
            "failure": f"{store.PENDING_MAX} others waited already." if is_full else None,
        })  # fmt: skip
    if rows:
        await store.insert_deliveries(tx, rows, KEPT_TRYING_S)


async def queue_ping(tx: Transaction, webhook_id: WebhookId) -> DeliveryId:
    """Have a webhook told that it was tried."""
    delivery_id = DeliveryId.new()
    told = body("ping", clock.now(), {"webhook_id": str(webhook_id)})
    await store.insert_deliveries(
        tx, [{"id": delivery_id, "webhook_id": webhook_id, "event": "ping", "body": told}], KEPT_TRYING_S
    )
    return delivery_id


async def deliver(database: Database, settings: Settings) -> int:
    """Loop body: make the tries that are due, until none is and none is under way; says how many were taken by their receivers.

    A receiver that takes its time holds up nobody else's: meanwhile others that become due are begun.
    """
    if not (taken := await _take(database, frozenset(), AT_ONCE_MAX)):
        return 0
    running: dict[asyncio.Task[int], WebhookId] = {}
    ended: list[asyncio.Task[int]] = []
    async with Sender(settings.webhooks) as sender:
        try:
            while taken or running:
                running |= {asyncio.create_task(_send(database, settings.auth, sender, due)): due.webhook_id for due in taken}
                done, _ = await asyncio.wait(running, timeout=LOOK_AGAIN_S, return_when=asyncio.FIRST_COMPLETED)
                ended += done
                running = {task: webhook for task, webhook in running.items() if task not in done}
                taken = await _take(database, frozenset(running.values()), AT_ONCE_MAX - len(running))
        except asyncio.CancelledError:
            for task in running:
                task.cancel()
            raise
        finally:
            await asyncio.gather(*running, return_exceptions=True)
    return sum(task.result() for task in ended)  # one that could not be noted has ended no other


async def forget_old(database: Database, kept_days: float) -> int:
    """Loop body: forget deliveries that were made or given up long ago."""
    return await database.retrying(lambda tx: store.delete_old_deliveries(tx, kept_days * DAY_S, FORGOTTEN_PER_TURN_MAX))


def backoff_s(attempts: int) -> float:
    """Pure: how long to wait after so many attempts."""
    return float(min(BACKOFF_S_MAX, BACKOFF_S * 2 ** (attempts - 1)))


def body(event: str, at: datetime, data: Mapping[str, Any]) -> str:
    """Pure: what is signed and sent."""
    return json.dumps({"type": event, "timestamp": _rfc3339(at), "data": data}, separators=(",", ":"))


def job_data(row: Mapping[str, Any]) -> dict[str, Any]:
    """Pure: what is told of a job, under the names and in the shapes of `GET /api/v1/jobs/{id}`."""
    progress = ("items_total", "items_done", "items_failed", "subtasks_total", "subtasks_done")
    times = ("created_at", "started_at", "finished_at", "results_expire_at")
    return {
        "id": str(JobId.of(row["id"])), "status": row["status"], "model_version_id": str(ModelVersionId.of(row["model_version_id"])),
        "progress": {name: row[name] for name in progress},
        "cost": {name: _money(row[f"{name}_nanos"]) for name in ("held", "captured", "commission", "released")},
        "error": None if row["error_code"] is None else {"code": row["error_code"], "detail": row["error_detail"] or ""},
        "labels": dict(row["labels"]),
        **{name: None if row[name] is None else _rfc3339(row[name]) for name in times},
    }  # fmt: skip


async def _take(database: Database, busy: Set[WebhookId], limit: int) -> list[Due]:
    """What is due of webhooks that are not `busy`."""
    if limit <= 0:
        return []
    async with database.transaction() as tx:
        return await store.take_due(
            tx, LEASE_S, each_max=EACH_MAX, limit=min(limit, BATCH), looked_at_max=LOOKED_AT_MAX, busy=busy
        )


async def _send(database: Database, settings: AuthSettings, sender: Sender, due: Due) -> int:
    outcome = await _outcome(settings, sender, due)
    if outcome.failure is None:
        await database.retrying(lambda tx: store.note_delivered(tx, due, outcome.response_status))
        return 1
    wait_s = backoff_s(due.attempts)
    is_last = outcome.is_gone or not due.enabled or wait_s > due.seconds_left
    log.info("webhook_not_taken", webhook=str(due.webhook_id), delivery=str(due.id), attempts=due.attempts, given_up=is_last)

    async def note(tx: Transaction) -> None:
        await store.note_failure(tx, due, outcome.response_status, outcome.failure or "", None if is_last else wait_s)
        if outcome.is_gone:
            was_switched_off = await store.switch_off(tx, due.webhook_id, GONE)
        else:
            was_switched_off = is_last and await store.switch_off(tx, due.webhook_id, FAILING, failing_s_min=FAILING_S_MAX)
        if was_switched_off:
            await store.give_up_pending(tx, due.webhook_id, "The webhook was switched off.")

    await database.retrying(note)
    return 0


async def _outcome(settings: AuthSettings, sender: Sender, due: Due) -> Outcome:
    if not due.enabled:
        return Outcome(failure="The webhook was switched off.")
    try:
        secret = cipher(settings, WEBHOOK).decrypt(due.secret).decode()
    except InvalidToken:
        return Outcome(failure="The key that encrypts secrets was changed; make the webhook anew.")
    return await sender.send(due.url, secret, str(due.id), due.body)


def _money(nanos: int) -> dict[str, Any]:
    return {"usd_nanos": nanos, "usd": usd_text(nanos)}


def _rfc3339(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
