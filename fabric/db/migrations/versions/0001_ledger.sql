-- The ledger: double entry, append-only, integer nano-USD. The database keeps the rules, whoever writes; fabric/billing/README.md
-- lists them (I1 … I10). The application's role reads everything here and executes four flows: top_up, place_hold, capture and
-- release_hold. Frozen: a later change is a later migration.
--
-- Lock order, so that flows cannot deadlock: accounts by name ("job:" < "platform:" < "provider:" < "requestor:"), then transactions.
-- Functions that run for each capture look rows up one by one, by index, whatever the statistics say (enable_seqscan, LATERAL … OFFSET
-- 0): a plan that was made while the tables were small, and kept by a long-lived connection, would otherwise read all of history.

CREATE SCHEMA ledger;
REVOKE ALL ON SCHEMA ledger FROM PUBLIC;

CREATE TYPE ledger.side AS ENUM ('D', 'C');
CREATE TYPE ledger.account_class AS ENUM ('asset', 'liability', 'revenue', 'expense');

-- Bound when it is created to whichever uuidv7() the server has, so that no search_path can change it.
CREATE FUNCTION ledger.new_id() RETURNS uuid LANGUAGE sql VOLATILE RETURN uuidv7();

-- ── chart and accounts ───────────────────────────────────────────────────────────────────────────────────────────────────

CREATE TABLE ledger.chart (
  kind         text PRIMARY KEY,
  class        ledger.account_class NOT NULL,
  no_overdraft boolean NOT NULL,
  append_only  boolean NOT NULL,
  purpose      text NOT NULL,
  CONSTRAINT guarded_accounts_are_liabilities CHECK (NOT no_overdraft OR class = 'liability'),
  CONSTRAINT append_only_accounts_have_no_guard CHECK (NOT (append_only AND no_overdraft))
);
COMMENT ON TABLE ledger.chart IS 'kinds of accounts; in a kind * stands for the id of the owner';
COMMENT ON COLUMN ledger.chart.no_overdraft IS 'debits may never exceed credits';
COMMENT ON COLUMN ledger.chart.append_only IS 'no running balance and so no lock: every capture touches it';

INSERT INTO ledger.chart (kind, class, no_overdraft, append_only, purpose) VALUES
  ('platform:stripe',               'asset',     false, false, 'money at the payment service'),
  ('stripe_connected:*',            'asset',     false, false, 'money in a provider''s account at the payment service'),
  ('receivable:*',                  'asset',     false, false, 'what a requestor owes after a chargeback'),
  ('requestor:*:available',         'liability', true,  false, 'credit that can be spent'),
  ('requestor:*:refund_in_transit', 'liability', true,  false, 'credit on its way back to the requestor'),
  ('job:*:hold',                    'liability', true,  false, 'credit reserved for one job'),
  ('provider:*:pending',            'liability', true,  false, 'earned, within the dispute window'),
  ('provider:*:available',          'liability', true,  false, 'earned, may be paid out'),
  ('provider:*:in_transit',         'liability', true,  false, 'a payout was asked for'),
  ('provider:*:in_stripe',          'liability', true,  false, 'transferred, not yet paid to the bank'),
  ('platform:commission',           'revenue',   false, true,  'our part of captures'),
  ('platform:stripe_fees',          'expense',   false, true,  'what the payment service keeps'),
  ('platform:verification',         'expense',   false, true,  'checks of results, paid by the platform'),
  ('platform:goodwill',             'expense',   false, true,  'bad results found after the money had left'),
  ('platform:chargeback_loss',      'expense',   false, true,  'chargebacks that nobody will pay'),
  ('platform:dispute_fees',         'expense',   false, true,  'fees of disputes');

CREATE TABLE ledger.accounts (
  id           uuid PRIMARY KEY DEFAULT ledger.new_id(),
  kind         text NOT NULL REFERENCES ledger.chart,
  owner_id     uuid,
  name         text COLLATE "C" NOT NULL GENERATED ALWAYS AS (replace(kind, '*', coalesce(CAST(owner_id AS text), ''))) STORED,
  holder_id    uuid,
  class        ledger.account_class NOT NULL,
  currency     char(3) NOT NULL DEFAULT 'USD',
  no_overdraft boolean NOT NULL,
  append_only  boolean NOT NULL,
  debits       bigint NOT NULL DEFAULT 0,
  credits      bigint NOT NULL DEFAULT 0,
  seq          bigint NOT NULL DEFAULT 0,
  opened_at    timestamptz NOT NULL DEFAULT now(),
  closed_at    timestamptz,
  CONSTRAINT accounts_name_key UNIQUE (name),
  CONSTRAINT starred_kinds_have_an_owner CHECK ((owner_id IS NOT NULL) = (kind LIKE '%*%')),
  CONSTRAINT holds_have_a_holder CHECK ((holder_id IS NOT NULL) = (kind = 'job:*:hold')),
  CONSTRAINT no_overdraft CHECK (NOT no_overdraft OR debits <= credits),
  CONSTRAINT append_only_accounts_count_nothing CHECK (NOT append_only OR (debits = 0 AND credits = 0 AND seq = 0)),
  CONSTRAINT closed_accounts_are_settled CHECK (closed_at IS NULL OR debits = credits)
) WITH (fillfactor = 70);  -- no index covers the counters, so an update stays on its page
CREATE INDEX accounts_owner_id_idx ON ledger.accounts (owner_id);
CREATE INDEX accounts_open_holds_idx ON ledger.accounts (holder_id) WHERE holder_id IS NOT NULL AND closed_at IS NULL;
COMMENT ON COLUMN ledger.accounts.owner_id IS 'the user, job or provider after whom the account is named';
COMMENT ON COLUMN ledger.accounts.holder_id IS 'holds only: the user whose credit it is and to whom the rest goes back';
COMMENT ON COLUMN ledger.accounts.seq IS 'number of entries so far; entries are numbered 1, 2, 3 … without gaps';

