-- The statements of a job's bill. They only read.

-- bill_lines --
-- What each slot did for a job at each rate, and how each attempt ended. `is_own`: the machine belongs to whoever submitted the job.
-- `code` is the commonest error. First few rows of 100,000, by hashing; only those are joined and sorted.
WITH ended AS MATERIALIZED (
       SELECT provider_id, slot, outcome, late_at IS NOT NULL AS is_late, rate_nanos_per_hour AS rate, error_code, count(*) AS subtasks,
              sum(billed_us) AS billed_us, sum(gross_nanos) AS gross_nanos, sum(commission_nanos) AS commission_nanos
         FROM attempts
        WHERE job_id = :job_id
        GROUP BY provider_id, slot, outcome, late_at IS NOT NULL, rate_nanos_per_hour, error_code)
SELECT a.provider_id, p.name, a.slot, a.outcome, a.is_late, a.rate, p.owner_id = j.owner_id AS is_own,
       CAST(sum(a.subtasks) AS bigint) AS subtasks, CAST(sum(a.billed_us) AS bigint) AS billed_us,
       CAST(sum(a.gross_nanos) AS bigint) AS gross_nanos, CAST(sum(a.commission_nanos) AS bigint) AS commission_nanos,
       coalesce((array_agg(a.error_code ORDER BY a.subtasks DESC, a.error_code) FILTER (WHERE a.error_code IS NOT NULL))[1], '') AS code
  FROM ended AS a
  JOIN jobs AS j ON j.id = :job_id
  JOIN providers AS p ON p.id = a.provider_id
 GROUP BY a.provider_id, p.name, a.slot, a.outcome, a.is_late, a.rate, p.owner_id = j.owner_id
 ORDER BY sum(a.gross_nanos) DESC, a.provider_id, a.slot, a.rate, a.outcome, a.is_late
 LIMIT :lines_max;

-- clawed_back --
-- What came back for results that were found bad after they were paid: the whole price, commission included.
SELECT count(*) AS subtasks, CAST(coalesce(sum(e.amount), 0) AS bigint) AS nanos
  FROM ledger.transactions AS t
  JOIN ledger.entries AS e ON e.transaction_id = t.id AND e.side = 'C'
  JOIN ledger.accounts AS a ON a.id = e.account_id AND starts_with(a.kind, 'requestor')
 WHERE t.job_id = :job_id AND t.kind = 'clawback';
