"""The outbox: writes events in the transaction of what happened, and reads them back.

    await outbox.record(tx, job_id, "job.queued", {"status": "queued"})
    await outbox.record_many(tx, [(job_id, "job.progress", {…}), …])      one statement, one NOTIFY, however many
    await outbox.notify_dispatch(tx, "jobs")                              "jobs", "slots" or "cancel"
    await outbox.tell_owner_of_machine(tx, provider_id)                   whoever watches their account looks again
    events = await outbox.events_after(reader, job_id, after_seq)

An event becomes visible, and is told, only when its transaction commits. `jobs.event_seq` numbers the events of a job; taking
the number locks the job's row, so the order of the numbers is the order of the commits and a reader never misses a lower one.
"""

import json
from collections.abc import Sequence
from typing import Any, Literal

from sqlalchemy import select, text

from fabric.core.ids import JobId, ProviderId
from fabric.db.engine import Reader, Transaction
from fabric.db.tables.events import events as events_table
from fabric.events.event import Event

EVENTS_CHANNEL = "fabric_events"
ACCOUNTS_CHANNEL = "fabric_accounts"
DISPATCH_CHANNEL = "fabric_dispatch"
EVERYTHING = "*"
NOTIFY_BYTES_MAX = 7000  # Postgres refuses payloads of 8000 bytes and more
EVENTS_PER_READ_MAX = 500

# Rows of jobs are locked in the order of their ids, as everywhere, so that two writers of many events cannot deadlock.
_RECORD = text("""
WITH wanted AS (
  SELECT job_id, type, data, position
  FROM unnest(CAST(:job_ids AS uuid[]), CAST(:types AS text[]), CAST(:data AS text[])) WITH ORDINALITY AS w(job_id, type, data, position)
), locked AS (
  SELECT id FROM jobs WHERE id IN (SELECT job_id FROM wanted) ORDER BY id FOR NO KEY UPDATE
), numbered AS (
  UPDATE jobs SET event_seq = event_seq + counts.n
  FROM (SELECT job_id, count(*)::int AS n FROM wanted JOIN locked ON locked.id = wanted.job_id GROUP BY job_id) AS counts
  WHERE jobs.id = counts.job_id
  RETURNING jobs.id, jobs.owner_id, jobs.event_seq - counts.n AS before
), written AS (
  INSERT INTO events (job_id, seq, type, data)
  SELECT w.job_id, n.before + row_number() OVER (PARTITION BY w.job_id ORDER BY w.position), w.type, CAST(w.data AS jsonb)
  FROM wanted w JOIN numbered n ON n.id = w.job_id
  RETURNING 1
), owners AS (
  SELECT string_agg(DISTINCT replace(CAST(owner_id AS text), '-', ''), ',') AS told FROM numbered
)
SELECT (SELECT count(*) FROM written) AS written, pg_notify(:channel, :payload),
       pg_notify(:accounts_channel, CASE WHEN length(owners.told) <= :bytes_max THEN owners.told ELSE :everything END)
FROM owners
""")

_TELL_OWNER = text(
    "SELECT pg_notify(:channel, replace(CAST(owner_id AS text), '-', '')) FROM providers WHERE id = CAST(:provider AS uuid)"
)


async def record(tx: Transaction, job_id: JobId, type: str, data: dict[str, Any]) -> None:
    """Write one event of a job that exists, and tell it at commit."""
    await record_many(tx, [(job_id, type, data)])


async def record_many(tx: Transaction, happenings: Sequence[tuple[JobId, str, dict[str, Any]]]) -> None:
    """Write events of jobs that exist, those of one job in the order given, and tell jobs and owners with a NOTIFY each at commit."""
    if not happenings:
        return
    parameters = {
        "job_ids": [job_id for job_id, _, _ in happenings],
        "types": [type for _, type, _ in happenings],
        "data": [json.dumps(data) for _, _, data in happenings],
        "channel": EVENTS_CHANNEL,
        "payload": told_jobs([job_id for job_id, _, _ in happenings]),
        "accounts_channel": ACCOUNTS_CHANNEL,
        "bytes_max": NOTIFY_BYTES_MAX,
        "everything": EVERYTHING,
    }
    answer = (await tx.execute(_RECORD, parameters)).one()
    assert answer.written == len(happenings), "an event was recorded for a job that does not exist"


def told_jobs(job_ids: Sequence[JobId]) -> str:
    """The NOTIFY payload for these jobs: their hex ids, or `*` when they are too many for one payload."""
    payload = ",".join(sorted({job_id.hex for job_id in job_ids}))
    return payload if len(payload) <= NOTIFY_BYTES_MAX else EVERYTHING


async def notify_dispatch(tx: Transaction, payload: Literal["jobs", "slots", "cancel"]) -> None:
    """Wake the dispatcher at commit: there are new jobs, slots changed, or leases were taken back."""
    await tx.execute(text("SELECT pg_notify(:channel, :payload)"), {"channel": DISPATCH_CHANNEL, "payload": payload})


async def tell_owner_of_machine(tx: Transaction, provider_id: ProviderId) -> None:
    """Wake whoever watches the account of this machine's owner, at commit."""
    await tx.execute(_TELL_OWNER, {"channel": ACCOUNTS_CHANNEL, "provider": provider_id})


async def events_after(reader: Reader, job_id: JobId, after_seq: int, limit: int = EVENTS_PER_READ_MAX) -> list[Event]:
    """The events of a job that follow number `after_seq` (0: all), oldest first, at most `limit`."""
    statement = (
        select(events_table)
        .where(events_table.c.job_id == job_id, events_table.c.seq > after_seq)
        .order_by(events_table.c.seq)
        .limit(limit)
    )
    rows = (await reader.execute(statement)).mappings()
    return [Event(JobId.of(row["job_id"]), row["seq"], row["type"], row["data"], row["created_at"]) for row in rows]
