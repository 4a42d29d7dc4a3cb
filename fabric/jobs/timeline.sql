-- The statements of a job's timeline. They only read.

-- lanes --
-- Which slots tried parts of a job, the busiest first, and from when to when. Parts under a lease count as tries until now.
SELECT t.provider_id, p.name, t.slot, CAST(sum(t.tries) AS bigint) AS tries, min(t.begins_at) AS begins_at, max(t.ends_at) AS ends_at
  FROM (
        SELECT provider_id, slot, count(*) AS tries, min(leased_at) AS begins_at, max(finished_at) AS ends_at
          FROM attempts WHERE job_id = :job_id GROUP BY provider_id, slot
        UNION ALL
        SELECT provider_id, slot, count(*), min(leased_at), clock_timestamp()
          FROM subtasks WHERE job_id = :job_id AND status = 'leased' GROUP BY provider_id, slot
       ) AS t
  JOIN providers AS p ON p.id = t.provider_id
 GROUP BY t.provider_id, p.name, t.slot
 ORDER BY sum(t.tries) DESC, t.provider_id, t.slot;

-- spans --
-- One row for each try.
SELECT a.provider_id, a.slot, a.outcome, a.leased_at AS begins_at, a.finished_at AS ends_at, 1 AS tries, s.item_start,
       s.item_start + s.item_count AS item_end, a.billed_us, a.gross_nanos
  FROM attempts AS a
  JOIN subtasks AS s ON s.id = a.subtask_id
 WHERE a.job_id = :job_id
 ORDER BY a.leased_at, a.id;

-- merged_spans --
-- Tries of one slot and one outcome that began close to each other, as one row.
SELECT a.provider_id, a.slot, a.outcome, min(a.leased_at) AS begins_at, max(a.finished_at) AS ends_at, count(*) AS tries,
       CAST(NULL AS integer) AS item_start, CAST(NULL AS integer) AS item_end,
       CAST(sum(a.billed_us) AS bigint) AS billed_us, CAST(sum(a.gross_nanos) AS bigint) AS gross_nanos
  FROM attempts AS a
 WHERE a.job_id = :job_id
 GROUP BY a.provider_id, a.slot, a.outcome,
          date_bin(make_interval(secs => CAST(:bucket_s AS double precision)), a.leased_at, CAST(:begins_at AS timestamptz))
 ORDER BY min(a.leased_at);

-- leases --
-- What runs now.
SELECT provider_id, slot, 'leased' AS outcome, leased_at AS begins_at, clock_timestamp() AS ends_at, 1 AS tries, item_start,
       item_start + item_count AS item_end, 0 AS billed_us, 0 AS gross_nanos
  FROM subtasks
 WHERE job_id = :job_id AND status = 'leased'
 ORDER BY leased_at, position
 LIMIT :leases_max;
