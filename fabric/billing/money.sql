-- The statements of money: first the named flows of the ledger, then the rows that say where each payment, payout, refund and dispute is.

-- add_to_hold --
-- D requestor:available / C job:hold, for a job that runs.
SELECT * FROM ledger.add_to_hold(CAST(:user AS uuid), CAST(:job AS uuid), CAST(:amount AS bigint), :key);

-- stripe_fee --
-- D platform:stripe_fees / C platform:stripe.
SELECT ledger.stripe_fee(:txn, CAST(:amount AS bigint));

-- give_promotion --
-- D platform:promotions / C requestor:promotional.
SELECT ledger.give_promotion(CAST(:user AS uuid), CAST(:amount AS bigint), :key, CAST(:metadata AS jsonb));

-- pay_check --
-- D platform:verification / C provider:pending.
SELECT ledger.pay_check(CAST(:attempt AS uuid), CAST(:provider AS uuid), CAST(:amount AS bigint));

-- mature --
-- D provider:pending / C provider:available, less the owner's debt.
SELECT * FROM ledger.mature(CAST(:provider AS uuid), CAST(:owner AS uuid), CAST(:before AS timestamptz));

-- claw_back --
-- D provider:pending (or debt) and platform:commission / C requestor:available.
SELECT * FROM ledger.claw_back(CAST(:subtask AS uuid), CAST(:owner AS uuid), :reason);

-- payout_reserve --
-- D provider:available / C provider:in_transit.
SELECT * FROM ledger.payout_reserve(CAST(:owner AS uuid), CAST(:payout AS uuid), CAST(:amount AS bigint));

-- transfer_made --
-- D provider:in_transit / C provider:in_stripe, D stripe_connected / C platform:stripe.
SELECT ledger.transfer_made(CAST(:payout AS uuid), :transfer);

-- payout_unreserve --
-- D provider:in_transit / C provider:available.
SELECT ledger.payout_unreserve(CAST(:payout AS uuid));

-- payout_paid --
-- D provider:in_stripe / C stripe_connected.
SELECT ledger.payout_paid(CAST(:payout AS uuid), :bank_payout);

-- payout_returned --
-- The exact reverse of payout_paid.
SELECT ledger.payout_returned(CAST(:payout AS uuid), :bank_payout);

-- transfer_reversed --
-- D provider:in_stripe / C provider:available, D platform:stripe / C stripe_connected.
SELECT ledger.transfer_reversed(CAST(:payout AS uuid), :reversal);

-- refund_begin --
-- D requestor:available / C requestor:refund_in_transit.
SELECT * FROM ledger.refund_begin(CAST(:user AS uuid), CAST(:refund AS uuid), CAST(:amount AS bigint));

-- refund_done --
-- D requestor:refund_in_transit / C platform:stripe.
SELECT ledger.refund_done(CAST(:refund AS uuid), :gateway_id);

-- refund_failed --
-- D requestor:refund_in_transit (platform:stripe when it was sent) / C requestor:available.
SELECT ledger.refund_failed(CAST(:refund AS uuid));

-- chargeback --
-- D requestor:available and receivable and platform:dispute_fees / C platform:stripe.
SELECT * FROM ledger.chargeback(CAST(:user AS uuid), :dispute, CAST(:amount AS bigint), CAST(:fee AS bigint));

-- chargeback_won --
-- The reverse of chargeback.
SELECT ledger.chargeback_won(:dispute, CAST(:fee_back AS bigint));

-- chargeback_lost --
-- D requestor:available and platform:chargeback_loss / C receivable.
SELECT * FROM ledger.chargeback_lost(:dispute);

-- correct --
-- Any balanced lines, with an operator and a reason; the owner's role only.
SELECT ledger.correct(:key, CAST(:kinds AS text[]), CAST(:owners AS uuid[]), CAST(:sides AS text[]), CAST(:amounts AS bigint[]),
                      :operator, :reason);

-- note_correction --
-- Who corrected what and why.
INSERT INTO corrections (transaction_id, operator, reason) VALUES (CAST(:transaction_id AS uuid), :operator, :reason)
ON CONFLICT (transaction_id) DO NOTHING;

-- take_wallet --
-- The row of a user's wallet, made on first use and locked: whoever spends takes it first.
INSERT INTO wallets AS w (user_id) VALUES (CAST(:user AS uuid))
ON CONFLICT (user_id) DO UPDATE SET user_id = excluded.user_id
RETURNING w.status, w.status_reason, w.day_limit_nanos, w.job_limit_nanos;

