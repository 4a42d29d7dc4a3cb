-- The plain tables of money as of 0003, frozen. Later changes are later migrations.
CREATE TABLE wallets (
  user_id UUID NOT NULL,
  status TEXT DEFAULT 'active' NOT NULL,
  status_reason TEXT,
  day_limit_nanos BIGINT,
  job_limit_nanos BIGINT,
  changed_at TIMESTAMP WITH TIME ZONE,
  CONSTRAINT wallets_pkey PRIMARY KEY (user_id),
  CONSTRAINT wallets_status_check CHECK (status IN ('active','frozen','closed')),
  CONSTRAINT wallets_limits_check CHECK (day_limit_nanos >= 0 AND job_limit_nanos >= 0)
);
COMMENT ON COLUMN wallets.user_id IS 'locked by everything that spends; made on first use';
COMMENT ON COLUMN wallets.status IS 'active, frozen (by a dispute or an operator), closed';
COMMENT ON COLUMN wallets.day_limit_nanos IS 'jobs of one UTC day may hold or cost no more';
COMMENT ON COLUMN wallets.job_limit_nanos IS 'one job may hold no more';

CREATE TABLE auto_top_ups (
  user_id UUID NOT NULL,
  enabled BOOLEAN DEFAULT false NOT NULL,
  threshold_nanos BIGINT DEFAULT 0 NOT NULL,
  amount_nanos BIGINT DEFAULT 0 NOT NULL,
  day_max_nanos BIGINT DEFAULT 0 NOT NULL,
  payment_method TEXT,
  failed_at TIMESTAMP WITH TIME ZONE,
  changed_at TIMESTAMP WITH TIME ZONE,
  CONSTRAINT auto_top_ups_pkey PRIMARY KEY (user_id),
  CONSTRAINT auto_top_ups_amounts_check CHECK (threshold_nanos >= 0 AND amount_nanos >= 0 AND day_max_nanos >= 0),
  CONSTRAINT auto_top_ups_user_id_fkey FOREIGN KEY(user_id) REFERENCES users (id)
);
COMMENT ON COLUMN auto_top_ups.threshold_nanos IS 'top up when less is available';
COMMENT ON COLUMN auto_top_ups.day_max_nanos IS 'no more than this in one UTC day';
COMMENT ON COLUMN auto_top_ups.payment_method IS 'the payment service''s id of the saved one';

CREATE TABLE payments (
  id TEXT NOT NULL,
  user_id UUID NOT NULL,
  intent_id TEXT,
  amount_nanos BIGINT DEFAULT 0 NOT NULL,
  refunded_nanos BIGINT DEFAULT 0 NOT NULL,
  status TEXT DEFAULT 'pending' NOT NULL,
  livemode BOOLEAN NOT NULL,
  transaction_id UUID,
  created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
  CONSTRAINT payments_pkey PRIMARY KEY (id),
  CONSTRAINT payments_amounts_check CHECK (amount_nanos > 0 AND refunded_nanos BETWEEN 0 AND amount_nanos),
  CONSTRAINT payments_status_check CHECK (status IN ('pending','credited','failed')),
  CONSTRAINT payments_intent_id_key UNIQUE (intent_id)
);
CREATE INDEX payments_user_id_created_at_idx ON payments (user_id, created_at);
COMMENT ON COLUMN payments.id IS 'the payment service''s: a Checkout Session, or play money';
COMMENT ON COLUMN payments.user_id IS 'no foreign key: a payment of somebody unknown is stored all the same';
COMMENT ON COLUMN payments.intent_id IS 'the payment intent, once it is known; refunds and disputes name it';
COMMENT ON COLUMN payments.refunded_nanos IS 'asked for, and not failed';
COMMENT ON COLUMN payments.status IS 'pending, credited, failed';
COMMENT ON COLUMN payments.transaction_id IS 'the ledger transaction that credited it';

CREATE TABLE refunds (
  id UUID NOT NULL,
  user_id UUID NOT NULL,
  payment_id TEXT NOT NULL,
  amount_nanos BIGINT DEFAULT 0 NOT NULL,
  status TEXT DEFAULT 'reserved' NOT NULL,
  gateway_id TEXT,
  reason TEXT DEFAULT '' NOT NULL,
  failure TEXT,
  attempts INTEGER DEFAULT 0 NOT NULL,
  next_try_at TIMESTAMP WITH TIME ZONE,
  finished_at TIMESTAMP WITH TIME ZONE,
  created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
  CONSTRAINT refunds_pkey PRIMARY KEY (id),
  CONSTRAINT refunds_amount_check CHECK (amount_nanos > 0),
  CONSTRAINT refunds_status_check CHECK (status IN ('reserved','sent','done','failed')),
  CONSTRAINT refunds_payment_id_fkey FOREIGN KEY(payment_id) REFERENCES payments (id),
  CONSTRAINT refunds_gateway_id_key UNIQUE (gateway_id)
);
CREATE INDEX refunds_open_idx ON refunds (next_try_at) WHERE status IN ('reserved', 'sent');
CREATE INDEX refunds_payment_id_idx ON refunds (payment_id);
CREATE INDEX refunds_user_id_idx ON refunds (user_id);
COMMENT ON COLUMN refunds.status IS 'reserved, sent, done, failed';
COMMENT ON COLUMN refunds.gateway_id IS 'the payment service''s';

