-- The statements of the durable queue. Each needs the rows of its jobs locked first (lock_jobs), except where it says otherwise.

-- lock_jobs --
-- Take the rows of jobs in id order, before any other row that belongs to them: the one lock order.
SELECT id, owner_id, status, held_nanos, held_nanos - captured_nanos - reserved_nanos AS spendable_nanos, subtasks_leased,
       waiting_reason, coalesce(extract(epoch FROM clock_timestamp() - waiting_since), 0) AS waiting_s, barred_owner_ids,
       commission_bps
  FROM jobs
 WHERE id = ANY(CAST(:job_ids AS uuid[]))
 ORDER BY id
   FOR NO KEY UPDATE;

-- open_jobs --
-- What the planner sees: unfinished jobs, the most urgent first, each with the memory that admission saw its model take.
-- Takes no lock and counts no subtask rows.
SELECT j.id, j.owner_id, j.model_version_id, v.model_id, j.status, j.priority,
       j.subtasks_total - j.subtasks_done - j.subtasks_leased AS unleased, j.subtasks_leased AS leased, j.item_us,
       j.rate_nanos_per_hour_max, j.own_machines, j.requirements,
       CAST(j.items_total AS float) / j.subtasks_total AS items_per_subtask,
       j.held_nanos - j.captured_nanos - j.reserved_nanos AS spendable_nanos, j.waiting_reason, j.created_at, j.barred_owner_ids,
       CAST(extract(epoch FROM coalesce(j.priced_at, j.created_at)) AS float) AS priced_at_s,
       coalesce(CAST(v.profile ->> 'memory_bytes' AS bigint), 0) AS memory_bytes,
       coalesce(CAST(v.inspection ->> 'opset' AS int), 0) AS opset,
       coalesce(CAST(v.inspection ->> 'ir_version' AS int), 0) AS ir_version
  FROM jobs AS j
  JOIN model_versions AS v ON v.id = j.model_version_id
 WHERE j.status IN ('queued', 'running')
 ORDER BY j.priority DESC, j.id
 LIMIT :jobs_max;

-- retrying --
-- Waiting subtasks that were tried before, by job and by the provider they would rather avoid. Its partial index is nearly empty.
SELECT job_id, avoid_provider_id,
       count(*) FILTER (WHERE not_before <= CAST(extract(epoch FROM clock_timestamp()) * 1000 AS bigint)) AS due,
       count(*) FILTER (WHERE not_before > CAST(extract(epoch FROM clock_timestamp()) * 1000 AS bigint)) AS delayed
  FROM subtasks
 WHERE status = 'waiting' AND not_before > 0
 GROUP BY job_id, avoid_provider_id;

-- candidates --
-- The next subtasks in input order that may be leased now, for several jobs at once. When a single provider asks (sole_provider),
-- subtasks that would rather avoid it are passed over, so that they cannot stand in the way of their neighbours.
SELECT s.id, s.job_id, s.position, s.item_start, s.item_count, s.fence, s.avoid_provider_id
  FROM unnest(CAST(:job_ids AS uuid[]), CAST(:counts AS int[]), CAST(:sole_providers AS uuid[])) AS j(id, wanted, sole_provider)
 CROSS JOIN LATERAL (
       SELECT *
         FROM subtasks
        WHERE job_id = j.id AND status = 'waiting'
          AND not_before <= CAST(extract(epoch FROM clock_timestamp()) * 1000 AS bigint)
          AND (j.sole_provider IS NULL OR avoid_provider_id IS DISTINCT FROM j.sole_provider)
        ORDER BY position
        LIMIT j.wanted) AS s
 ORDER BY s.job_id, s.position;