CREATE TABLE ledger.transactions (
  id             uuid PRIMARY KEY DEFAULT ledger.new_id(),
  kind           text NOT NULL CHECK (kind IN (
                   'topup', 'stripe_fee', 'hold', 'capture', 'release', 'mature', 'payout_reserve', 'payout_unreserve', 'transfer',
                   'payout_paid', 'payout_returned', 'transfer_reversal', 'refund_reserve', 'refund_paid', 'refund_failed',
                   'chargeback', 'chargeback_won', 'writeoff', 'clawback', 'verification', 'correction')),
  idem_key       text NOT NULL CONSTRAINT transactions_idem_key_key UNIQUE,
  body_hash      bytea NOT NULL,
  job_id         uuid,
  subtask_id     uuid,
  attempt_id     uuid,
  reverses       uuid REFERENCES ledger.transactions,
  commission_bps int CHECK (commission_bps BETWEEN 0 AND 10000),
  metadata       jsonb NOT NULL DEFAULT '{}',
  event_at       timestamptz NOT NULL DEFAULT now(),
  created_at     timestamptz NOT NULL DEFAULT now(),
  created_xid    xid8 NOT NULL DEFAULT pg_current_xact_id(),
  CONSTRAINT captures_name_their_subtask CHECK (kind NOT IN ('capture', 'clawback') OR (subtask_id IS NOT NULL AND job_id IS NOT NULL)),
  CONSTRAINT captures_keep_their_rate CHECK ((kind = 'capture') = (commission_bps IS NOT NULL)),
  CONSTRAINT holds_name_their_job CHECK (kind NOT IN ('hold', 'release') OR job_id IS NOT NULL)
);
CREATE UNIQUE INDEX one_capture_per_subtask ON ledger.transactions (subtask_id) WHERE kind = 'capture';
CREATE UNIQUE INDEX one_clawback_per_subtask ON ledger.transactions (subtask_id) WHERE kind = 'clawback';
CREATE UNIQUE INDEX one_hold_per_job ON ledger.transactions (job_id) WHERE kind = 'hold';
CREATE UNIQUE INDEX one_release_per_job ON ledger.transactions (job_id) WHERE kind = 'release';
CREATE UNIQUE INDEX one_reversal ON ledger.transactions (reverses) WHERE reverses IS NOT NULL;
COMMENT ON COLUMN ledger.transactions.idem_key IS 'names the business fact, such as capture:<subtask>';
COMMENT ON COLUMN ledger.transactions.body_hash IS 'SHA-256 of all that the fact says about money; the same key with another body is an error';
COMMENT ON COLUMN ledger.transactions.commission_bps IS 'the rate of this capture; the operator may change the present one';
COMMENT ON COLUMN ledger.transactions.metadata IS 'for people: request id, live or play money. Not in body_hash: a retry has a request id of its own';
COMMENT ON COLUMN ledger.transactions.event_at IS 'when it happened outside; created_at is when it was written';
COMMENT ON COLUMN ledger.transactions.created_xid IS 'lines may be added by this database transaction only';

CREATE TABLE ledger.entries (
  transaction_id uuid NOT NULL REFERENCES ledger.transactions,
  line           smallint NOT NULL,
  account_id     uuid NOT NULL REFERENCES ledger.accounts,
  side           ledger.side NOT NULL,
  amount         bigint NOT NULL CHECK (amount > 0),
  seq            bigint,
  balance        bigint,
  PRIMARY KEY (transaction_id, line)
);
CREATE UNIQUE INDEX entries_account_id_seq_key ON ledger.entries (account_id, seq) WHERE seq IS NOT NULL;
COMMENT ON COLUMN ledger.entries.seq IS 'place in its account''s history; NULL on append-only accounts';
COMMENT ON COLUMN ledger.entries.balance IS 'of its account after this entry, in the account''s normal direction; NULL on append-only accounts';

-- ── rules (I1, I2, I3, I6) ───────────────────────────────────────────────────────────────────────────────────────────────

CREATE FUNCTION ledger.forbid() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'the ledger is append-only: no % on %', TG_OP, TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER transactions_immutable BEFORE UPDATE OR DELETE ON ledger.transactions FOR EACH ROW EXECUTE FUNCTION ledger.forbid();
CREATE TRIGGER entries_immutable BEFORE UPDATE OR DELETE ON ledger.entries FOR EACH ROW EXECUTE FUNCTION ledger.forbid();
CREATE TRIGGER accounts_stay BEFORE DELETE ON ledger.accounts FOR EACH ROW EXECUTE FUNCTION ledger.forbid();
CREATE TRIGGER chart_immutable BEFORE UPDATE OR DELETE ON ledger.chart FOR EACH ROW EXECUTE FUNCTION ledger.forbid();
CREATE TRIGGER transactions_not_truncated BEFORE TRUNCATE ON ledger.transactions EXECUTE FUNCTION ledger.forbid();
CREATE TRIGGER entries_not_truncated BEFORE TRUNCATE ON ledger.entries EXECUTE FUNCTION ledger.forbid();
CREATE TRIGGER accounts_not_truncated BEFORE TRUNCATE ON ledger.accounts EXECUTE FUNCTION ledger.forbid();
CREATE TRIGGER chart_not_truncated BEFORE TRUNCATE ON ledger.chart EXECUTE FUNCTION ledger.forbid();