CREATE TABLE disputes (
  id TEXT NOT NULL,
  user_id UUID NOT NULL,
  payment_id TEXT,
  amount_nanos BIGINT DEFAULT 0 NOT NULL,
  fee_nanos BIGINT DEFAULT 0 NOT NULL,
  owed_nanos BIGINT DEFAULT 0 NOT NULL,
  reason TEXT DEFAULT '' NOT NULL,
  status TEXT DEFAULT 'open' NOT NULL,
  opened_at TIMESTAMP WITH TIME ZONE,
  closed_at TIMESTAMP WITH TIME ZONE,
  created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
  CONSTRAINT disputes_pkey PRIMARY KEY (id),
  CONSTRAINT disputes_amounts_check CHECK (amount_nanos > 0 AND fee_nanos >= 0),
  CONSTRAINT disputes_status_check CHECK (status IN ('open','won','lost'))
);
CREATE INDEX disputes_user_id_idx ON disputes (user_id);
COMMENT ON COLUMN disputes.id IS 'the payment service''s';
COMMENT ON COLUMN disputes.payment_id IS 'of ours, where it is known';
COMMENT ON COLUMN disputes.owed_nanos IS 'what was not there when it opened';
COMMENT ON COLUMN disputes.status IS 'open, won, lost';

CREATE TABLE payout_accounts (
  user_id UUID NOT NULL,
  gateway_id TEXT NOT NULL,
  status TEXT DEFAULT 'onboarding' NOT NULL,
  requirements JSONB DEFAULT '[]' NOT NULL,
  schedule TEXT DEFAULT 'manual' NOT NULL,
  checked_at TIMESTAMP WITH TIME ZONE,
  created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
  CONSTRAINT payout_accounts_pkey PRIMARY KEY (user_id),
  CONSTRAINT payout_accounts_status_check CHECK (status IN ('onboarding','ready','restricted')),
  CONSTRAINT payout_accounts_schedule_check CHECK (schedule IN ('manual','weekly')),
  CONSTRAINT payout_accounts_user_id_fkey FOREIGN KEY(user_id) REFERENCES users (id),
  CONSTRAINT payout_accounts_gateway_id_key UNIQUE (gateway_id)
);
COMMENT ON COLUMN payout_accounts.gateway_id IS 'the payment service''s id of the connected account';
COMMENT ON COLUMN payout_accounts.status IS 'onboarding, ready, restricted';
COMMENT ON COLUMN payout_accounts.requirements IS 'in words: what is still missing';
COMMENT ON COLUMN payout_accounts.schedule IS 'manual or weekly';

CREATE TABLE payouts (
  id UUID NOT NULL,
  user_id UUID NOT NULL,
  account_id TEXT NOT NULL,
  amount_nanos BIGINT DEFAULT 0 NOT NULL,
  status TEXT DEFAULT 'reserved' NOT NULL,
  transfer_id TEXT,
  bank_payout_id TEXT,
  bank_attempt INTEGER DEFAULT 0 NOT NULL,
  failure TEXT,
  week TEXT,
  attempts INTEGER DEFAULT 0 NOT NULL,
  next_try_at TIMESTAMP WITH TIME ZONE,
  finished_at TIMESTAMP WITH TIME ZONE,
  created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
  CONSTRAINT payouts_pkey PRIMARY KEY (id),
  CONSTRAINT payouts_user_id_week_key UNIQUE (user_id, week),
  CONSTRAINT payouts_amount_check CHECK (amount_nanos > 0),
  CONSTRAINT payouts_status_check CHECK (status IN ('reserved','transferring','in_stripe','paid','returned','unreserved','reversing','reversed')),
  CONSTRAINT payouts_user_id_fkey FOREIGN KEY(user_id) REFERENCES users (id),
  CONSTRAINT payouts_transfer_id_key UNIQUE (transfer_id),
  CONSTRAINT payouts_bank_payout_id_key UNIQUE (bank_payout_id)
);
CREATE INDEX payouts_open_idx ON payouts (next_try_at) WHERE status IN ('reserved', 'transferring', 'in_stripe', 'returned', 'reversing');
CREATE INDEX payouts_user_id_id_idx ON payouts (user_id, id);
COMMENT ON COLUMN payouts.account_id IS 'the connected account, as it was when asked';
COMMENT ON COLUMN payouts.amount_nanos IS 'whole cents';
COMMENT ON COLUMN payouts.status IS 'reserved, transferring, in_stripe, paid, returned, unreserved, reversing, reversed';
COMMENT ON COLUMN payouts.bank_payout_id IS 'of the last attempt to pay it to the bank';
COMMENT ON COLUMN payouts.bank_attempt IS 'which attempt that is';
COMMENT ON COLUMN payouts.failure IS 'of the last step, in words';
COMMENT ON COLUMN payouts.week IS 'of the automatic schedule, such as 2026-W31; NULL when asked for';
COMMENT ON COLUMN payouts.attempts IS 'looks without an answer, for the back-off';