-- lease --
-- Give the chosen subtasks their leases and reserve their caps; answers with the number of leases.
WITH chosen AS (
       SELECT g.id, g.cap_nanos, c.*
         FROM unnest(CAST(:ids AS uuid[]), CAST(:claims AS int[]), CAST(:caps AS bigint[])) AS g(id, claim, cap_nanos)
         JOIN unnest(CAST(:order_ids AS uuid[]), CAST(:provider_ids AS uuid[]), CAST(:slots AS int[]), CAST(:rates AS bigint[]),
                     CAST(:lease_s AS float[]))
              WITH ORDINALITY AS c(order_id, provider_id, slot, rate, lease_s, claim) ON c.claim = g.claim),
     leased AS (
       UPDATE subtasks AS s
          SET status = 'leased', fence = s.fence + 1, order_id = chosen.order_id, provider_id = chosen.provider_id,
              slot = chosen.slot, cap_nanos = chosen.cap_nanos, rate_nanos_per_hour = chosen.rate, leased_at = clock_timestamp(),
              lease_until = clock_timestamp() + chosen.lease_s * interval '1 second'
         FROM chosen
        WHERE s.id = chosen.id AND s.status = 'waiting'
       RETURNING s.job_id, s.cap_nanos),
     per_job AS (SELECT job_id, count(*) AS n, sum(cap_nanos) AS cap_nanos FROM leased GROUP BY job_id),
     begun AS (
       UPDATE jobs AS j
          SET status = 'running', started_at = coalesce(j.started_at, clock_timestamp()), waiting_reason = NULL,
              waiting_since = NULL,
              subtasks_leased = j.subtasks_leased + per_job.n, reserved_nanos = j.reserved_nanos + per_job.cap_nanos
         FROM per_job
        WHERE j.id = per_job.job_id)
SELECT coalesce(sum(n), 0) AS leases FROM per_job;

-- extend --
-- Renew the leases of orders that are known to run; answers with the orders that hold some. Locks no job: rows that somebody is
-- settling are passed over, so it never waits.
WITH held AS (
       SELECT id FROM subtasks
        WHERE status = 'leased' AND order_id = ANY(CAST(:order_ids AS uuid[]))
          FOR NO KEY UPDATE SKIP LOCKED),
     extended AS (
       UPDATE subtasks AS s SET lease_until = clock_timestamp() + CAST(:lease_s AS float) * interval '1 second'
         FROM held
        WHERE s.id = held.id
       RETURNING s.order_id)
SELECT DISTINCT order_id FROM extended;

-- live_orders --
-- Which of these orders still hold a lease. Takes no lock.
SELECT DISTINCT order_id FROM subtasks WHERE status = 'leased' AND order_id = ANY(CAST(:order_ids AS uuid[]));

-- expired --
-- Leases that ended, oldest first. Takes no lock: give_back looks again.
SELECT id, job_id, fence FROM subtasks
 WHERE status = 'leased' AND lease_until < clock_timestamp()
 ORDER BY lease_until
 LIMIT :leases_max;