-- A new account is what the chart says of its kind, and empty.
CREATE FUNCTION ledger.account_from_chart() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  SELECT c.class, c.no_overdraft, c.append_only INTO NEW.class, NEW.no_overdraft, NEW.append_only
    FROM ledger.chart AS c WHERE c.kind = NEW.kind;
  IF (NEW.debits, NEW.credits, NEW.seq) <> (0, 0, 0) OR NEW.closed_at IS NOT NULL THEN
    RAISE EXCEPTION 'a new account is open and empty' USING ERRCODE = 'restrict_violation';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER account_from_chart BEFORE INSERT ON ledger.accounts FOR EACH ROW EXECUTE FUNCTION ledger.account_from_chart();

CREATE FUNCTION ledger.account_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF (NEW.id, NEW.kind, NEW.owner_id, NEW.holder_id, NEW.class, NEW.currency, NEW.no_overdraft, NEW.append_only, NEW.opened_at)
     IS DISTINCT FROM
     (OLD.id, OLD.kind, OLD.owner_id, OLD.holder_id, OLD.class, OLD.currency, OLD.no_overdraft, OLD.append_only, OLD.opened_at)
     OR NEW.debits < OLD.debits OR NEW.credits < OLD.credits OR NEW.seq < OLD.seq THEN
    RAISE EXCEPTION 'account %: what it is never changes and its counters only grow', OLD.name USING ERRCODE = 'restrict_violation';
  END IF;
  IF OLD.closed_at IS NOT NULL THEN
    RAISE EXCEPTION 'account % is closed', OLD.name USING ERRCODE = 'restrict_violation';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER account_guard BEFORE UPDATE ON ledger.accounts FOR EACH ROW EXECUTE FUNCTION ledger.account_guard();

-- Lines join only transactions that the same database transaction has begun, and are numbered unless their account is append-only.
CREATE FUNCTION ledger.entries_belong() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off AS $$
BEGIN
  PERFORM 1 FROM added
    WHERE (SELECT t.created_xid FROM ledger.transactions AS t WHERE t.id = added.transaction_id) <> pg_current_xact_id()
       OR (SELECT a.append_only FROM ledger.accounts AS a WHERE a.id = added.account_id) <> (added.seq IS NULL)
       OR (added.seq IS NULL) <> (added.balance IS NULL);
  IF FOUND THEN
    RAISE EXCEPTION 'a line joins a committed transaction, or its number does not fit its account'
      USING ERRCODE = 'restrict_violation';
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER entries_belong AFTER INSERT ON ledger.entries REFERENCING NEW TABLE AS added
  FOR EACH STATEMENT EXECUTE FUNCTION ledger.entries_belong();

CREATE FUNCTION ledger.transactions_are_new() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM 1 FROM added WHERE created_xid <> pg_current_xact_id();
  IF FOUND THEN
    RAISE EXCEPTION 'a transaction names another database transaction as its own' USING ERRCODE = 'restrict_violation';
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER transactions_are_new AFTER INSERT ON ledger.transactions REFERENCING NEW TABLE AS added
  FOR EACH STATEMENT EXECUTE FUNCTION ledger.transactions_are_new();

-- At COMMIT, whoever wrote the rows: two lines or more, and debits equal credits in each currency.
CREATE FUNCTION ledger.check_balanced() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off AS $$
DECLARE
  _lines bigint;
  _worst numeric;
BEGIN
  SELECT sum(per.lines), max(abs(per.difference)) INTO _lines, _worst
    FROM (SELECT count(*) AS lines, sum(CASE e.side WHEN 'D' THEN e.amount ELSE -e.amount END) AS difference
            FROM ledger.entries AS e
           WHERE e.transaction_id = NEW.id
           GROUP BY (SELECT a.currency FROM ledger.accounts AS a WHERE a.id = e.account_id)) AS per;
  IF coalesce(_lines, 0) < 2 THEN
    RAISE EXCEPTION 'transaction % has fewer than two lines', NEW.id USING ERRCODE = 'check_violation';
  END IF;
  IF _worst <> 0 THEN
    RAISE EXCEPTION 'transaction % is unbalanced by %', NEW.id, _worst USING ERRCODE = 'check_violation';
  END IF;
  RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER transactions_balanced AFTER INSERT ON ledger.transactions DEFERRABLE INITIALLY DEFERRED
  FOR EACH ROW EXECUTE FUNCTION ledger.check_balanced();

-- ── the inner writer, executable by nobody but the owner ─────────────────────────────────────────────────────────────────

CREATE TYPE ledger.leg AS (kind text, owner_id uuid, side ledger.side, amount bigint);

-- No fact contains a bar, so no two lists of facts read the same.
CREATE FUNCTION ledger.body_hash(VARIADIC _facts text[]) RETURNS bytea LANGUAGE sql STABLE
RETURN sha256(convert_to(array_to_string(_facts, '|', '-'), 'UTF8'));

