-- The statements of what a payment service tells: events, pending payments, automatic top-ups, reconciliation.

-- store_event --
-- An event whose signature was good. Told again it is the same one.
INSERT INTO stripe_events (id, kind, type, payload, livemode) VALUES (:id, :kind, :type, :payload, :livemode)
ON CONFLICT (id) DO NOTHING;

-- due_events --
-- Events to act upon, the oldest first.
SELECT id, kind, type, payload, livemode, attempts FROM stripe_events
 WHERE handled_at IS NULL AND (next_try_at IS NULL OR next_try_at <= clock_timestamp())
 ORDER BY created_at, id
 LIMIT :limit;

-- event_handled --
-- Acted upon, or given up with what was wrong.
UPDATE stripe_events SET handled_at = clock_timestamp(), error = CAST(:error AS text), attempts = attempts + 1 WHERE id = :id;

-- defer_event --
-- Not now: again later, and later each time.
UPDATE stripe_events SET attempts = attempts + 1, error = CAST(:error AS text),
       next_try_at = clock_timestamp() + least(CAST(:wait_s AS float) * CAST(2 ^ least(attempts, 10) AS float), 3600) * interval '1 second'
 WHERE id = :id;

-- latest_event --
-- When the newest event of our own account came.
SELECT max(created_at) AS latest, now() AS now FROM stripe_events WHERE kind = 'snapshot';

-- answered_call --
-- What the payment service made when it was asked under this key, or under one of its numbers after refusals.
SELECT answer_id FROM stripe_calls
 WHERE key LIKE CAST(:key AS text) || '%' AND answer_id IS NOT NULL
 ORDER BY created_at DESC
 LIMIT 1;

-- payment_of_user --
-- One payment of a user.
SELECT id, amount_nanos, status, livemode, transaction_id FROM payments WHERE id = :id AND user_id = CAST(:user AS uuid);

-- pending_payments --
-- Payments that began a while ago and of which nothing was heard, some of them.
SELECT id FROM payments
 WHERE status = 'pending' AND livemode = :livemode AND created_at < clock_timestamp() - CAST(:older_s AS float) * interval '1 second'
 ORDER BY random()
 LIMIT :limit;

-- finished_payouts --
-- Payouts that a bank has taken lately: it may still send them back.
SELECT id, account_id, bank_payout_id FROM payouts
 WHERE status = 'paid' AND finished_at > clock_timestamp() - CAST(:days AS float) * interval '1 day' AND bank_payout_id IS NOT NULL
 ORDER BY id;

-- owner_of_account --
-- Whose account at the payment service this is.
SELECT user_id FROM payout_accounts WHERE gateway_id = :gateway_id;

-- auto_top_up --
-- A user's automatic top-up.
SELECT enabled, threshold_nanos, amount_nanos, day_max_nanos, payment_method, failed_at FROM auto_top_ups
 WHERE user_id = CAST(:user AS uuid);

-- set_auto_top_up --
-- Switch it on or off and say how much. Setting it anew forgets a failure.
INSERT INTO auto_top_ups (user_id, enabled, threshold_nanos, amount_nanos, day_max_nanos, changed_at)
VALUES (CAST(:user AS uuid), :enabled, CAST(:threshold AS bigint), CAST(:amount AS bigint), CAST(:day_max AS bigint), now())
ON CONFLICT (user_id) DO UPDATE
   SET enabled = excluded.enabled, threshold_nanos = excluded.threshold_nanos, amount_nanos = excluded.amount_nanos,
       day_max_nanos = excluded.day_max_nanos, changed_at = excluded.changed_at, failed_at = NULL;

-- save_method --
-- The payment method that automatic top-ups charge: the one that paid last.
INSERT INTO auto_top_ups (user_id, payment_method, changed_at) VALUES (CAST(:user AS uuid), :method, now())
ON CONFLICT (user_id) DO UPDATE
   SET payment_method = excluded.payment_method, changed_at = excluded.changed_at, failed_at = NULL;

-- auto_top_up_failed --
-- It waits until its owner has paid once more, or set it anew.
UPDATE auto_top_ups SET failed_at = now() WHERE user_id = CAST(:user AS uuid);