-- read_wallet --
-- The same without a lock.
SELECT status, status_reason, day_limit_nanos, job_limit_nanos FROM wallets WHERE user_id = CAST(:user AS uuid);

-- set_wallet_status --
-- Active, frozen or closed. A closed wallet stays closed.
UPDATE wallets SET status = :status, status_reason = CAST(:reason AS text), changed_at = now()
 WHERE user_id = CAST(:user AS uuid) AND status <> 'closed';

-- set_limits --
-- A user's own spending limits; NULL: none.
UPDATE wallets SET day_limit_nanos = CAST(:day AS bigint), job_limit_nanos = CAST(:job AS bigint), changed_at = now()
 WHERE user_id = CAST(:user AS uuid);

-- note_payment --
-- A payment that began, or is told of again. What was credited stays so.
INSERT INTO payments (id, user_id, intent_id, amount_nanos, status, livemode)
VALUES (:id, CAST(:user AS uuid), CAST(:intent AS text), CAST(:amount AS bigint), 'pending', :livemode)
ON CONFLICT (id) DO UPDATE SET intent_id = coalesce(payments.intent_id, excluded.intent_id);

-- payment_credited --
-- The ledger has it.
UPDATE payments SET status = 'credited', transaction_id = CAST(:transaction_id AS uuid) WHERE id = :id AND status <> 'credited';

-- payment_failed --
-- It will not come.
UPDATE payments SET status = 'failed' WHERE id = :id AND status = 'pending';

-- payment --
-- One payment, by its own id or that of its intent.
SELECT id, user_id, intent_id, amount_nanos, refunded_nanos, status, livemode, transaction_id FROM payments
 WHERE id = :id OR intent_id = :id;

-- refundable_payments --
-- Payments of a user that can still be refunded, the newest first, locked.
SELECT id, amount_nanos - refunded_nanos AS rest FROM payments
 WHERE user_id = CAST(:user AS uuid) AND status = 'credited' AND refunded_nanos < amount_nanos
   AND (CAST(:id AS text) IS NULL OR id = :id)
   AND NOT EXISTS (SELECT 1 FROM disputes AS d WHERE d.payment_id = payments.id AND d.status <> 'won')
 ORDER BY created_at DESC, id
   FOR NO KEY UPDATE;

-- add_refunded --
-- Count a refund against its payment, or (below zero) no longer.
UPDATE payments SET refunded_nanos = refunded_nanos + CAST(:amount AS bigint) WHERE id = :id;

-- insert_refund --
-- A refund whose credit has been taken aside.
INSERT INTO refunds (id, user_id, payment_id, amount_nanos, reason)
VALUES (CAST(:id AS uuid), CAST(:user AS uuid), :payment, CAST(:amount AS bigint), :reason);

-- refund --
-- One refund, locked.
SELECT * FROM refunds WHERE id = CAST(:id AS uuid) FOR NO KEY UPDATE;

-- refunds_of --
-- A user's refunds, newest first.
SELECT * FROM refunds
 WHERE user_id = CAST(:user AS uuid) AND (CAST(:before AS uuid) IS NULL OR id < CAST(:before AS uuid))
 ORDER BY id DESC
 LIMIT :limit;

-- due_refunds --
-- Refunds that wait for a call or an answer.
SELECT id FROM refunds
 WHERE status IN ('reserved', 'sent') AND (next_try_at IS NULL OR next_try_at <= clock_timestamp())
 ORDER BY id
 LIMIT :limit;

-- move_refund --
-- Write where a refund is now.
UPDATE refunds
   SET status = :status, gateway_id = coalesce(CAST(:gateway_id AS text), gateway_id), failure = CAST(:failure AS text), attempts = 0,
       next_try_at = clock_timestamp() + CAST(:wait_s AS float) * interval '1 second',
       finished_at = CASE WHEN :status IN ('done', 'failed') THEN clock_timestamp() END
 WHERE id = CAST(:id AS uuid);

-- defer_refund --
-- No answer: look again later, and later each time.
UPDATE refunds SET attempts = attempts + 1,
       next_try_at = clock_timestamp() + least(CAST(:wait_s AS float) * CAST(2 ^ least(attempts, 10) AS float), 3600) * interval '1 second'
 WHERE id = CAST(:id AS uuid);

-- insert_dispute --
-- A dispute is told; again it is the same one.
INSERT INTO disputes (id, user_id, payment_id, amount_nanos, fee_nanos, owed_nanos, reason, opened_at)
VALUES (:id, CAST(:user AS uuid), CAST(:payment AS text), CAST(:amount AS bigint), CAST(:fee AS bigint), CAST(:owed AS bigint), :reason,
        now())
