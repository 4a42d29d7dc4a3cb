"""SQL over all tables: a user's export and deletion, how an account stands now, and what an operator sees."""

from collections.abc import AsyncIterator, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import RowMapping, text

from fabric.core.ids import ProviderId, UserId
from fabric.db.engine import Reader, Transaction

OF_LEDGER = """
  SELECT a.id FROM ledger.accounts a WHERE a.holder_id = :user OR a.owner_id = :user
      OR a.owner_id IN (SELECT id FROM providers WHERE owner_id = :user)
"""

SECTIONS: dict[str, str] = {
    "profile": """SELECT id, email, role, email_verified_at, totp_confirmed_at AS second_factor_since,
                         password_hash IS NOT NULL AS has_password, created_at FROM users WHERE id = :user""",
    "sessions": """SELECT id, method, device, address, last_seen_at, expires_at, ended_at, end_reason, created_at
                   FROM sessions WHERE user_id = :user ORDER BY created_at""",
    "identities": """SELECT id, provider, issuer, subject, email, last_used_at, created_at FROM linked_identities
                     WHERE user_id = :user ORDER BY id""",
    "api_keys": """SELECT id, label, hint, scopes, requests_per_minute, expires_at, revoked_at, last_used_at, created_at
                   FROM api_keys WHERE user_id = :user ORDER BY id""",
    "join_tokens": """SELECT id, label, hint, uses, uses_max, expires_at, revoked_at, created_at FROM join_tokens
                      WHERE owner_id = :user ORDER BY id""",
    "files": """SELECT id, name, media_type, size, encode(sha256, 'hex') AS sha256, status, created_at, expires_at, deleted_at
                FROM files WHERE owner_id = :user ORDER BY id""",
    "models": """SELECT m.id, m.name, m.visibility, v.version, encode(v.sha256, 'hex') AS sha256, v.size, v.card, v.created_at,
                        v.deleted_at FROM models m JOIN model_versions v ON v.model_id = m.id WHERE m.owner_id = :user
                 ORDER BY m.id, v.version""",
    "jobs": """SELECT id, status, model_version_id, request, requirements, own_machines, priority, items_total, items_done,
                      items_failed, subtasks_total, held_nanos, captured_nanos, commission_nanos, released_nanos, error_code,
                      error_detail, request_id, created_at, started_at, finished_at, deadline_at
               FROM jobs WHERE owner_id = :user ORDER BY id""",
    "machines": """SELECT id, name, status, capabilities, labels, address, agent_version, last_heartbeat_at, removed_at, created_at
                   FROM providers WHERE owner_id = :user ORDER BY id""",
    "ledger_entries": f"""SELECT t.id AS transaction_id, t.kind, a.name AS account, e.side, e.amount AS amount_nanos,
                                 e.balance AS balance_nanos, t.job_id, t.metadata, t.created_at
                          FROM ledger.entries e JOIN ledger.accounts a ON a.id = e.account_id
                          JOIN ledger.transactions t ON t.id = e.transaction_id
                          WHERE e.account_id IN ({OF_LEDGER}) ORDER BY t.created_at, t.id, e.line""",
    "payments": """SELECT id, amount_nanos, refunded_nanos, status, livemode, created_at FROM payments
                   WHERE user_id = :user ORDER BY created_at, id""",
    "refunds": "SELECT id, payment_id, amount_nanos, status, reason, finished_at, created_at FROM refunds WHERE user_id = :user ORDER BY id",
    "payouts": "SELECT id, amount_nanos, status, failure, finished_at, created_at FROM payouts WHERE user_id = :user ORDER BY id",
    "webhooks": """SELECT id, url, description, events, enabled, switched_off_because, failing_since, created_at FROM webhooks
                   WHERE user_id = :user ORDER BY id""",
    "webhook_deliveries": """SELECT d.id, d.webhook_id, d.event, d.job_id, d.body, d.status, d.attempts, d.response_status, d.failure,
                                    d.finished_at, d.created_at FROM webhook_deliveries d JOIN webhooks w ON w.id = d.webhook_id
                             WHERE w.user_id = :user ORDER BY d.id""",
    "audit_log": """SELECT id, act, actor_id, api_key_id, session_id, CASE WHEN actor_id IS NULL OR actor_id = :user THEN address END
                           AS address, details, created_at FROM audit_log WHERE user_id = :user OR actor_id = :user ORDER BY id""",
}  # fmt: skip
"""By the name of their file. No hash of a secret is in any of them."""