-- short_wallets --
-- Users (or one user) whose credit is below their threshold and whose automatic top-up may run.
SELECT u.user_id, u.amount_nanos, u.day_max_nanos, u.payment_method, to_char(now() AT TIME ZONE 'UTC', 'YYYYMMDD') AS day
  FROM auto_top_ups AS u
  LEFT JOIN wallets AS w ON w.user_id = u.user_id
  LEFT JOIN ledger.accounts AS a ON a.owner_id = u.user_id AND a.kind = 'requestor:*\:available'
 WHERE u.enabled AND u.payment_method IS NOT NULL AND u.failed_at IS NULL AND u.amount_nanos > 0
   AND coalesce(w.status, 'active') = 'active' AND coalesce(a.credits - a.debits, 0) < u.threshold_nanos
   AND (CAST(:user AS uuid) IS NULL OR u.user_id = CAST(:user AS uuid))
 ORDER BY u.user_id
 LIMIT :limit;

-- automatic_calls --
-- A user's automatic top-ups of one day, and those of any day without an answer.
SELECT c.key, c.answer_id, c.refusal, p.amount_nanos, p.status AS payment_status
  FROM stripe_calls AS c
  LEFT JOIN payments AS p ON p.id = c.answer_id
 WHERE c.key LIKE CAST(:prefix AS text) || '%'
   AND (c.key LIKE CAST(:prefix AS text) || CAST(:day AS text) || ':%' OR c.answered_at IS NULL)
 ORDER BY c.created_at;

-- payments_of_intents --
-- Which payments of ours these intents belong to.
SELECT id, intent_id FROM payments WHERE intent_id = ANY(CAST(:intents AS text[]));

-- stripe_lines --
-- What each transaction moved on platform:stripe, up to a moment and from another (NULL: from the first).
SELECT t.idem_key, t.kind, t.created_at, CAST(sum(CASE e.side WHEN 'D' THEN e.amount ELSE -e.amount END) AS bigint) AS nanos
  FROM ledger.accounts AS a
  JOIN ledger.entries AS e ON e.account_id = a.id
  JOIN ledger.transactions AS t ON t.id = e.transaction_id
 WHERE a.name = 'platform:stripe' AND (CAST(:since AS timestamptz) IS NULL OR t.created_at >= CAST(:since AS timestamptz))
 GROUP BY t.id, t.idem_key, t.kind, t.created_at
 ORDER BY t.created_at, t.idem_key;

-- lines_of_keys --
-- The same for transactions with these keys, whenever they were written.
SELECT t.idem_key, t.kind, t.created_at, CAST(sum(CASE e.side WHEN 'D' THEN e.amount ELSE -e.amount END) AS bigint) AS nanos
  FROM ledger.transactions AS t
  JOIN ledger.entries AS e ON e.transaction_id = t.id
  JOIN ledger.accounts AS a ON a.id = e.account_id AND a.name = 'platform:stripe'
 WHERE t.idem_key = ANY(CAST(:keys AS text[]))
 GROUP BY t.id, t.idem_key, t.kind, t.created_at;

-- stripe_balance --
-- What platform:stripe holds by the ledger.
SELECT CAST(coalesce(sum(a.debits - a.credits), 0) AS bigint) AS nanos FROM ledger.accounts AS a WHERE a.name = 'platform:stripe';

-- connected_balances --
-- What owners' accounts at the payment service hold by the ledger. Money on its way to a bank has left them there, and here not yet.
SELECT p.gateway_id, CAST(coalesce(a.debits - a.credits, 0) AS bigint) AS nanos,
       CAST(coalesce((SELECT sum(o.amount_nanos) FROM payouts AS o
                       WHERE o.user_id = p.user_id AND o.status = 'in_stripe' AND o.bank_payout_id IS NOT NULL), 0) AS bigint) AS leaving
  FROM payout_accounts AS p
  JOIN ledger.accounts AS a ON a.owner_id = p.user_id AND a.kind = 'stripe_connected\:*'
 ORDER BY p.gateway_id;

-- open_refunds --
-- Refunds that are neither posted as sent nor given back.
SELECT id FROM refunds WHERE status IN ('reserved', 'sent');
