-- The statements of prices: what operators decided, what demand made of it, and quotes that bind.

-- now --
-- The database's clock.
SELECT now() AS now;

-- present_changes --
-- What counts now: of each kind the change that took effect last.
SELECT DISTINCT ON (kind) kind, commission_bps, devices, effective_at
  FROM price_changes
 WHERE effective_at <= now()
 ORDER BY kind, effective_at DESC, created_at DESC, id DESC;

-- insert_change --
-- An operator decides. What is to count from a moment that has passed counts from now on.
INSERT INTO price_changes (id, kind, commission_bps, devices, operator_id, reason, effective_at)
VALUES (:id, :kind, :commission_bps, CAST(:devices AS jsonb), :operator_id, :reason,
        greatest(now(), coalesce(CAST(:effective_at AS timestamptz), now())))
RETURNING id, kind, commission_bps, devices, operator_id, reason, effective_at, created_at, effective_at <= now() AS in_effect;

-- changes --
-- What operators decided, newest first.
SELECT id, kind, commission_bps, devices, operator_id, reason, effective_at, created_at, effective_at <= now() AS in_effect
  FROM price_changes
 WHERE CAST(:before AS uuid) IS NULL OR id < CAST(:before AS uuid)
 ORDER BY id DESC
 LIMIT :limit;

-- superseded_tables --
-- Device tables that open jobs, and quotes that may still become jobs, were priced with: each until when it counted. The table
-- before the first change is NULL. The newest come last, and only so many.
WITH oldest AS (
       SELECT least(min(coalesce(priced_at, created_at)), now() - interval '1 hour') AS priced_at
         FROM jobs
        WHERE status IN ('queued', 'running')),
     counted AS (
       SELECT devices, effective_at, created_at, id,
              lag(devices) OVER (ORDER BY effective_at, created_at, id) AS devices_before
         FROM price_changes
        WHERE kind = 'devices' AND effective_at <= now())
SELECT c.devices_before, extract(epoch FROM c.effective_at) AS until_s
  FROM counted AS c, oldest AS o
 WHERE c.effective_at > o.priced_at
 ORDER BY c.effective_at DESC, c.created_at DESC, c.id DESC
 LIMIT :tables_max;

-- lock_demand --
-- One turn of the price engine at a time.
SELECT pg_advisory_xact_lock(hashtextextended('demand', 0));

-- insert_samples --
-- Remember one look at queue and slots.
INSERT INTO market_samples (taken_at, device_class, slots, idle, backlog_s)
SELECT now(), s.device_class, s.slots, s.idle, s.backlog_s
  FROM unnest(CAST(:classes AS text[]), CAST(:slots AS int[]), CAST(:idle AS int[]), CAST(:backlogs AS float[]))
       AS s(device_class, slots, idle, backlog_s)
ON CONFLICT DO NOTHING;

-- delete_old_samples --
-- Forget looks that no average needs any more.
DELETE FROM market_samples WHERE taken_at < now() - 2 * CAST(:window_s AS float) * interval '1 second';

-- averages --
-- What each class saw within the last so many seconds.
SELECT device_class, avg(backlog_s) AS backlog_s, CAST(sum(idle) AS float) / greatest(1, sum(slots)) AS idle_share
  FROM market_samples
 WHERE taken_at > now() - CAST(:window_s AS float) * interval '1 second'
 GROUP BY device_class;

-- samples --
-- The looks themselves, oldest first.
SELECT taken_at, device_class, slots, idle, backlog_s
  FROM market_samples
 WHERE taken_at > now() - CAST(:window_s AS float) * interval '1 second'
 ORDER BY taken_at;

-- factors --
-- How much demand adds now, and for how long it has not moved.
SELECT device_class, factor, target, updated_at, extract(epoch FROM now() - updated_at) / 60 AS minutes
  FROM demand_factors
 ORDER BY device_class;

-- write_factors --
-- The next step of each factor.
INSERT INTO demand_factors (device_class, factor, target, updated_at)
SELECT f.device_class, f.factor, f.target, now()
  FROM unnest(CAST(:classes AS text[]), CAST(:factors AS float[]), CAST(:targets AS float[])) AS f(device_class, factor, target)
ON CONFLICT (device_class) DO UPDATE SET factor = excluded.factor, target = excluded.target, updated_at = excluded.updated_at;

-- auto_slots --
-- Slots whose owners set no rate of their own.
SELECT s.provider_id, s.slot, s.accelerator, s.device, s.threads, s.memory_gib, s.rate_nanos_per_hour, s.older_rates
  FROM slots AS s JOIN providers AS p ON p.id = s.provider_id
 WHERE s.is_auto AND p.removed_at IS NULL
 ORDER BY s.provider_id, s.slot;

-- write_auto_rates --
-- Let such slots follow, unless their owners have just set a rate.
UPDATE slots AS s SET rate_nanos_per_hour = r.rate, older_rates = r.older_rates
  FROM unnest(CAST(:provider_ids AS uuid[]), CAST(:slots AS int[]), CAST(:rates AS bigint[]), CAST(:older_rates AS jsonb[]))
       AS r(provider_id, slot, rate, older_rates)
 WHERE s.provider_id = r.provider_id AND s.slot = r.slot AND s.is_auto;

-- insert_quote --
-- Keep a quote as it was given, with what it binds.
INSERT INTO quotes (id, user_id, request, answer, model_version_id, items, rate_nanos_per_hour_max, hold_nanos, commission_bps, expires_at)
VALUES (:id, :user_id, CAST(:request AS jsonb), CAST(:answer AS jsonb), :model_version_id, :items, :rate_max, :hold_nanos,
        :commission_bps, :expires_at);

-- find_quote --
-- A quote of this user, locked: one job at a time may take it.
SELECT id, request, model_version_id, items, rate_nanos_per_hour_max, hold_nanos, commission_bps, job_id, created_at,
       expires_at <= now() AS has_expired
  FROM quotes
 WHERE id = :id AND user_id = :user_id
   FOR UPDATE;

-- use_quote --
-- A job was submitted with it.
UPDATE quotes SET job_id = :job_id WHERE id = :id;