OPEN_THINGS = """
  SELECT (SELECT count(*) FROM jobs WHERE owner_id = :user AND status IN ('queued', 'running')) AS "jobs are not finished",
         (SELECT count(*) FROM payouts WHERE user_id = :user
             AND status NOT IN ('paid', 'unreserved', 'reversed')) AS "payouts are on their way",
         (SELECT count(*) FROM refunds WHERE user_id = :user AND status IN ('reserved', 'sent')) AS "refunds are on their way",
         (SELECT count(*) FROM disputes WHERE user_id = :user AND status = 'open') AS "payments are disputed"
"""

# Rows that others' money or work hangs on stay, under the id alone; everything else of the person goes.
ERASURES = (
    """UPDATE users SET email = 'deleted-' || replace(CAST(id AS text), '-', '') || '@invalid', password_hash = NULL,
              email_verified_at = NULL, totp_secret = NULL, totp_confirmed_at = NULL, deleted_at = now() WHERE id = :user""",
    "UPDATE api_keys SET label = '', hint = '', revoked_at = coalesce(revoked_at, now()) WHERE user_id = :user",
    "UPDATE join_tokens SET label = '', hint = '', revoked_at = coalesce(revoked_at, now()) WHERE owner_id = :user",
    "DELETE FROM sessions WHERE user_id = :user",  # with their refresh tokens
    "DELETE FROM emailed_tokens WHERE user_id = :user",
    "DELETE FROM recovery_codes WHERE user_id = :user",
    "DELETE FROM linked_identities WHERE user_id = :user",
    "DELETE FROM social_log_ins WHERE user_id = :user",
    "DELETE FROM idempotency_keys WHERE user_id = :user",
    "DELETE FROM quotes WHERE user_id = :user",
    "DELETE FROM auto_top_ups WHERE user_id = :user",
    "UPDATE files SET name = '' WHERE owner_id = :user",
    "UPDATE jobs SET request = '{}', inputs = '[]', error_detail = NULL WHERE owner_id = :user",
    """UPDATE subtasks SET output = NULL, output_key = NULL, item_errors = NULL, error_detail = NULL
        WHERE job_id IN (SELECT id FROM jobs WHERE owner_id = :user)""",
    "DELETE FROM events WHERE job_id IN (SELECT id FROM jobs WHERE owner_id = :user)",
    "UPDATE providers SET name = '', address = NULL, agent_state = '{}', schedule_wanted = NULL WHERE owner_id = :user",
    "UPDATE refunds SET reason = '' WHERE user_id = :user",
    "DELETE FROM webhooks WHERE user_id = :user",  # with their deliveries; after jobs, in whose transactions they are read
)


async def stream_section(
    reader: Reader, name: str, user_id: UserId, *, limit: int, batch: int
) -> AsyncIterator[Sequence[dict[str, Any]]]:
    """The rows of one file, `batch` at a time, `limit` at most."""
    result = await reader.stream(text(f"{SECTIONS[name]} LIMIT :limit"), {"user": user_id, "limit": limit})
    async for rows in result.mappings().partitions(batch):
        yield [dict(row) for row in rows]


async def open_things(reader: Reader, user_id: UserId) -> dict[str, int]:
    """What is still to happen with this account, in words and numbers."""
    return {
        str(what): int(count)
        for what, count in (await reader.execute(text(OPEN_THINGS), {"user": user_id})).mappings().one().items()
    }


async def owed_nanos(reader: Reader, user_id: UserId) -> int:
    """What this user owes after chargebacks."""
    statement = text(
        "SELECT coalesce(sum(debits - credits), 0) FROM ledger.accounts WHERE kind = 'receivable:*' AND owner_id = :user"
    )
    return int((await reader.execute(statement, {"user": user_id})).scalar_one())


async def live_machines(reader: Reader, user_id: UserId) -> list[UUID]:
    """Machines of this user that are not removed."""
    statement = text("SELECT id FROM providers WHERE owner_id = :user AND removed_at IS NULL ORDER BY id")
    return list((await reader.execute(statement, {"user": user_id})).scalars())


async def retire_content(tx: Transaction, user_id: UserId) -> list[str]:
    """Delete files, models and results; gives the keys of their objects, which no live row of anybody names any more."""
    statement = text("""
        WITH gone_files AS (UPDATE files SET deleted_at = now() WHERE owner_id = :user AND deleted_at IS NULL RETURNING object_key),
             gone_models AS (UPDATE models SET deleted_at = now() WHERE owner_id = :user AND deleted_at IS NULL RETURNING id),
             gone_versions AS (UPDATE model_versions SET deleted_at = now() WHERE deleted_at IS NULL
                                 AND model_id IN (SELECT id FROM models WHERE owner_id = :user) RETURNING object_key)
        SELECT object_key FROM gone_files UNION SELECT object_key FROM gone_versions
        UNION SELECT output_key FROM subtasks WHERE output_key IS NOT NULL
                 AND job_id IN (SELECT id FROM jobs WHERE owner_id = :user)""")
    return [str(key) for key in (await tx.execute(statement, {"user": user_id})).scalars()]