-- give_back --
-- End leases without a result: waiting again after a back-off, or failed for good at the attempt limit. Writes the attempts and
-- frees the caps. A lease that is gone already matches nothing; with only_expired also one that was renewed meanwhile.
WITH given AS (
       SELECT * FROM unnest(CAST(:ids AS uuid[]), CAST(:fences AS int[]), CAST(:outcomes AS text[]), CAST(:counts AS int[]),
                            CAST(:codes AS text[]), CAST(:details AS text[])) AS g(id, fence, outcome, counts, code, detail)),
     returned AS (
       UPDATE subtasks AS s
          SET status = CASE WHEN s.attempts + g.counts >= :attempts_max THEN 'failed' ELSE 'waiting' END,
              attempts = s.attempts + g.counts,
              not_before = CAST(extract(epoch FROM clock_timestamp()) * 1000 AS bigint)
                         + CASE WHEN g.counts = 0 THEN 0
                                ELSE least(:backoff_ms * CAST(4 ^ least(s.attempts, 10) AS bigint), :backoff_ms_max) END,
              avoid_provider_id = CASE WHEN g.outcome = 'cancelled' THEN s.avoid_provider_id ELSE s.provider_id END,
              order_id = NULL, provider_id = NULL, slot = NULL, lease_until = NULL, leased_at = NULL, cap_nanos = 0,
              rate_nanos_per_hour = 0, error_code = nullif(g.code, ''), error_detail = nullif(g.detail, '')
         FROM given AS g
         JOIN subtasks AS was ON was.id = g.id
        WHERE s.id = g.id AND s.fence = g.fence AND s.status = 'leased'
          AND (NOT CAST(:only_expired AS boolean) OR s.lease_until < clock_timestamp())
       RETURNING s.id, s.job_id, s.fence, s.status, s.error_code, s.error_detail, g.outcome, was.order_id, was.provider_id,
                 was.slot, was.leased_at, was.cap_nanos, was.rate_nanos_per_hour AS rate),
     tried AS (
       INSERT INTO attempts (id, subtask_id, job_id, fence, order_id, provider_id, slot, outcome, leased_at, finished_at,
                             rate_nanos_per_hour, error_code, error_detail)
       SELECT uuidv7(), id, job_id, fence, order_id, provider_id, slot, outcome, leased_at, clock_timestamp(), rate, error_code,
              error_detail
         FROM returned),
     counted AS (
       UPDATE jobs AS j
          SET subtasks_leased = j.subtasks_leased - r.n, reserved_nanos = j.reserved_nanos - r.cap_nanos
         FROM (SELECT job_id, count(*) AS n, sum(cap_nanos) AS cap_nanos FROM returned GROUP BY job_id) AS r
        WHERE j.id = r.job_id)
SELECT id, job_id, status, error_code, error_detail FROM returned;

-- held_leases --
-- Which completions still match a lease: same subtask, same fence, same provider. Needs no row lock: under the lock of the job
-- only `extend` touches these rows, and it changes nothing that is read here.
SELECT g.n, s.cap_nanos
  FROM unnest(CAST(:ids AS uuid[]), CAST(:fences AS int[]), CAST(:provider_ids AS uuid[]), CAST(:job_ids AS uuid[]))
       WITH ORDINALITY AS g(id, fence, provider_id, job_id, n)
  JOIN subtasks AS s ON s.id = g.id
 WHERE s.fence = g.fence AND s.provider_id = g.provider_id AND s.job_id = g.job_id AND s.status = 'leased'
 ORDER BY g.n;

-- note_late --
-- Remember that a result came after its lease had ended: it was dropped, and cost nothing. A duplicate of what was paid is nothing.
UPDATE attempts AS a SET late_at = clock_timestamp()
  FROM unnest(CAST(:ids AS uuid[]), CAST(:fences AS int[]), CAST(:provider_ids AS uuid[])) AS g(id, fence, provider_id)
 WHERE a.subtask_id = g.id AND a.fence = g.fence AND a.provider_id = g.provider_id AND a.outcome <> 'done' AND a.late_at IS NULL;