ON CONFLICT (id) DO NOTHING;

-- dispute --
-- One dispute.
SELECT * FROM disputes WHERE id = :id;

-- close_dispute --
-- Won or lost.
UPDATE disputes SET status = :status, closed_at = now() WHERE id = :id AND status = 'open';

-- unsettled_disputes --
-- How many disputes of a user keep the wallet frozen: open ones, and lost ones that we paid for.
SELECT count(*) AS n FROM disputes WHERE user_id = CAST(:user AS uuid) AND status <> 'won';

-- payout_account --
-- A user's account at the payment service.
SELECT user_id, gateway_id, status, requirements, schedule FROM payout_accounts WHERE user_id = CAST(:user AS uuid);

-- note_payout_account --
-- What the payment service says of an account now.
INSERT INTO payout_accounts (user_id, gateway_id, status, requirements, checked_at)
VALUES (CAST(:user AS uuid), :gateway_id, :status, CAST(:requirements AS jsonb), now())
ON CONFLICT (user_id) DO UPDATE SET status = excluded.status, requirements = excluded.requirements, checked_at = excluded.checked_at;

-- set_schedule --
-- Paid on request, or every week by itself.
UPDATE payout_accounts SET schedule = :schedule WHERE user_id = CAST(:user AS uuid);

-- earnings --
-- What an owner's machines have earned and where it is, from the ledger.
SELECT CAST(coalesce((SELECT sum(a.credits - a.debits) FROM providers AS p JOIN ledger.accounts AS a ON a.owner_id = p.id
                       WHERE p.owner_id = CAST(:user AS uuid) AND a.kind = 'provider:*\:pending'), 0) AS bigint) AS pending,
       CAST(coalesce(sum(o.credits - o.debits) FILTER (WHERE o.kind = 'provider:*\:available'), 0) AS bigint) AS available,
       CAST(coalesce(sum(o.credits - o.debits) FILTER (WHERE o.kind = 'provider:*\:in_transit'), 0) AS bigint) AS in_transit,
       CAST(coalesce(sum(o.credits - o.debits) FILTER (WHERE o.kind = 'provider:*\:in_stripe'), 0) AS bigint) AS in_stripe,
       CAST(coalesce(sum(o.debits - o.credits) FILTER (WHERE o.kind = 'provider:*\:debt'), 0) AS bigint) AS debt
  FROM ledger.accounts AS o
 WHERE o.owner_id = CAST(:user AS uuid);

-- insert_payout --
-- A payout whose money has been taken aside.
INSERT INTO payouts (id, user_id, account_id, amount_nanos, week)
VALUES (CAST(:id AS uuid), CAST(:user AS uuid), :account, CAST(:amount AS bigint), CAST(:week AS text))
ON CONFLICT (user_id, week) DO NOTHING;

-- payout --
-- One payout, locked.
SELECT * FROM payouts WHERE id = CAST(:id AS uuid) FOR NO KEY UPDATE;

-- payouts_of --
-- A user's payouts, newest first.
SELECT * FROM payouts
 WHERE user_id = CAST(:user AS uuid) AND (CAST(:before AS uuid) IS NULL OR id < CAST(:before AS uuid))
   AND (CAST(:id AS uuid) IS NULL OR id = CAST(:id AS uuid))
 ORDER BY id DESC
 LIMIT :limit;

-- due_payouts --
-- Payouts that wait for a call or an answer.
SELECT id FROM payouts
 WHERE status IN ('reserved', 'transferring', 'in_stripe', 'returned', 'reversing')
   AND (next_try_at IS NULL OR next_try_at <= clock_timestamp())
 ORDER BY id
 LIMIT :limit;

-- move_payout --
-- Write where a payout is now.
UPDATE payouts
   SET status = :status, transfer_id = coalesce(CAST(:transfer AS text), transfer_id),
       bank_payout_id = CAST(:bank_payout AS text), bank_attempt = :bank_attempt, failure = CAST(:failure AS text), attempts = 0,
       next_try_at = clock_timestamp() + CAST(:wait_s AS float) * interval '1 second',
       finished_at = CASE WHEN :status IN ('paid', 'unreserved', 'reversed') THEN clock_timestamp() END
 WHERE id = CAST(:id AS uuid);

-- defer_payout --
-- No answer: look again later, and later each time.
UPDATE payouts SET attempts = attempts + 1,
       next_try_at = clock_timestamp() + least(CAST(:wait_s AS float) * CAST(2 ^ least(attempts, 10) AS float), 3600) * interval '1 second'
 WHERE id = CAST(:id AS uuid);