async def erase(tx: Transaction, user_id: UserId) -> None:
    """Erase what is about the person."""
    for statement in ERASURES:
        await tx.execute(text(statement), {"user": user_id})


# ── the pulse ────────────────────────────────────────────────────────────────────────────────────────────────────────

# Open jobs come from their own small index, the youngest from the owner's; neither reads a long history.
JOBS_NOW = text(
    """
    SELECT id, status, waiting_reason, items_total, items_done, items_failed, subtasks_total, subtasks_done, captured_nanos,
           released_nanos, event_seq
      FROM jobs
     WHERE id IN (SELECT y.id FROM (SELECT id FROM jobs WHERE owner_id = :user ORDER BY id DESC LIMIT :young) AS y
                  UNION
                  SELECT o.id FROM (SELECT id FROM jobs WHERE owner_id = :user AND status IN ('queued', 'running')
                                     ORDER BY priority DESC, id LIMIT :open) AS o)
     ORDER BY id
    """
)

# What somebody else's private model is called is not the machine's owner's to know.
WORK_NOW = text(
    """
    SELECT s.provider_id, s.slot, min(m.name) FILTER (WHERE m.visibility = 'public' OR m.owner_id = p.owner_id) AS model
      FROM subtasks AS s
      JOIN providers AS p ON p.id = s.provider_id
      JOIN jobs AS j ON j.id = s.job_id
      JOIN model_versions AS v ON v.id = j.model_version_id
      JOIN models AS m ON m.id = v.model_id
     WHERE s.status = 'leased' AND s.provider_id = ANY(CAST(:machines AS uuid[]))
     GROUP BY s.provider_id, s.slot
     ORDER BY s.provider_id, s.slot
    """
)

EARNED_EVER = text(
    """
    SELECT owner_id AS id, CAST(sum(credits) AS bigint) AS earned
      FROM ledger.accounts
     WHERE owner_id = ANY(CAST(:machines AS uuid[])) AND kind = :pending_kind
     GROUP BY owner_id
    """
)


async def jobs_now(reader: Reader, user_id: UserId, *, young_max: int, open_max: int) -> Sequence[RowMapping]:
    """This user's youngest jobs and the open ones, as they stand."""
    values = {"user": user_id, "young": young_max, "open": open_max}
    return (await reader.execute(JOBS_NOW, values)).mappings().all()


async def work_now(reader: Reader, machines: Sequence[ProviderId]) -> dict[UUID, dict[int, str | None]]:
    """Of each machine that works: its slots at work, and the model there; None: a private one of somebody else."""
    work: dict[UUID, dict[int, str | None]] = {}
    if machines:
        for row in await reader.execute(WORK_NOW, {"machines": list(machines)}):
            work.setdefault(row.provider_id, {})[row.slot] = row.model
    return work


async def earned_ever(reader: Reader, machines: Sequence[ProviderId], pending_kind: str) -> dict[UUID, int]:
    """Of each machine that has earned: nano-USD, before what was taken back."""
    values = {"machines": list(machines), "pending_kind": pending_kind}
    return {row.id: row.earned for row in await reader.execute(EARNED_EVER, values)} if machines else {}


# ── for operators ────────────────────────────────────────────────────────────────────────────────────────────────────

ALL_JOBS = text(
    """
    SELECT j.id, j.owner_id, u.email AS owner_email, m.name || ':' || v.version AS model, j.status, j.waiting_reason, j.error_code,
           j.items_total, j.items_done, j.items_failed, j.held_nanos, j.captured_nanos, j.created_at, j.finished_at
      FROM jobs AS j
      JOIN users AS u ON u.id = j.owner_id
      JOIN model_versions AS v ON v.id = j.model_version_id
      JOIN models AS m ON m.id = v.model_id
     WHERE (CAST(:status AS text) IS NULL OR j.status = :status)
       AND (CAST(:owner AS uuid) IS NULL OR j.owner_id = CAST(:owner AS uuid))
       AND (CAST(:before AS uuid) IS NULL OR j.id < CAST(:before AS uuid))
     ORDER BY j.id DESC
     LIMIT :limit
    """
)