-- settle --
-- Mark subtasks done, write their attempts and count once for each job; a job whose last subtask this was has succeeded.
WITH given AS (
       SELECT * FROM unnest(CAST(:ids AS uuid[]), CAST(:fences AS int[]), CAST(:reported_us AS bigint[]),
                            CAST(:observed_us AS bigint[]), CAST(:cap_us AS bigint[]), CAST(:billed_us AS bigint[]),
                            CAST(:gross AS bigint[]), CAST(:commissions AS bigint[]), CAST(:outputs AS bytea[]),
                            CAST(:output_keys AS text[]), CAST(:output_sizes AS bigint[]), CAST(:output_sha256s AS bytea[]),
                            CAST(:item_errors AS text[]), CAST(:items_failed AS int[]), CAST(:caps AS bigint[]))
              AS g(id, fence, reported_us, observed_us, cap_us, billed_us, gross, commission, output, output_key, output_size,
                   output_sha256, item_errors, items_failed, cap_nanos)),
     done AS (
       UPDATE subtasks AS s
          SET status = 'done', finished_at = clock_timestamp(), cap_nanos = 0, gross_nanos = g.gross, output = g.output,
              output_key = g.output_key, output_size = g.output_size, output_sha256 = g.output_sha256,
              item_errors = CAST(g.item_errors AS jsonb), error_code = NULL, error_detail = NULL
         FROM given AS g
        WHERE s.id = g.id AND s.fence = g.fence AND s.status = 'leased'
       RETURNING s.id, s.job_id, s.fence, s.item_count, s.order_id, s.provider_id, s.slot, s.leased_at, s.finished_at,
                 s.rate_nanos_per_hour AS rate, g.cap_nanos, g.reported_us, g.observed_us, g.cap_us, g.billed_us, g.gross,
                 g.commission, least(g.items_failed, s.item_count) AS items_failed),
     tried AS (
       INSERT INTO attempts (id, subtask_id, job_id, fence, order_id, provider_id, slot, outcome, leased_at, finished_at,
                             reported_us, observed_us, cap_us, billed_us, rate_nanos_per_hour, gross_nanos, commission_nanos)
       SELECT uuidv7(), id, job_id, fence, order_id, provider_id, slot, 'done', leased_at, finished_at, reported_us, observed_us,
              cap_us, billed_us, rate, gross, commission
         FROM done),
     per_job AS (
       SELECT job_id, count(*) AS n, sum(item_count - items_failed) AS items_done, sum(items_failed) AS items_failed,
              sum(gross) AS gross, sum(commission) AS commission, sum(cap_nanos) AS cap_nanos
         FROM done
        GROUP BY job_id)
UPDATE jobs AS j
   SET subtasks_done = j.subtasks_done + p.n, subtasks_leased = j.subtasks_leased - p.n,
       items_done = j.items_done + p.items_done, items_failed = j.items_failed + p.items_failed,
       captured_nanos = j.captured_nanos + p.gross, commission_nanos = j.commission_nanos + p.commission,
       reserved_nanos = j.reserved_nanos - p.cap_nanos,
       status = CASE WHEN j.subtasks_done + p.n = j.subtasks_total THEN 'succeeded' ELSE j.status END,
       finished_at = CASE WHEN j.subtasks_done + p.n = j.subtasks_total THEN clock_timestamp() END
  FROM per_job AS p
 WHERE j.id = p.job_id
RETURNING j.id, j.owner_id, j.status, j.items_total, j.items_done, j.items_failed, j.subtasks_total, j.subtasks_done,
          j.held_nanos, j.captured_nanos, j.commission_nanos, j.released_nanos, p.n;

-- end_jobs --
-- End open jobs before their time: nothing more is leased, leases move on (so a late receipt matches nothing), caps are freed.
WITH given AS (
       SELECT * FROM unnest(CAST(:job_ids AS uuid[]), CAST(:details AS text[])) AS g(id, detail)),
     ended AS (
       UPDATE jobs AS j
          SET status = :status, error_code = CAST(:code AS text), error_detail = g.detail, finished_at = clock_timestamp(),
              reserved_nanos = 0, subtasks_leased = 0, waiting_reason = NULL, waiting_since = NULL
         FROM given AS g
        WHERE j.id = g.id AND j.status IN ('queued', 'running')
       RETURNING j.id, j.owner_id, j.status, j.items_total, j.items_done, j.items_failed, j.subtasks_total, j.subtasks_done,
                 j.held_nanos, j.captured_nanos, j.commission_nanos, j.released_nanos, j.error_code, j.error_detail),
     stopped AS (
       UPDATE subtasks AS s
          SET status = 'cancelled', fence = s.fence + CASE WHEN s.status = 'leased' THEN 1 ELSE 0 END, cap_nanos = 0,
              finished_at = clock_timestamp()
         FROM (SELECT was.id, was.status, was.fence FROM ended JOIN subtasks AS was ON was.job_id = ended.id
                WHERE was.status IN ('waiting', 'leased')) AS was
        WHERE s.id = was.id
       RETURNING s.id, s.job_id, s.order_id, s.provider_id, s.slot, s.leased_at, s.finished_at, was.status AS status_before,
                 was.fence AS fence_before, s.rate_nanos_per_hour AS rate),
     tried AS (
       INSERT INTO attempts (id, subtask_id, job_id, fence, order_id, provider_id, slot, outcome, leased_at, finished_at,
                             rate_nanos_per_hour)
       SELECT uuidv7(), id, job_id, fence_before, order_id, provider_id, slot, 'cancelled', leased_at, finished_at, rate
         FROM stopped
        WHERE status_before = 'leased')