-- weekly_payouts --
-- Owners who are paid every week, whose account is complete, and who have had no payout of this week's yet.
SELECT a.user_id, to_char(now(), 'IYYY"-W"IW') AS week
  FROM payout_accounts AS a
  JOIN ledger.accounts AS e ON e.owner_id = a.user_id AND e.kind = 'provider:*\:available' AND e.credits - e.debits >= CAST(:min AS bigint)
 WHERE a.schedule = 'weekly' AND a.status = 'ready'
   AND NOT EXISTS (SELECT 1 FROM payouts AS p WHERE p.user_id = a.user_id AND p.week = to_char(now(), 'IYYY"-W"IW'))
 ORDER BY a.user_id
 LIMIT :limit;

-- machines_that_earn --
-- Machines with pending earnings, with what their record says.
SELECT p.id, p.owner_id, a.opened_at AS earning_since, m.last_clawback_at, now() AS now
  FROM ledger.accounts AS a
  JOIN providers AS p ON p.id = a.owner_id
  LEFT JOIN ledger.maturities AS m ON m.provider_id = p.id
 WHERE a.kind = 'provider:*\:pending' AND a.credits > a.debits
 ORDER BY p.id;

-- owner_of_capture --
-- Whose machine was paid for a subtask.
SELECT p.owner_id
  FROM ledger.transactions AS t
  JOIN ledger.entries AS e ON e.transaction_id = t.id
  JOIN ledger.accounts AS a ON a.id = e.account_id AND a.kind = 'provider:*\:pending'
  JOIN providers AS p ON p.id = a.owner_id
 WHERE t.subtask_id = CAST(:subtask AS uuid) AND t.kind = 'capture';

-- insert_promotion --
-- Who gave what to whom, and why.
INSERT INTO promotions (id, user_id, giver_id, amount_nanos, reason, transaction_id)
VALUES (CAST(:id AS uuid), CAST(:user AS uuid), CAST(:giver AS uuid), CAST(:amount AS bigint), :reason, CAST(:transaction_id AS uuid));

-- givers_to --
-- Who ever gave promotional credit to a user.
SELECT DISTINCT giver_id FROM promotions WHERE user_id = CAST(:user AS uuid) ORDER BY giver_id;

-- user_exists --
-- Whether there is such a user.
SELECT EXISTS (SELECT 1 FROM users WHERE id = CAST(:user AS uuid)) AS yes;

-- note_call --
-- Remember a call to the payment service before it is made; answers with what is known of it.
INSERT INTO stripe_calls AS c (key, route, body_hash) VALUES (:key, :route, :body_hash)
ON CONFLICT (key) DO UPDATE SET key = excluded.key
RETURNING c.body_hash, c.answer_id, c.refusal, extract(epoch FROM clock_timestamp() - c.created_at) AS age_s;

-- note_answer --
-- What the payment service answered.
UPDATE stripe_calls SET answered_at = clock_timestamp(), answer_id = CAST(:answer AS text), refusal = CAST(:refusal AS text)
 WHERE key = :key;

-- statement_work --
-- What an owner's machines did in a span of time, by day and machine.
SELECT CAST(t.finished_at AT TIME ZONE 'UTC' AS date) AS day, p.id AS provider_id, p.name, count(*) AS subtasks,
       CAST(sum(t.billed_us) AS bigint) AS billed_us, CAST(sum(t.gross_nanos) AS bigint) AS gross,
       CAST(sum(t.commission_nanos) AS bigint) AS commission
  FROM providers AS p
  JOIN attempts AS t ON t.provider_id = p.id
 WHERE p.owner_id = CAST(:user AS uuid) AND t.outcome = 'done' AND t.gross_nanos > 0
   AND t.finished_at >= CAST(:begins AS timestamptz) AND t.finished_at < CAST(:ends AS timestamptz)
   AND t.id >= CAST(:first_id AS uuid) AND t.id < CAST(:end_id AS uuid)
 GROUP BY 1, p.id, p.name
 ORDER BY 1, p.id;