ALL_MACHINES = text(
    """
    SELECT p.id, p.owner_id, u.email AS owner_email, p.name, p.status, coalesce(p.agent_state ->> 'state', '') = 'banned' AS is_banned,
           coalesce(p.agent_state ->> 'reason', '') AS reason, coalesce(p.labels ->> 'fabric.region', 'unknown') AS region,
           coalesce(p.capabilities ->> 'isolation', 'process') AS isolation, p.address, p.agent_version,
           (SELECT count(*) FROM slots AS s WHERE s.provider_id = p.id) AS slots, p.last_heartbeat_at, p.created_at
      FROM providers AS p
      JOIN users AS u ON u.id = p.owner_id
     WHERE (CAST(:status AS text) IS NULL OR p.status = :status)
       AND (CAST(:owner AS uuid) IS NULL OR p.owner_id = CAST(:owner AS uuid))
       AND (CAST(:before AS uuid) IS NULL OR p.id < CAST(:before AS uuid))
     ORDER BY p.id DESC
     LIMIT :limit
    """
)

# An advisory lock of 64 bits shows its halves as classid and objid.
BACKLOG = text(
    """
    SELECT EXISTS (SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 1
                      AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
                      AND classid = CAST(CAST(:lock_key AS bigint) >> 32 AS oid)
                      AND objid = CAST(CAST(:lock_key AS bigint) & 4294967295 AS oid)) AS is_led,
           (SELECT count(*) FROM subtasks WHERE status = 'leased'
               AND lease_until < now() - make_interval(secs => :late_s)) AS leases_overdue,
           (SELECT count(*) FROM mails WHERE next_try_at < now() - make_interval(secs => :late_s)) AS mails_overdue,
           -- Not those of a webhook with which something is under way: what it does not take keeps its own others waiting.
           (SELECT count(*) FROM webhook_deliveries AS d WHERE d.next_try_at < now() - make_interval(secs => :late_s)
               AND NOT EXISTS (SELECT 1 FROM webhook_deliveries AS o WHERE o.webhook_id = d.webhook_id AND o.next_try_at > now()))
             AS webhooks_overdue,
           (SELECT count(*) FROM stripe_events WHERE handled_at IS NULL
               AND created_at < now() - make_interval(secs => :late_s)) AS payments_overdue,
           (SELECT count(*) FROM providers WHERE status = 'online') AS machines_online,
           (SELECT count(*) FROM providers WHERE status = 'offline') AS machines_offline,
           (SELECT count(*) FROM jobs WHERE status IN ('queued', 'running')) AS jobs_open
    """
)

# As the view ledger.balances has it, but accounts without a running balance are added up in one pass and not in one for each.
BALANCES = text(
    """
    SELECT a.kind, CAST(sum(CASE WHEN a.class IN ('asset', 'expense') THEN a.debits - a.credits + coalesce(e.moved, 0)
                                 ELSE a.credits - a.debits - coalesce(e.moved, 0) END) AS bigint) AS nanos
      FROM ledger.accounts AS a
      LEFT JOIN (SELECT account_id, sum(CASE side WHEN 'D' THEN amount ELSE -amount END) AS moved
                   FROM ledger.entries WHERE seq IS NULL GROUP BY account_id) AS e ON e.account_id = a.id
     GROUP BY a.kind
     ORDER BY a.kind
    """
)


async def all_jobs(
    reader: Reader, *, status: str | None, owner_id: UserId | None, before: UUID | None, limit: int
) -> Sequence[RowMapping]:
    """Everybody's jobs, newest first, older than `before`."""
    values = {"status": status, "owner": owner_id, "before": before, "limit": limit}
    return (await reader.execute(ALL_JOBS, values)).mappings().all()


async def all_machines(
    reader: Reader, *, status: str | None, owner_id: UserId | None, before: UUID | None, limit: int
) -> Sequence[RowMapping]:
    """Everybody's machines, removed and banned ones included, newest first, older than `before`."""
    values = {"status": status, "owner": owner_id, "before": before, "limit": limit}
    return (await reader.execute(ALL_MACHINES, values)).mappings().all()


async def backlog(reader: Reader, *, lock_key: int, late_s: float) -> RowMapping:
    """What is left undone for longer than `late_s`, and whether a dispatcher leads."""
    return (await reader.execute(BACKLOG, {"lock_key": lock_key, "late_s": late_s})).mappings().one()


async def balances_by_kind(reader: Reader) -> dict[str, int]:
    """The sum of the ledger's accounts of each kind, in nano-USD, in the direction in which the kind grows."""
    return {row.kind: int(row.nanos) for row in await reader.execute(BALANCES)}
