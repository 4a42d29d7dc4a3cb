-- The statements of a job's bill. They only read.

-- bill_lines --
-- What each slot did for a job at each rate, and how each attempt ended. `is_own`: the machine belongs to whoever submitted the job.
SELECT a.provider_id, p.name, a.slot, a.outcome, a.late_at IS NOT NULL AS is_late,
       a.rate_nanos_per_hour AS rate, p.owner_id = j.owner_id AS is_own, count(*) AS subtasks,
       CAST(sum(a.billed_us) AS bigint) AS billed_us, CAST(sum(a.gross_nanos) AS bigint) AS gross_nanos,
       CAST(sum(a.commission_nanos) AS bigint) AS commission_nanos,
       coalesce(mode() WITHIN GROUP (ORDER BY a.error_code), '') AS code
  FROM attempts AS a
  JOIN jobs AS j ON j.id = a.job_id
  JOIN providers AS p ON p.id = a.provider_id
 WHERE a.job_id = :job_id
 GROUP BY a.provider_id, p.name, a.slot, a.outcome, a.late_at IS NOT NULL, a.rate_nanos_per_hour, p.owner_id = j.owner_id
 ORDER BY sum(a.gross_nanos) DESC, a.provider_id, a.slot, a.rate_nanos_per_hour, a.outcome, a.late_at IS NOT NULL
 LIMIT :lines_max;

-- clawed_back --
-- What came back for results that were found bad after they were paid: the whole price, commission included.
SELECT count(*) AS subtasks, CAST(coalesce(sum(e.amount), 0) AS bigint) AS nanos
  FROM ledger.transactions AS t
  JOIN ledger.entries AS e ON e.transaction_id = t.id AND e.side = 'C'
  JOIN ledger.accounts AS a ON a.id = e.account_id AND starts_with(a.kind, 'requestor')
 WHERE t.job_id = :job_id AND t.kind = 'clawback';