-- statement_ledger --
-- What else moved an owner's earnings in a span of time: checks, clawbacks, payouts and what came back of them. A debt is an
-- asset of ours: it grows by debits, so as a line of the owner's it counts as less, as it should.
SELECT t.created_at, t.kind, a.kind AS account, p.id AS provider_id, p.name,
       CASE e.side WHEN 'C' THEN e.amount ELSE -e.amount END AS amount
  FROM ledger.accounts AS a
  JOIN ledger.entries AS e ON e.account_id = a.id
  JOIN ledger.transactions AS t ON t.id = e.transaction_id
  LEFT JOIN providers AS p ON p.id = a.owner_id
 WHERE (a.owner_id = CAST(:user AS uuid) AND a.kind IN ('provider:*\:available', 'provider:*\:debt')
        OR a.owner_id IN (SELECT id FROM providers WHERE owner_id = CAST(:user AS uuid)) AND a.kind = 'provider:*\:pending')
   AND t.kind IN ('verification', 'clawback', 'payout_reserve', 'payout_unreserve', 'transfer_reversal', 'correction')
   AND t.created_at >= CAST(:begins AS timestamptz) AND t.created_at < CAST(:ends AS timestamptz)
 ORDER BY t.created_at, t.id, e.line;

-- claim_mode --
-- The books are of this kind of money, unless they are of one already; answers with what they are of.
INSERT INTO money_modes AS m (mode) VALUES (:mode) ON CONFLICT (id) DO UPDATE SET mode = m.mode RETURNING m.mode;

-- refused_calls --
-- How many calls under a key and its numbers the payment service refused for certain.
SELECT count(*) AS n FROM stripe_calls WHERE key LIKE CAST(:prefix AS text) || '%' AND refusal IS NOT NULL;

-- today --
-- The present UTC day, on the database's clock.
SELECT CAST(now() AT TIME ZONE 'UTC' AS date) AS day;

-- spent_by_day --
-- What a user's jobs cost by the UTC day on which the work was done: a job of one day is one sum, which it keeps itself; of others,
-- and of those that still run, the tries are added up. Jobs that ended before are passed over.
SELECT day, CAST(sum(nanos) AS bigint) AS spent
  FROM (
        SELECT CAST(j.finished_at AT TIME ZONE 'UTC' AS date) AS day, j.captured_nanos AS nanos
          FROM jobs AS j
         WHERE j.owner_id = CAST(:user AS uuid) AND j.captured_nanos > 0 AND j.finished_at >= CAST(:begins AS timestamptz)
           AND CAST(j.started_at AT TIME ZONE 'UTC' AS date) = CAST(j.finished_at AT TIME ZONE 'UTC' AS date)
        UNION ALL
        SELECT CAST(t.finished_at AT TIME ZONE 'UTC' AS date), t.gross_nanos
          FROM jobs AS j
          JOIN attempts AS t ON t.job_id = j.id
         WHERE j.owner_id = CAST(:user AS uuid) AND j.captured_nanos > 0
           AND (j.finished_at IS NULL
                OR j.finished_at >= CAST(:begins AS timestamptz)
                   AND CAST(j.started_at AT TIME ZONE 'UTC' AS date) IS DISTINCT FROM CAST(j.finished_at AT TIME ZONE 'UTC' AS date))
           AND t.outcome = 'done' AND t.gross_nanos > 0 AND t.finished_at >= CAST(:begins AS timestamptz)
       ) AS work
 GROUP BY day
 ORDER BY day;

-- earned_by_day --
-- What an owner's machines earned by UTC day, after commission.
SELECT CAST(t.finished_at AT TIME ZONE 'UTC' AS date) AS day, CAST(sum(t.gross_nanos - t.commission_nanos) AS bigint) AS earned
  FROM providers AS p
  JOIN attempts AS t ON t.provider_id = p.id
 WHERE p.owner_id = CAST(:user AS uuid) AND t.outcome = 'done' AND t.gross_nanos > 0
   AND t.finished_at >= CAST(:begins AS timestamptz) AND t.id >= CAST(:first_id AS uuid)
 GROUP BY 1
 ORDER BY 1;

-- machine_by_day --
-- What one machine did by UTC day: net earnings, and billed time and subtasks, unpaid ones (its owner's own) included.
SELECT CAST(t.finished_at AT TIME ZONE 'UTC' AS date) AS day, CAST(sum(t.gross_nanos - t.commission_nanos) AS bigint) AS earned,
       CAST(sum(t.billed_us) AS bigint) AS billed_us, count(*) AS subtasks
  FROM attempts AS t
 WHERE t.provider_id = CAST(:provider AS uuid) AND t.outcome = 'done'
   AND t.finished_at >= CAST(:begins AS timestamptz) AND t.id >= CAST(:first_id AS uuid)
 GROUP BY 1
 ORDER BY 1;

-- machine_total --
-- All that one machine was ever credited, before what was taken back for bad results.
SELECT CAST(coalesce(sum(credits), 0) AS bigint) AS credits FROM ledger.accounts
 WHERE owner_id = CAST(:provider AS uuid) AND kind = 'provider:*\:pending';