CREATE TABLE promotions (
  id UUID NOT NULL,
  user_id UUID NOT NULL,
  giver_id UUID NOT NULL,
  amount_nanos BIGINT DEFAULT 0 NOT NULL,
  reason TEXT NOT NULL,
  transaction_id UUID NOT NULL,
  created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
  CONSTRAINT promotions_pkey PRIMARY KEY (id),
  CONSTRAINT promotions_amount_check CHECK (amount_nanos > 0)
);
CREATE INDEX promotions_user_id_idx ON promotions (user_id);
COMMENT ON COLUMN promotions.giver_id IS 'the operator; machines of theirs cannot earn with it';

CREATE TABLE corrections (
  transaction_id UUID NOT NULL,
  operator TEXT NOT NULL,
  reason TEXT NOT NULL,
  created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
  CONSTRAINT corrections_pkey PRIMARY KEY (transaction_id)
);
COMMENT ON COLUMN corrections.transaction_id IS 'the ledger transaction';

CREATE TABLE stripe_events (
  id TEXT NOT NULL,
  kind TEXT NOT NULL,
  type TEXT NOT NULL,
  payload BYTEA NOT NULL,
  livemode BOOLEAN NOT NULL,
  created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
  handled_at TIMESTAMP WITH TIME ZONE,
  attempts INTEGER DEFAULT 0 NOT NULL,
  next_try_at TIMESTAMP WITH TIME ZONE,
  error TEXT,
  CONSTRAINT stripe_events_pkey PRIMARY KEY (id)
);
CREATE INDEX stripe_events_open_idx ON stripe_events (created_at) WHERE handled_at IS NULL;
COMMENT ON COLUMN stripe_events.id IS 'of the event; postings are keyed by the object that it names';
COMMENT ON COLUMN stripe_events.kind IS 'snapshot or thin';
COMMENT ON COLUMN stripe_events.payload IS 'the raw bytes, as they were signed';
COMMENT ON COLUMN stripe_events.handled_at IS 'NULL: to be done';

CREATE TABLE stripe_calls (
  key TEXT NOT NULL,
  route TEXT NOT NULL,
  body_hash BYTEA NOT NULL,
  created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
  answered_at TIMESTAMP WITH TIME ZONE,
  answer_id TEXT,
  refusal TEXT,
  CONSTRAINT stripe_calls_pkey PRIMARY KEY (key)
);
COMMENT ON COLUMN stripe_calls.key IS 'our idempotency key, made of the business fact and stored before the call';
COMMENT ON COLUMN stripe_calls.body_hash IS 'SHA-256 of what was asked; another body under the same key is refused';
COMMENT ON COLUMN stripe_calls.answer_id IS 'the object that the payment service made';
COMMENT ON COLUMN stripe_calls.refusal IS 'why it refused for certain';

ALTER TABLE jobs ADD COLUMN waiting_since TIMESTAMP WITH TIME ZONE;
ALTER TABLE jobs ADD COLUMN barred_owner_ids UUID[] DEFAULT '{}' NOT NULL;
COMMENT ON COLUMN jobs.waiting_since IS 'when waiting_reason became what it is';
COMMENT ON COLUMN jobs.barred_owner_ids IS 'who gave the promotional credit in the hold: machines of theirs cannot earn it';
COMMENT ON COLUMN jobs.held_nanos IS 'placed at submit, and what was added later';

-- Top-ups from before there was a table of payments can be refunded too.
INSERT INTO payments (id, user_id, amount_nanos, status, livemode, transaction_id, created_at)
SELECT t.metadata ->> 'payment', a.owner_id, e.amount, 'credited', coalesce(CAST(t.metadata ->> 'livemode' AS boolean), false), t.id,
       t.created_at
  FROM ledger.transactions AS t
  JOIN ledger.entries AS e ON e.transaction_id = t.id
  JOIN ledger.accounts AS a ON a.id = e.account_id AND a.kind = 'requestor:*:available'
 WHERE t.kind = 'topup' AND t.metadata ->> 'payment' IS NOT NULL
ON CONFLICT DO NOTHING;