SELECT * FROM ended;

-- note_released --
-- Remember what a finished job got back.
UPDATE jobs AS j SET released_nanos = r.released_nanos
  FROM unnest(CAST(:job_ids AS uuid[]), CAST(:amounts AS bigint[])) AS r(id, released_nanos)
 WHERE j.id = r.id;

-- overdue --
-- Open jobs whose deadline has passed. Takes no lock: end_jobs looks again.
SELECT id FROM jobs
 WHERE status IN ('queued', 'running') AND deadline_at < clock_timestamp()
 ORDER BY id
 LIMIT :jobs_max;

-- set_waiting_reasons --
-- Say why open jobs wait; answers with those whose reason changed.
UPDATE jobs AS j SET waiting_reason = g.reason, waiting_since = CASE WHEN g.reason IS NOT NULL THEN clock_timestamp() END
  FROM unnest(CAST(:job_ids AS uuid[]), CAST(:reasons AS text[])) AS g(id, reason)
 WHERE j.id = g.id AND j.status IN ('queued', 'running') AND j.waiting_reason IS DISTINCT FROM g.reason
RETURNING j.id, j.waiting_reason;

-- add_to_budget --
-- A job holds more: it waits no longer for funds.
UPDATE jobs AS j
   SET held_nanos = CAST(:held AS bigint),
       waiting_reason = nullif(j.waiting_reason, 'funds'),
       waiting_since = CASE WHEN j.waiting_reason <> 'funds' THEN j.waiting_since END
 WHERE j.id = CAST(:job_id AS uuid);

-- bar_owners --
-- Whose machines cannot earn the promotional credit in a job's hold.
UPDATE jobs SET barred_owner_ids = CAST(:owner_ids AS uuid[]) WHERE id = CAST(:job_id AS uuid);

-- spent_since --
-- What the jobs that an owner submitted since a moment hold, or have cost when they have ended. Ids begin with their time.
SELECT CAST(coalesce(sum(CASE WHEN status IN ('queued', 'running') THEN held_nanos ELSE captured_nanos END), 0) AS bigint) AS nanos
  FROM jobs
 WHERE owner_id = CAST(:owner_id AS uuid) AND id >= CAST(:first_id AS uuid) AND created_at >= CAST(:since AS timestamptz)
   AND id <> CAST(:but_id AS uuid);

-- today --
-- When this UTC day began, on the database's clock.
SELECT date_trunc('day', now(), 'UTC') AS began;

-- owners_of --
-- Whose machines these are.
SELECT id, owner_id FROM providers WHERE id = ANY(CAST(:provider_ids AS uuid[]));

-- machine_day --
-- How a machine's leases ended since a moment: paid ones, those for its owner's own jobs, and those that came to nothing.
SELECT count(*) FILTER (WHERE t.outcome = 'done' AND j.owner_id <> CAST(:owner_id AS uuid)) AS paid,
       count(*) FILTER (WHERE t.outcome = 'done' AND j.owner_id = CAST(:owner_id AS uuid)) AS own,
       count(*) FILTER (WHERE t.outcome IN ('failed', 'lost')) AS missed,
       max(t.error_code) FILTER (WHERE t.outcome IN ('failed', 'lost')) AS error_code
  FROM attempts AS t
  JOIN jobs AS j ON j.id = t.job_id
 WHERE t.provider_id = CAST(:provider_id AS uuid) AND t.id >= CAST(:since_id AS uuid);

-- jobs_of_others --
-- How many jobs anybody else submitted since a moment. Ids begin with their time.
SELECT count(*) AS n FROM jobs WHERE id >= CAST(:since_id AS uuid) AND owner_id <> CAST(:owner_id AS uuid);