CREATE FUNCTION ledger.account_name(_kind text, _owner uuid) RETURNS text LANGUAGE sql IMMUTABLE
RETURN replace(_kind, '*', coalesce(CAST(_owner AS text), ''));

-- Writes one transaction, or finds the one that the same key and body wrote before. Accounts other than holds are opened on use.
CREATE FUNCTION ledger.post(_kind text, _key text, _legs ledger.leg[], _job uuid DEFAULT NULL, _subtask uuid DEFAULT NULL,
                            _attempt uuid DEFAULT NULL, _reverses uuid DEFAULT NULL, _bps int DEFAULT NULL,
                            _metadata jsonb DEFAULT '{}', OUT transaction_id uuid, OUT created boolean)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  _hash bytea := ledger.body_hash(_kind, CAST(_legs AS text), CAST(_job AS text), CAST(_subtask AS text), CAST(_attempt AS text),
                                  CAST(_reverses AS text), CAST(_bps AS text));
  _old ledger.transactions;
  _leg record;
  _line int := 0;
BEGIN
  INSERT INTO ledger.accounts (kind, owner_id)
  SELECT l.kind, l.owner_id FROM unnest(_legs) AS l
   WHERE NOT EXISTS (SELECT 1 FROM ledger.accounts AS a WHERE a.name = ledger.account_name(l.kind, l.owner_id))
   ORDER BY ledger.account_name(l.kind, l.owner_id) COLLATE "C"
  ON CONFLICT (name) DO NOTHING;
  PERFORM 1 FROM ledger.accounts AS a
   WHERE a.name IN (SELECT ledger.account_name(l.kind, l.owner_id) FROM unnest(_legs) AS l) AND NOT a.append_only
   ORDER BY a.name FOR NO KEY UPDATE;

  INSERT INTO ledger.transactions (kind, idem_key, body_hash, job_id, subtask_id, attempt_id, reverses, commission_bps, metadata)
  VALUES (_kind, _key, _hash, _job, _subtask, _attempt, _reverses, _bps, _metadata)
  ON CONFLICT (idem_key) DO NOTHING RETURNING id INTO transaction_id;
  created := transaction_id IS NOT NULL;
  IF NOT created THEN
    SELECT * INTO STRICT _old FROM ledger.transactions AS t WHERE t.idem_key = _key;
    IF _old.body_hash <> _hash THEN
      RAISE EXCEPTION 'The key % was used before with another body.', _key USING ERRCODE = 'unique_violation';
    END IF;
    transaction_id := _old.id;
    RETURN;
  END IF;

  FOR _leg IN SELECT a.id, a.append_only, l.side, l.amount FROM unnest(_legs) AS l
                JOIN ledger.accounts AS a ON a.name = ledger.account_name(l.kind, l.owner_id) ORDER BY a.name, l.side LOOP
    _line := _line + 1;
    IF _leg.append_only THEN
      INSERT INTO ledger.entries VALUES (transaction_id, _line, _leg.id, _leg.side, _leg.amount, NULL, NULL);
    ELSE
      WITH counted AS (
        UPDATE ledger.accounts AS a
           SET debits = a.debits + CASE _leg.side WHEN 'D' THEN _leg.amount ELSE 0 END,
               credits = a.credits + CASE _leg.side WHEN 'C' THEN _leg.amount ELSE 0 END, seq = a.seq + 1
         WHERE a.id = _leg.id
        RETURNING a.seq, CASE WHEN a.class IN ('asset', 'expense') THEN a.debits - a.credits ELSE a.credits - a.debits END AS balance)
      INSERT INTO ledger.entries
      SELECT transaction_id, _line, _leg.id, _leg.side, _leg.amount, counted.seq, counted.balance FROM counted;
    END IF;
  END LOOP;
END $$;

-- ── the named flows ──────────────────────────────────────────────────────────────────────────────────────────────────────

-- Money has arrived: D platform:stripe / C requestor:available.
CREATE FUNCTION ledger.top_up(_user uuid, _amount bigint, _key text, _metadata jsonb DEFAULT '{}') RETURNS uuid
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF _user IS NULL OR _key IS NULL OR coalesce(_amount, 0) <= 0 THEN
    RAISE EXCEPTION 'a top-up needs a user, a key and an amount above zero' USING ERRCODE = 'check_violation';
  END IF;
  RETURN (SELECT p.transaction_id FROM ledger.post('topup', 'topup:' || _key, ARRAY[
    CAST(ROW('platform:stripe', NULL, 'D', _amount) AS ledger.leg),
    CAST(ROW('requestor:*:available', _user, 'C', _amount) AS ledger.leg)], _metadata => coalesce(_metadata, '{}')) AS p);
END $$;

-- Credit is reserved for a job: D requestor:available / C job:hold. Too little credit writes nothing and answers with no transaction.
CREATE FUNCTION ledger.place_hold(_user uuid, _job uuid, _amount bigint, OUT transaction_id uuid, OUT available_nanos bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF _user IS NULL OR _job IS NULL OR coalesce(_amount, 0) <= 0 THEN
    RAISE EXCEPTION 'a hold needs a user, a job and an amount above zero' USING ERRCODE = 'check_violation';
  END IF;
  SELECT a.credits - a.debits INTO available_nanos FROM ledger.accounts AS a
   WHERE a.name = ledger.account_name('requestor:*:available', _user) FOR NO KEY UPDATE;
  available_nanos := coalesce(available_nanos, 0);
  IF NOT EXISTS (SELECT 1 FROM ledger.transactions AS t WHERE t.idem_key = 'hold:' || CAST(_job AS text)) THEN
    IF available_nanos < _amount THEN
      RETURN;
    END IF;
    INSERT INTO ledger.accounts (kind, owner_id, holder_id) VALUES ('job:*:hold', _job, _user) ON CONFLICT (name) DO NOTHING;
    available_nanos := available_nanos - _amount;
  END IF;
  transaction_id := (SELECT p.transaction_id FROM ledger.post('hold', 'hold:' || CAST(_job AS text), ARRAY[
    CAST(ROW('requestor:*:available', _user, 'D', _amount) AS ledger.leg),
    CAST(ROW('job:*:hold', _job, 'C', _amount) AS ledger.leg)], _job => _job) AS p);
END $$;

-- A job is over: D job:hold / C requestor:available of what is left, and the hold is closed. Answers with what went back, then and later.
CREATE FUNCTION ledger.release_hold(_user uuid, _job uuid) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  _hold ledger.accounts;
  _rest bigint;
BEGIN
  SELECT * INTO _hold FROM ledger.accounts AS a WHERE a.name = ledger.account_name('job:*:hold', _job) FOR NO KEY UPDATE;
  IF NOT FOUND THEN
    RETURN 0;
  END IF;
  IF _hold.holder_id IS DISTINCT FROM _user THEN
    RAISE EXCEPTION 'the hold of job % is not of user %', _job, _user USING ERRCODE = 'restrict_violation';
  END IF;
  IF _hold.closed_at IS NOT NULL THEN
    RETURN coalesce((SELECT e.amount FROM ledger.transactions AS t JOIN ledger.entries AS e ON e.transaction_id = t.id
                      WHERE t.kind = 'release' AND t.job_id = _job AND e.account_id = _hold.id), 0);
  END IF;
  _rest := _hold.credits - _hold.debits;
  IF _rest > 0 THEN
    PERFORM 1 FROM ledger.post('release', 'release:' || CAST(_job AS text), ARRAY[
      CAST(ROW('job:*:hold', _job, 'D', _rest) AS ledger.leg),
      CAST(ROW('requestor:*:available', _user, 'C', _rest) AS ledger.leg)], _job => _job);
  END IF;
  UPDATE ledger.accounts SET closed_at = now() WHERE id = _hold.id;
  RETURN _rest;
END $$;

-- One line of a batch of captures. Without an objection it will be written.
CREATE TYPE ledger.capture_line AS (
  n int, subtask_id uuid, job_id uuid, gross bigint, bps int, commission bigint, body_hash bytea, transaction_id uuid,
  hold_id uuid, hold_seq bigint, hold_balance bigint, pending_id uuid, pending_seq bigint, pending_balance bigint, objection text);

-- Says of each line, in the order given, what speaks against it. The accounts are locked. The commission is floor(gross × bps / 10,000),
-- taken apart so that no product can overflow.
CREATE FUNCTION ledger.judge_captures(_subtasks uuid[], _jobs uuid[], _providers uuid[], _gross bigint[], _bps int[])
RETURNS ledger.capture_line[] LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off AS $$
BEGIN
  RETURN (
  WITH given AS (
         SELECT * FROM unnest(_subtasks, _jobs, _providers, _gross, _bps)
                WITH ORDINALITY AS g(subtask_id, job_id, provider_id, gross, bps, n)),
       seen AS (
         SELECT g.*, hold.id AS hold_id, hold.seq AS hold_seq, hold.balance AS hold_balance,
                pending.id AS pending_id, pending.seq AS pending_seq, pending.balance AS pending_balance,
                CASE WHEN g.subtask_id IS NULL OR g.job_id IS NULL OR g.provider_id IS NULL OR coalesce(g.gross, 0) <= 0
                       OR g.bps IS NULL OR g.bps NOT BETWEEN 0 AND 10000 THEN 'this is no capture: ids, gross above 0 and rate'
                     WHEN written.subtask_id IS NOT NULL THEN 'captured before with another body'
                     WHEN hold.id IS NULL THEN 'the job has no hold'
                     WHEN hold.closed_at IS NOT NULL THEN 'the hold is released'
                     WHEN hold.balance < g.gross THEN 'the hold cannot pay this'
                 END AS objection
           FROM given AS g
           LEFT JOIN LATERAL (SELECT a.id, a.seq, a.credits - a.debits AS balance, a.closed_at FROM ledger.accounts AS a
                               WHERE a.name = 'job:' || CAST(g.job_id AS text) || ':hold' OFFSET 0) AS hold ON true
           LEFT JOIN LATERAL (SELECT a.id, a.seq, a.credits - a.debits AS balance FROM ledger.accounts AS a
                               WHERE a.name = 'provider:' || CAST(g.provider_id AS text) || ':pending' OFFSET 0) AS pending ON true
           LEFT JOIN LATERAL (SELECT t.subtask_id FROM ledger.transactions AS t
                               WHERE t.subtask_id = g.subtask_id AND t.kind = 'capture' OFFSET 0) AS written ON true)
  SELECT array_agg(CAST(ROW(s.n, s.subtask_id, s.job_id, s.gross, s.bps,
           CASE WHEN s.bps BETWEEN 0 AND 10000 THEN s.gross / 10000 * s.bps + s.gross % 10000 * s.bps / 10000 END,
           ledger.body_hash('capture', CAST(s.job_id AS text), CAST(s.subtask_id AS text), CAST(s.provider_id AS text),
                            CAST(s.gross AS text), CAST(s.bps AS text)),
           ledger.new_id(), s.hold_id, s.hold_seq, s.hold_balance, s.pending_id, s.pending_seq, s.pending_balance, s.objection)
           AS ledger.capture_line) ORDER BY s.n)
    FROM seen AS s);
END $$;

-- Takes out repetitions within the batch, and lines for which the hold does not reach: in turn, so that a smaller one after a larger
-- one may still fit. Nearly every batch passes by the first two looks.
CREATE FUNCTION ledger.fund_captures(_lines ledger.capture_line[]) RETURNS ledger.capture_line[]
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  _line record;
  _job uuid;
  _left bigint;
  _taken uuid[] := '{}';
BEGIN
  IF NOT EXISTS (SELECT 1 FROM unnest(_lines) AS l WHERE l.objection IS NULL GROUP BY l.subtask_id HAVING count(*) > 1)
     AND NOT EXISTS (SELECT 1 FROM unnest(_lines) AS l WHERE l.objection IS NULL GROUP BY l.job_id HAVING sum(l.gross) > min(l.hold_balance)) THEN
    RETURN _lines;
  END IF;
  FOR _line IN SELECT * FROM unnest(_lines) AS l WHERE l.objection IS NULL ORDER BY l.job_id, l.n LOOP
    IF _line.job_id IS DISTINCT FROM _job THEN
      _job := _line.job_id;
      _left := _line.hold_balance;
    END IF;
    IF _line.subtask_id = ANY (_taken) THEN
      _lines[_line.n].objection := 'captured before with another body';
    ELSIF _line.gross > _left THEN
      _lines[_line.n].objection := 'the hold cannot pay this';
    ELSE
      _left := _left - _line.gross;
      _taken := _taken || _line.subtask_id;
    END IF;
  END LOOP;
  RETURN _lines;
END $$;

-- The price of finished subtasks, many at once: D job:hold gross / C provider:pending the rest / C platform:commission the commission.
-- Each line is written once or not at all; a bad, repeated or unfunded one keeps no other from being written.
CREATE FUNCTION ledger.capture(_subtasks uuid[], _jobs uuid[], _providers uuid[], _gross bigint[], _bps int[])
RETURNS TABLE (n int, subtask_id uuid, status text, commission_nanos bigint, detail text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off AS $$
#variable_conflict use_column
DECLARE
  _lines ledger.capture_line[];
  _line record;
  _commission_account uuid := (SELECT a.id FROM ledger.accounts AS a WHERE a.name = 'platform:commission');
  _written bigint;
BEGIN
  IF cardinality(_subtasks) <> ALL (ARRAY[cardinality(_jobs), cardinality(_providers), cardinality(_gross), cardinality(_bps)]) THEN
    RAISE EXCEPTION 'the lists of a batch are equally long' USING ERRCODE = 'check_violation';
  END IF;

  INSERT INTO ledger.accounts (kind, owner_id)
  SELECT 'provider:*:pending', p.id FROM (SELECT DISTINCT unnest(_providers) AS id) AS p
   WHERE p.id IS NOT NULL
     AND NOT EXISTS (SELECT 1 FROM ledger.accounts AS a WHERE a.name = 'provider:' || CAST(p.id AS text) || ':pending')
   ORDER BY p.id
  ON CONFLICT (name) DO NOTHING;
  PERFORM 1 FROM ledger.accounts AS a
   WHERE a.name = ANY (ARRAY(SELECT DISTINCT 'job:' || CAST(j.id AS text) || ':hold' FROM unnest(_jobs) AS j(id)
                             UNION ALL
                             SELECT DISTINCT 'provider:' || CAST(p.id AS text) || ':pending' FROM unnest(_providers) AS p(id)))
   ORDER BY a.name FOR NO KEY UPDATE;

  _lines := ledger.judge_captures(_subtasks, _jobs, _providers, _gross, _bps);
  _lines := ledger.fund_captures(_lines);

  INSERT INTO ledger.transactions (id, kind, idem_key, body_hash, job_id, subtask_id, commission_bps)
  SELECT l.transaction_id, 'capture', 'capture:' || CAST(l.subtask_id AS text), l.body_hash, l.job_id, l.subtask_id, l.bps
    FROM unnest(_lines) AS l WHERE l.objection IS NULL ORDER BY l.n
  ON CONFLICT DO NOTHING;
  GET DIAGNOSTICS _written = ROW_COUNT;
  IF _written < (SELECT count(*) FROM unnest(_lines) AS l WHERE l.objection IS NULL) THEN
    -- Another job's capture of the same subtask was written meanwhile: take those lines out.
    FOR _line IN SELECT l.n FROM unnest(_lines) AS l
                  WHERE l.objection IS NULL AND NOT EXISTS (SELECT 1 FROM ledger.transactions AS t WHERE t.id = l.transaction_id) LOOP
      _lines[_line.n].objection := 'captured before with another body';
    END LOOP;
  END IF;

  INSERT INTO ledger.entries (transaction_id, line, account_id, side, amount, seq, balance)
  SELECT l.transaction_id, 1, l.hold_id, CAST('D' AS ledger.side), l.gross, l.hold_seq + row_number() OVER history,
         l.hold_balance - sum(l.gross) OVER history
    FROM unnest(_lines) AS l WHERE l.objection IS NULL
  WINDOW history AS (PARTITION BY l.hold_id ORDER BY l.n)
   UNION ALL
  SELECT l.transaction_id, 2, l.pending_id, CAST('C' AS ledger.side), l.gross - l.commission, l.pending_seq + row_number() OVER history,
         l.pending_balance + sum(l.gross - l.commission) OVER history
    FROM unnest(_lines) AS l WHERE l.objection IS NULL AND l.gross > l.commission
  WINDOW history AS (PARTITION BY l.pending_id ORDER BY l.n)
   UNION ALL
  SELECT l.transaction_id, 3, _commission_account, CAST('C' AS ledger.side), l.commission, NULL, NULL
    FROM unnest(_lines) AS l WHERE l.objection IS NULL AND l.commission > 0;

  FOR _line IN SELECT l.hold_id AS id, sum(l.gross) AS debit, 0 AS credit, count(*) AS entries
                 FROM unnest(_lines) AS l WHERE l.objection IS NULL GROUP BY l.hold_id
                UNION ALL
               SELECT l.pending_id, 0, sum(l.gross - l.commission), count(*)
                 FROM unnest(_lines) AS l WHERE l.objection IS NULL AND l.gross > l.commission GROUP BY l.pending_id LOOP
    UPDATE ledger.accounts AS a
       SET debits = a.debits + _line.debit, credits = a.credits + _line.credit, seq = a.seq + _line.entries
     WHERE a.id = _line.id;
  END LOOP;

  RETURN QUERY
  SELECT l.n, l.subtask_id,
         CASE WHEN l.objection IS NULL THEN 'captured' WHEN t.body_hash = l.body_hash THEN 'duplicate' ELSE 'refused' END,
         CASE WHEN l.objection IS NULL OR t.body_hash = l.body_hash THEN l.commission ELSE 0 END,
         CASE WHEN l.objection IS NULL OR t.body_hash = l.body_hash THEN '' ELSE l.objection END
    FROM unnest(_lines) AS l
    LEFT JOIN LATERAL (SELECT w.body_hash FROM ledger.transactions AS w
                        WHERE l.objection IS NOT NULL AND w.subtask_id = l.subtask_id AND w.kind = 'capture' OFFSET 0) AS t ON true
   ORDER BY l.n;
END $$;

-- ── views for reading ────────────────────────────────────────────────────────────────────────────────────────────────────

CREATE VIEW ledger.balances AS
SELECT a.id, a.name, a.kind, a.owner_id, a.holder_id, a.currency, a.closed_at,
       CASE WHEN a.class IN ('asset', 'expense') THEN s.debits - s.credits ELSE s.credits - s.debits END AS balance_nanos
  FROM ledger.accounts AS a
 CROSS JOIN LATERAL (
       SELECT a.debits, a.credits WHERE NOT a.append_only
        UNION ALL
       SELECT CAST(coalesce(sum(e.amount) FILTER (WHERE e.side = 'D'), 0) AS bigint),
              CAST(coalesce(sum(e.amount) FILTER (WHERE e.side = 'C'), 0) AS bigint)
         FROM ledger.entries AS e WHERE a.append_only AND e.account_id = a.id
       HAVING a.append_only) AS s;
COMMENT ON VIEW ledger.balances IS 'each account''s balance in its normal direction; append-only accounts are summed up afresh';

-- I10
CREATE VIEW ledger.trial_balance AS
SELECT a.currency, sum(CASE e.side WHEN 'D' THEN e.amount ELSE -e.amount END) AS must_be_zero
  FROM ledger.entries AS e JOIN ledger.accounts AS a ON a.id = e.account_id
 GROUP BY a.currency;

-- ── audits: each must be empty ───────────────────────────────────────────────────────────────────────────────────────────

-- I1: a transaction that does not balance in some currency, or has fewer than two lines.
CREATE VIEW ledger.audit_unbalanced AS
SELECT e.transaction_id
  FROM ledger.entries AS e JOIN ledger.accounts AS a ON a.id = e.account_id
 GROUP BY e.transaction_id, a.currency
HAVING sum(CASE e.side WHEN 'D' THEN e.amount ELSE -e.amount END) <> 0
 UNION
SELECT t.id
  FROM ledger.transactions AS t LEFT JOIN ledger.entries AS e ON e.transaction_id = t.id
 GROUP BY t.id
HAVING count(e.line) < 2;

-- I7: counters that are not the sum of their entries.
CREATE VIEW ledger.audit_counters AS
SELECT a.name, a.debits, a.credits, a.seq, s.debits AS entry_debits, s.credits AS entry_credits, s.lines
  FROM ledger.accounts AS a
  LEFT JOIN (SELECT account_id, count(*) AS lines, coalesce(sum(amount) FILTER (WHERE side = 'D'), 0) AS debits,
                    coalesce(sum(amount) FILTER (WHERE side = 'C'), 0) AS credits
               FROM ledger.entries GROUP BY account_id) AS s ON s.account_id = a.id
 WHERE NOT a.append_only
   AND (a.debits, a.credits, a.seq) IS DISTINCT FROM (coalesce(s.debits, 0), coalesce(s.credits, 0), coalesce(s.lines, 0));

-- I7: entries whose running balance is not what the entries before them make.
CREATE VIEW ledger.audit_running_balances AS
SELECT q.name, q.transaction_id, q.line, q.balance, q.expected
  FROM (SELECT a.name, e.transaction_id, e.line, e.balance,
               sum(CASE WHEN (e.side = 'D') = (a.class IN ('asset', 'expense')) THEN e.amount ELSE -e.amount END)
                 OVER (PARTITION BY e.account_id ORDER BY e.seq) AS expected
          FROM ledger.entries AS e JOIN ledger.accounts AS a ON a.id = e.account_id
         WHERE NOT a.append_only) AS q
 WHERE q.balance IS DISTINCT FROM q.expected;

-- I7: histories that are not numbered 1, 2, 3 …
CREATE VIEW ledger.audit_numbering AS
SELECT q.name, q.transaction_id, q.line, q.seq
  FROM (SELECT a.name, a.append_only, e.transaction_id, e.line, e.seq,
               row_number() OVER (PARTITION BY e.account_id ORDER BY e.seq) AS expected
          FROM ledger.entries AS e JOIN ledger.accounts AS a ON a.id = e.account_id) AS q
 WHERE q.seq IS DISTINCT FROM CASE WHEN q.append_only THEN NULL ELSE q.expected END;

-- I3: guarded accounts that are, or at some moment were, below zero.
CREATE VIEW ledger.audit_overdrafts AS
SELECT a.name, a.credits - a.debits AS balance
  FROM ledger.accounts AS a WHERE a.no_overdraft AND a.debits > a.credits
 UNION ALL
SELECT a.name, e.balance
  FROM ledger.entries AS e JOIN ledger.accounts AS a ON a.id = e.account_id
 WHERE a.no_overdraft AND e.balance < 0;

-- I8: captures whose lines are not: gross from the hold of their job, floor(gross × rate) to the platform, the rest to one provider.
CREATE VIEW ledger.audit_splits AS
SELECT q.id, q.gross, q.commission, q.earned, q.commission_bps
  FROM (SELECT t.id, t.commission_bps, count(*) AS lines,
               coalesce(sum(e.amount) FILTER (WHERE a.kind = 'job:*:hold' AND a.owner_id = t.job_id AND e.side = 'D'), 0) AS gross,
               coalesce(sum(e.amount) FILTER (WHERE a.kind = 'platform:commission' AND e.side = 'C'), 0) AS commission,
               coalesce(sum(e.amount) FILTER (WHERE a.kind = 'provider:*:pending' AND e.side = 'C'), 0) AS earned
          FROM ledger.transactions AS t
          JOIN ledger.entries AS e ON e.transaction_id = t.id
          JOIN ledger.accounts AS a ON a.id = e.account_id
         WHERE t.kind = 'capture'
         GROUP BY t.id) AS q
 WHERE q.gross = 0
    OR q.commission <> div(q.gross * q.commission_bps, 10000)
    OR q.earned <> q.gross - q.commission
    OR q.lines <> 1 + CASE WHEN q.commission > 0 THEN 1 ELSE 0 END + CASE WHEN q.earned > 0 THEN 1 ELSE 0 END;

-- I4: holds that were not filled by exactly one hold of their holder, or were emptied by more than one release.
CREATE VIEW ledger.audit_holds AS
SELECT a.name, count(*) FILTER (WHERE t.kind = 'hold') AS holds, count(*) FILTER (WHERE t.kind = 'release') AS releases
  FROM ledger.accounts AS a
  LEFT JOIN ledger.entries AS e ON e.account_id = a.id
  LEFT JOIN ledger.transactions AS t ON t.id = e.transaction_id
  LEFT JOIN ledger.accounts AS requestor ON requestor.name = 'requestor:' || CAST(a.holder_id AS text) || ':available'
  LEFT JOIN ledger.entries AS other
         ON other.transaction_id = t.id AND other.account_id = requestor.id AND other.side <> e.side AND other.amount = e.amount
 WHERE a.kind = 'job:*:hold'
 GROUP BY a.name, a.owner_id, a.closed_at
HAVING count(*) FILTER (WHERE t.kind = 'hold' AND e.side = 'C') <> 1
    OR count(*) FILTER (WHERE t.kind = 'release' AND e.side = 'D') > CASE WHEN a.closed_at IS NULL THEN 0 ELSE 1 END
    OR count(*) FILTER (WHERE t.kind IN ('hold', 'release') AND (other.line IS NULL OR t.job_id IS DISTINCT FROM a.owner_id)) > 0
    OR count(*) FILTER (WHERE t.kind NOT IN ('hold', 'release', 'capture')) > 0;

-- I6: accounts that are not what the chart says of their kind, and closed accounts that are not settled.
CREATE VIEW ledger.audit_chart AS
SELECT a.name, a.class, a.no_overdraft, a.append_only, a.closed_at
  FROM ledger.accounts AS a JOIN ledger.chart AS c ON c.kind = a.kind
 WHERE (a.class, a.no_overdraft, a.append_only) IS DISTINCT FROM (c.class, c.no_overdraft, c.append_only)
    OR (a.closed_at IS NOT NULL AND a.debits <> a.credits);

-- ── accounts that exist from the start, and the doors ────────────────────────────────────────────────────────────────────

INSERT INTO ledger.accounts (kind) SELECT kind FROM ledger.chart WHERE kind NOT LIKE '%*%' ORDER BY kind;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA ledger FROM PUBLIC;
