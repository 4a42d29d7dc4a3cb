-- The ledger's remaining flows: fees, promotional credit, more for a hold, maturation, payouts, refunds, chargebacks, clawbacks and
-- corrections. The rules of 0001 hold for all of them: each is keyed by the business fact, balanced, append-only, and takes its
-- accounts by name first ("job:" < "platform:" < "provider:" < "receivable:" < "requestor:" < "stripe_connected:").
--
-- A machine earns (provider:<machine>:pending); from maturation on the money is its owner's (provider:<owner>:available, :in_transit,
-- :in_stripe, :debt and stripe_connected:<owner>), because an owner with five machines has one bank account. Frozen, as 0001 is.

-- ── chart and accounts ───────────────────────────────────────────────────────────────────────────────────────────────────

INSERT INTO ledger.chart (kind, class, no_overdraft, append_only, purpose) VALUES
  ('platform:promotions',     'expense',   false, true,  'credit that was given away'),
  ('requestor:*:promotional', 'liability', true,  false, 'credit that was given: it can be spent, and never leaves'),
  ('provider:*:debt',         'asset',     false, false, 'what an owner owes after a clawback, collected from later earnings');
INSERT INTO ledger.accounts (kind) VALUES ('platform:promotions');

ALTER TABLE ledger.transactions DROP CONSTRAINT transactions_kind_check;
ALTER TABLE ledger.transactions ADD CONSTRAINT transactions_kind_check CHECK (kind IN (
  'topup', 'stripe_fee', 'hold', 'hold_more', 'capture', 'release', 'mature', 'payout_reserve', 'payout_unreserve', 'transfer',
  'payout_paid', 'payout_returned', 'transfer_reversal', 'refund_reserve', 'refund_paid', 'refund_failed', 'chargeback',
  'chargeback_won', 'chargeback_lost', 'writeoff', 'clawback', 'debt_collected', 'promotion', 'verification', 'correction'));
ALTER TABLE ledger.transactions DROP CONSTRAINT holds_name_their_job;
ALTER TABLE ledger.transactions ADD CONSTRAINT holds_name_their_job
  CHECK (kind NOT IN ('hold', 'hold_more', 'release') OR job_id IS NOT NULL);
CREATE INDEX transactions_clawbacks_idx ON ledger.transactions (job_id) WHERE kind = 'clawback';
CREATE UNIQUE INDEX one_transfer_per_payout ON ledger.transactions ((metadata ->> 'payout')) WHERE kind = 'transfer';
CREATE INDEX transactions_payouts_idx ON ledger.transactions ((metadata ->> 'payout'))
  WHERE kind IN ('transfer', 'payout_paid', 'payout_returned', 'transfer_reversal');

CREATE TABLE ledger.maturities (
  provider_id      uuid PRIMARY KEY,
  through_seq      bigint NOT NULL DEFAULT 0,
  clawbacks        bigint NOT NULL DEFAULT 0,
  last_clawback_at timestamptz
);
COMMENT ON TABLE ledger.maturities IS 'how far each machine''s earnings have matured, and its record';
COMMENT ON COLUMN ledger.maturities.through_seq IS 'entries of provider:<machine>:pending up to this number have matured';
CREATE TRIGGER maturities_stay BEFORE DELETE ON ledger.maturities FOR EACH ROW EXECUTE FUNCTION ledger.forbid();
CREATE TRIGGER maturities_not_truncated BEFORE TRUNCATE ON ledger.maturities EXECUTE FUNCTION ledger.forbid();

CREATE FUNCTION ledger.maturities_grow() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.provider_id <> OLD.provider_id OR NEW.through_seq < OLD.through_seq OR NEW.clawbacks < OLD.clawbacks THEN
    RAISE EXCEPTION 'what has matured stays so, and a record is not forgotten' USING ERRCODE = 'restrict_violation';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER maturities_grow BEFORE UPDATE ON ledger.maturities FOR EACH ROW EXECUTE FUNCTION ledger.maturities_grow();

-- ── what flows are made of, executable by nobody but the owner ───────────────────────────────────────────────────────────

CREATE FUNCTION ledger.debit(_kind text, _owner uuid, _amount bigint) RETURNS ledger.leg LANGUAGE sql IMMUTABLE
RETURN CAST(ROW(_kind, _owner, 'D', _amount) AS ledger.leg);
CREATE FUNCTION ledger.credit(_kind text, _owner uuid, _amount bigint) RETURNS ledger.leg LANGUAGE sql IMMUTABLE
RETURN CAST(ROW(_kind, _owner, 'C', _amount) AS ledger.leg);

-- Without the legs that move nothing.
CREATE FUNCTION ledger.moving(VARIADIC _legs ledger.leg[]) RETURNS ledger.leg[] LANGUAGE sql IMMUTABLE
RETURN (SELECT array_agg(CAST(ROW(l.kind, l.owner_id, l.side, l.amount) AS ledger.leg) ORDER BY l.n)
          FROM unnest(_legs) WITH ORDINALITY AS l(kind, owner_id, side, amount, n) WHERE l.amount <> 0);

-- Opens what is missing of these accounts and locks all of them, by name: what is read of them afterwards stays true.
CREATE FUNCTION ledger.take_accounts(_kinds text[], _owners uuid[]) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
BEGIN
  INSERT INTO ledger.accounts (kind, owner_id)
  SELECT g.kind, g.owner_id FROM unnest(_kinds, _owners) AS g(kind, owner_id)
   WHERE NOT EXISTS (SELECT 1 FROM ledger.accounts AS a WHERE a.name = ledger.account_name(g.kind, g.owner_id))
   ORDER BY ledger.account_name(g.kind, g.owner_id) COLLATE "C"
  ON CONFLICT (name) DO NOTHING;
  PERFORM 1 FROM ledger.accounts AS a
   WHERE a.name = ANY (ARRAY(SELECT ledger.account_name(g.kind, g.owner_id) FROM unnest(_kinds, _owners) AS g(kind, owner_id)))
   ORDER BY a.name FOR NO KEY UPDATE;
END $$;

-- In the account's normal direction; 0 when there is no such account. Not for append-only accounts.
CREATE FUNCTION ledger.balance_of(_kind text, _owner uuid) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
BEGIN
  RETURN coalesce((SELECT CASE WHEN a.class IN ('asset', 'expense') THEN a.debits - a.credits ELSE a.credits - a.debits END
                     FROM ledger.accounts AS a WHERE a.name = ledger.account_name(_kind, _owner)), 0);
END $$;

-- What one transaction moved on an account of this kind: whose account, how much (0 when there is none) and its place there.
CREATE FUNCTION ledger.line_of(_transaction uuid, _kind text, OUT owner_id uuid, OUT amount bigint, OUT seq bigint)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
BEGIN
  SELECT a.owner_id, e.amount, e.seq INTO owner_id, amount, seq
    FROM ledger.entries AS e JOIN ledger.accounts AS a ON a.id = e.account_id
   WHERE e.transaction_id = _transaction AND a.kind = _kind;
  amount := coalesce(amount, 0);
END $$;

CREATE FUNCTION ledger.transaction_of(_key text) RETURNS uuid
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
BEGIN
  RETURN (SELECT t.id FROM ledger.transactions AS t WHERE t.idem_key = _key);
END $$;

-- How much promotional credit went into a job's hold. Captures use it first; what is left of a hold is the requestor's own money first.
CREATE FUNCTION ledger.promotional_part(_job uuid) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RETURN (SELECT l.amount FROM ledger.line_of(ledger.transaction_of('hold:' || CAST(_job AS text)), 'requestor:*:promotional') AS l);
END $$;

CREATE FUNCTION ledger.refuse_reuse(_key text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'The key % was used before with another body.', _key USING ERRCODE = 'unique_violation';
END $$;

CREATE FUNCTION ledger.refuse_unknown(_what text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'There is no %.', _what USING ERRCODE = 'no_data_found';
END $$;

-- Payment services move whole cents.
CREATE FUNCTION ledger.check_cents(_amount bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  IF coalesce(_amount, 0) <= 0 OR _amount % 10000000 <> 0 THEN
    RAISE EXCEPTION 'an amount of whole cents above zero is needed, not %', _amount USING ERRCODE = 'check_violation';
  END IF;
END $$;

-- ── holds, now with promotional credit and with more ─────────────────────────────────────────────────────────────────────

DROP FUNCTION ledger.place_hold(uuid, uuid, bigint);

-- Credit is reserved for a job: D requestor:promotional what is there, D requestor:available the rest / C job:hold. Too little credit
-- writes nothing and answers with no transaction.
CREATE FUNCTION ledger.place_hold(_user uuid, _job uuid, _amount bigint, OUT transaction_id uuid, OUT available_nanos bigint,
                                  OUT promotional_nanos bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
DECLARE
  _key text := 'hold:' || CAST(_job AS text);
  _gift bigint;
  _hold record;
BEGIN
  IF _user IS NULL OR _job IS NULL OR coalesce(_amount, 0) <= 0 THEN
    RAISE EXCEPTION 'a hold needs a user, a job and an amount above zero' USING ERRCODE = 'check_violation';
  END IF;
  PERFORM 1 FROM ledger.accounts AS a
   WHERE a.name IN (ledger.account_name('job:*:hold', _job), ledger.account_name('requestor:*:available', _user),
                    ledger.account_name('requestor:*:promotional', _user))
   ORDER BY a.name FOR NO KEY UPDATE;
  _gift := ledger.balance_of('requestor:*:promotional', _user);
  available_nanos := ledger.balance_of('requestor:*:available', _user) + _gift;
  transaction_id := ledger.transaction_of(_key);
  IF transaction_id IS NOT NULL THEN
    SELECT a.holder_id, l.amount INTO _hold FROM ledger.line_of(transaction_id, 'job:*:hold') AS l
      JOIN ledger.accounts AS a ON a.name = ledger.account_name('job:*:hold', l.owner_id);
    IF _hold.holder_id <> _user OR _hold.amount <> _amount THEN
      PERFORM ledger.refuse_reuse(_key);
    END IF;
    promotional_nanos := ledger.promotional_part(_job);
    RETURN;
  END IF;
  IF available_nanos < _amount THEN
    RETURN;
  END IF;
  INSERT INTO ledger.accounts (kind, owner_id, holder_id) VALUES ('job:*:hold', _job, _user) ON CONFLICT (name) DO NOTHING;
  available_nanos := available_nanos - _amount;
  promotional_nanos := least(_gift, _amount);
  transaction_id := (SELECT p.transaction_id FROM ledger.post('hold', _key, ledger.moving(
    ledger.debit('requestor:*:available', _user, _amount - promotional_nanos),
    ledger.debit('requestor:*:promotional', _user, promotional_nanos),
    ledger.credit('job:*:hold', _job, _amount)), _job => _job) AS p);
END $$;

-- A running job gets more, of the requestor's own money: D requestor:available / C job:hold. Too little writes nothing. Answers with
-- all that was ever held for the job.
CREATE FUNCTION ledger.add_to_hold(_user uuid, _job uuid, _amount bigint, _key text, OUT transaction_id uuid, OUT available_nanos bigint,
                                   OUT held_nanos bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
DECLARE
  _more text := 'hold:' || CAST(_job AS text) || ':' || _key;
  _hold ledger.accounts;
BEGIN
  IF _user IS NULL OR _job IS NULL OR _key IS NULL OR coalesce(_amount, 0) <= 0 THEN
    RAISE EXCEPTION 'more for a hold needs a user, a job, a key and an amount above zero' USING ERRCODE = 'check_violation';
  END IF;
  PERFORM 1 FROM ledger.accounts AS a
   WHERE a.name IN (ledger.account_name('job:*:hold', _job), ledger.account_name('requestor:*:available', _user))
   ORDER BY a.name FOR NO KEY UPDATE;
  SELECT * INTO _hold FROM ledger.accounts AS a WHERE a.name = ledger.account_name('job:*:hold', _job);
  IF _hold.holder_id IS DISTINCT FROM _user THEN
    RAISE EXCEPTION 'user % has no hold for job %', _user, _job USING ERRCODE = 'restrict_violation';
  END IF;
  available_nanos := ledger.balance_of('requestor:*:available', _user);
  IF ledger.transaction_of(_more) IS NULL THEN
    IF available_nanos < _amount THEN
      RETURN;
    END IF;
    available_nanos := available_nanos - _amount;
  END IF;
  transaction_id := (SELECT p.transaction_id FROM ledger.post('hold_more', _more, ledger.moving(
    ledger.debit('requestor:*:available', _user, _amount), ledger.credit('job:*:hold', _job, _amount)), _job => _job) AS p);
  held_nanos := (SELECT a.credits FROM ledger.accounts AS a WHERE a.id = _hold.id);
END $$;

-- A job is over: D job:hold / C requestor:available of what is left, and the hold is closed. Promotional credit that was not used goes
-- back to where it came from. Answers with what went back, then and later.
CREATE OR REPLACE FUNCTION ledger.release_hold(_user uuid, _job uuid) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
DECLARE
  _hold ledger.accounts;
  _rest bigint;
  _own bigint;
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
  _own := least(_rest, _hold.credits - ledger.promotional_part(_job));
  IF _rest > 0 THEN
    PERFORM 1 FROM ledger.post('release', 'release:' || CAST(_job AS text), ledger.moving(
      ledger.debit('job:*:hold', _job, _rest),
      ledger.credit('requestor:*:available', _user, _own),
      ledger.credit('requestor:*:promotional', _user, _rest - _own)), _job => _job);
  END IF;
  UPDATE ledger.accounts SET closed_at = now() WHERE id = _hold.id;
  RETURN _rest;
END $$;

-- ── money in, and what it costs ──────────────────────────────────────────────────────────────────────────────────────────

-- What the payment service keeps: D platform:stripe_fees / C platform:stripe.
CREATE FUNCTION ledger.stripe_fee(_balance_transaction text, _amount bigint) RETURNS uuid
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF _balance_transaction IS NULL OR coalesce(_amount, 0) <= 0 THEN
    RAISE EXCEPTION 'a fee needs its balance transaction and an amount above zero' USING ERRCODE = 'check_violation';
  END IF;
  RETURN (SELECT p.transaction_id FROM ledger.post('stripe_fee', 'fee:' || _balance_transaction, ledger.moving(
    ledger.debit('platform:stripe_fees', NULL, _amount), ledger.credit('platform:stripe', NULL, _amount))) AS p);
END $$;

-- Credit is given: D platform:promotions / C requestor:promotional.
CREATE FUNCTION ledger.give_promotion(_user uuid, _amount bigint, _key text, _metadata jsonb DEFAULT '{}') RETURNS uuid
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF _user IS NULL OR _key IS NULL OR coalesce(_amount, 0) <= 0 THEN
    RAISE EXCEPTION 'a promotion needs a user, a key and an amount above zero' USING ERRCODE = 'check_violation';
  END IF;
  RETURN (SELECT p.transaction_id FROM ledger.post('promotion', 'promotion:' || _key, ledger.moving(
    ledger.debit('platform:promotions', NULL, _amount), ledger.credit('requestor:*:promotional', _user, _amount)),
    _metadata => coalesce(_metadata, '{}')) AS p);
END $$;

-- A check of a result that the platform pays: D platform:verification / C provider:pending.
CREATE FUNCTION ledger.pay_check(_attempt uuid, _provider uuid, _amount bigint) RETURNS uuid
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF _attempt IS NULL OR _provider IS NULL OR coalesce(_amount, 0) <= 0 THEN
    RAISE EXCEPTION 'a paid check needs an attempt, a provider and an amount above zero' USING ERRCODE = 'check_violation';
  END IF;
  RETURN (SELECT p.transaction_id FROM ledger.post('verification', 'verification:' || CAST(_attempt AS text), ledger.moving(
    ledger.debit('platform:verification', NULL, _amount), ledger.credit('provider:*:pending', _provider, _amount)),
    _attempt => _attempt) AS p);
END $$;

-- ── maturation, debts, clawbacks ─────────────────────────────────────────────────────────────────────────────────────────

-- What a machine earned before a moment becomes its owner's to be paid out: D provider:pending / C provider:available, less what the
-- owner owes (C provider:debt). A prefix of the account's history matures, so a later call goes on where this one ended.
CREATE FUNCTION ledger.mature(_provider uuid, _owner uuid, _before timestamptz, OUT transaction_id uuid, OUT matured_nanos bigint,
                              OUT collected_nanos bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
DECLARE
  _from bigint;
  _through bigint;
  _entry record;
BEGIN
  IF _provider IS NULL OR _owner IS NULL OR _before IS NULL OR _before > now() THEN
    RAISE EXCEPTION 'earnings of a provider mature for its owner, up to a moment that has passed' USING ERRCODE = 'check_violation';
  END IF;
  PERFORM ledger.take_accounts(ARRAY['provider:*:pending', 'provider:*:available', 'provider:*:debt'], ARRAY[_provider, _owner, _owner]);
  _from := coalesce((SELECT m.through_seq FROM ledger.maturities AS m WHERE m.provider_id = _provider), 0);
  _through := _from;
  matured_nanos := 0;
  FOR _entry IN SELECT e.seq, e.side, e.amount, t.created_at, t.subtask_id
                  FROM ledger.accounts AS a JOIN ledger.entries AS e ON e.account_id = a.id AND e.seq > _from
                  JOIN ledger.transactions AS t ON t.id = e.transaction_id
                 WHERE a.name = ledger.account_name('provider:*:pending', _provider)
                 ORDER BY e.seq LOOP
    EXIT WHEN _entry.created_at >= _before;
    _through := _entry.seq;
    IF _entry.side = 'C' AND NOT EXISTS (SELECT 1 FROM ledger.transactions AS c
                                          WHERE c.subtask_id = _entry.subtask_id AND c.kind = 'clawback') THEN
      matured_nanos := matured_nanos + _entry.amount;
    END IF;
  END LOOP;
  collected_nanos := least(matured_nanos, ledger.balance_of('provider:*:debt', _owner));
  IF _through > _from THEN
    INSERT INTO ledger.maturities (provider_id, through_seq) VALUES (_provider, _through)
    ON CONFLICT (provider_id) DO UPDATE SET through_seq = excluded.through_seq;
  END IF;
  IF matured_nanos > 0 THEN
    transaction_id := (SELECT p.transaction_id
      FROM ledger.post('mature', 'mature:' || CAST(_provider AS text) || ':' || CAST(_through AS text), ledger.moving(
        ledger.debit('provider:*:pending', _provider, matured_nanos),
        ledger.credit('provider:*:available', _owner, matured_nanos - collected_nanos),
        ledger.credit('provider:*:debt', _owner, collected_nanos)),
        _metadata => jsonb_build_object('before', _before)) AS p);
  END IF;
END $$;

-- An owner's debt is taken from what may be paid out: D provider:available / C provider:debt. The accounts are locked.
CREATE FUNCTION ledger.collect_debt(_owner uuid, _key text) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  _amount bigint := least(ledger.balance_of('provider:*:debt', _owner), ledger.balance_of('provider:*:available', _owner));
BEGIN
  IF _amount > 0 THEN
    PERFORM 1 FROM ledger.post('debt_collected', 'debt:' || _key, ledger.moving(
      ledger.debit('provider:*:available', _owner, _amount), ledger.credit('provider:*:debt', _owner, _amount)));
  END IF;
  RETURN greatest(_amount, 0);
END $$;

-- A captured result was bad: the requestor gets the gross back, the platform gives up its commission, the machine's pending earnings
-- lose the rest; when those have matured, their owner owes it. Captures are paid with promotional credit
-- first, so what goes back is promotional first, up to what was in the hold.
CREATE FUNCTION ledger.claw_back(_subtask uuid, _owner uuid, _reason text, OUT transaction_id uuid, OUT returned_nanos bigint,
                                 OUT owed_nanos bigint, OUT requestor_id uuid, OUT provider_id uuid)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
DECLARE
  _key text := 'clawback:' || CAST(_subtask AS text);
  _capture uuid := ledger.transaction_of('capture:' || CAST(_subtask AS text));
  _hold ledger.accounts;
  _earned record;
  _commission bigint;
  _gift bigint := 0;
BEGIN
  IF _capture IS NULL THEN
    PERFORM ledger.refuse_unknown('capture of subtask ' || coalesce(CAST(_subtask AS text), '-'));
  END IF;
  IF _owner IS NULL THEN
    RAISE EXCEPTION 'a clawback needs the owner of the machine' USING ERRCODE = 'check_violation';
  END IF;
  SELECT a.* INTO _hold FROM ledger.accounts AS a
   WHERE a.name = ledger.account_name('job:*:hold', (SELECT l.owner_id FROM ledger.line_of(_capture, 'job:*:hold') AS l));
  SELECT * INTO _earned FROM ledger.line_of(_capture, 'provider:*:pending');
  returned_nanos := (SELECT l.amount FROM ledger.line_of(_capture, 'job:*:hold') AS l);
  _commission := returned_nanos - _earned.amount;
  requestor_id := _hold.holder_id;
  provider_id := _earned.owner_id;
  PERFORM ledger.take_accounts(
    ARRAY['provider:*:pending', 'provider:*:debt', 'requestor:*:available', 'requestor:*:promotional'],
    ARRAY[provider_id, _owner, requestor_id, requestor_id]);
  transaction_id := ledger.transaction_of(_key);
  IF transaction_id IS NOT NULL THEN
    owed_nanos := (SELECT l.amount FROM ledger.line_of(transaction_id, 'provider:*:debt') AS l);
    RETURN;
  END IF;
  owed_nanos := CASE WHEN _earned.seq <= (SELECT m.through_seq FROM ledger.maturities AS m WHERE m.provider_id = _earned.owner_id)
                     THEN _earned.amount ELSE 0 END;
  IF ledger.promotional_part(_hold.owner_id) > 0 THEN
    _gift := ledger.promotional_part(_hold.owner_id) - coalesce((
      SELECT sum(l.amount) FROM ledger.transactions AS t CROSS JOIN LATERAL ledger.line_of(t.id, 'requestor:*:promotional') AS l
       WHERE t.job_id = _hold.owner_id AND t.kind = 'clawback'), 0);
    _gift := greatest(0, least(_gift, returned_nanos));
  END IF;
  transaction_id := (SELECT p.transaction_id FROM ledger.post('clawback', _key, ledger.moving(
    ledger.debit('provider:*:pending', provider_id, _earned.amount - owed_nanos),
    ledger.debit('provider:*:debt', _owner, owed_nanos),
    ledger.debit('platform:commission', NULL, _commission),
    ledger.credit('requestor:*:available', requestor_id, returned_nanos - _gift),
    ledger.credit('requestor:*:promotional', requestor_id, _gift)),
    _job => _hold.owner_id, _subtask => _subtask, _metadata => jsonb_build_object('reason', _reason)) AS p);
  INSERT INTO ledger.maturities AS m (provider_id, clawbacks, last_clawback_at) VALUES (_earned.owner_id, 1, now())
  ON CONFLICT ON CONSTRAINT maturities_pkey DO UPDATE SET clawbacks = m.clawbacks + 1, last_clawback_at = now();
END $$;

-- ── payouts ──────────────────────────────────────────────────────────────────────────────────────────────────────────────

-- A payout is asked for: D provider:available / C provider:in_transit, after debts. Too little writes nothing and answers with no
-- transaction.
CREATE FUNCTION ledger.payout_reserve(_owner uuid, _payout uuid, _amount bigint, OUT transaction_id uuid, OUT available_nanos bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  _key text := 'payout:' || CAST(_payout AS text) || ':reserve';
BEGIN
  IF _owner IS NULL OR _payout IS NULL THEN
    RAISE EXCEPTION 'a payout needs an owner and an id' USING ERRCODE = 'check_violation';
  END IF;
  PERFORM ledger.check_cents(_amount);
  PERFORM ledger.take_accounts(ARRAY['provider:*:available', 'provider:*:debt', 'provider:*:in_transit'], ARRAY[_owner, _owner, _owner]);
  available_nanos := ledger.balance_of('provider:*:available', _owner);
  IF ledger.transaction_of(_key) IS NULL THEN
    available_nanos := greatest(0, available_nanos - ledger.balance_of('provider:*:debt', _owner));
    IF available_nanos < _amount THEN
      RETURN;
    END IF;
    PERFORM ledger.collect_debt(_owner, 'payout:' || CAST(_payout AS text));
    available_nanos := available_nanos - _amount;
  END IF;
  transaction_id := (SELECT p.transaction_id FROM ledger.post('payout_reserve', _key, ledger.moving(
    ledger.debit('provider:*:available', _owner, _amount), ledger.credit('provider:*:in_transit', _owner, _amount))) AS p);
END $$;

-- Whose payout this is and how much; its accounts are locked.
CREATE FUNCTION ledger.take_payout(_payout uuid, OUT owner_id uuid, OUT amount bigint)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  _reserve uuid := ledger.transaction_of('payout:' || CAST(_payout AS text) || ':reserve');
BEGIN
  IF _reserve IS NULL THEN
    PERFORM ledger.refuse_unknown('payout ' || coalesce(CAST(_payout AS text), '-'));
  END IF;
  SELECT l.owner_id, l.amount INTO owner_id, amount FROM ledger.line_of(_reserve, 'provider:*:in_transit') AS l;
  PERFORM ledger.take_accounts(
    ARRAY['platform:stripe', 'provider:*:available', 'provider:*:debt', 'provider:*:in_stripe', 'provider:*:in_transit',
          'stripe_connected:*'], ARRAY[NULL, owner_id, owner_id, owner_id, owner_id, owner_id]);
END $$;

-- How many transactions of a kind a payout has.
CREATE FUNCTION ledger.count_of_payout(_payout uuid, _kind text) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
BEGIN
  RETURN (SELECT count(*) FROM ledger.transactions AS t
           WHERE t.metadata ->> 'payout' = CAST(_payout AS text) AND t.kind = _kind
             AND t.kind IN ('transfer', 'payout_paid', 'payout_returned', 'transfer_reversal'));
END $$;

CREATE FUNCTION ledger.refuse_state(_what text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION '%', _what USING ERRCODE = 'object_not_in_prerequisite_state';
END $$;

-- The transfer was made: D provider:in_transit / C provider:in_stripe, and D stripe_connected / C platform:stripe.
CREATE FUNCTION ledger.transfer_made(_payout uuid, _transfer text) RETURNS uuid
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  _p record;
BEGIN
  SELECT * INTO _p FROM ledger.take_payout(_payout);
  IF ledger.transaction_of('payout:' || CAST(_payout AS text) || ':unreserve') IS NOT NULL THEN
    PERFORM ledger.refuse_state('the reserve of this payout was undone');
  END IF;
  RETURN (SELECT p.transaction_id FROM ledger.post('transfer', 'transfer:' || _transfer, ledger.moving(
    ledger.debit('provider:*:in_transit', _p.owner_id, _p.amount), ledger.credit('provider:*:in_stripe', _p.owner_id, _p.amount),
    ledger.debit('stripe_connected:*', _p.owner_id, _p.amount), ledger.credit('platform:stripe', NULL, _p.amount)),
    _metadata => jsonb_build_object('payout', _payout)) AS p);
END $$;

-- The transfer was refused for certain: D provider:in_transit / C provider:available, the reverse of the reserve.
CREATE FUNCTION ledger.payout_unreserve(_payout uuid) RETURNS uuid
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  _p record;
BEGIN
  SELECT * INTO _p FROM ledger.take_payout(_payout);
  IF ledger.count_of_payout(_payout, 'transfer') > 0 THEN
    PERFORM ledger.refuse_state('this payout was transferred');
  END IF;
  RETURN (SELECT p.transaction_id FROM ledger.post('payout_unreserve', 'payout:' || CAST(_payout AS text) || ':unreserve', ledger.moving(
    ledger.debit('provider:*:in_transit', _p.owner_id, _p.amount), ledger.credit('provider:*:available', _p.owner_id, _p.amount)),
    _reverses => ledger.transaction_of('payout:' || CAST(_payout AS text) || ':reserve')) AS p);
END $$;

-- The bank has it: D provider:in_stripe / C stripe_connected.
CREATE FUNCTION ledger.payout_paid(_payout uuid, _po text) RETURNS uuid
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  _p record;
BEGIN
  SELECT * INTO _p FROM ledger.take_payout(_payout);
  IF ledger.transaction_of('po_paid:' || _po) IS NULL
     AND ledger.count_of_payout(_payout, 'transfer') - ledger.count_of_payout(_payout, 'transfer_reversal')
       - ledger.count_of_payout(_payout, 'payout_paid') + ledger.count_of_payout(_payout, 'payout_returned') <> 1 THEN
    PERFORM ledger.refuse_state('the money of this payout is not with the payment service');
  END IF;
  RETURN (SELECT p.transaction_id FROM ledger.post('payout_paid', 'po_paid:' || _po, ledger.moving(
    ledger.debit('provider:*:in_stripe', _p.owner_id, _p.amount), ledger.credit('stripe_connected:*', _p.owner_id, _p.amount)),
    _metadata => jsonb_build_object('payout', _payout)) AS p);
END $$;

-- Paid, then sent back by the bank: the exact reverse of payout_paid.
CREATE FUNCTION ledger.payout_returned(_payout uuid, _po text) RETURNS uuid
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  _p record;
  _paid uuid;
BEGIN
  SELECT * INTO _p FROM ledger.take_payout(_payout);
  _paid := ledger.transaction_of('po_paid:' || _po);
  IF _paid IS NULL THEN
    PERFORM ledger.refuse_unknown('paid payout ' || coalesce(_po, '-'));
  END IF;
  RETURN (SELECT p.transaction_id FROM ledger.post('payout_returned', 'po_returned:' || _po, ledger.moving(
    ledger.debit('stripe_connected:*', _p.owner_id, _p.amount), ledger.credit('provider:*:in_stripe', _p.owner_id, _p.amount)),
    _reverses => _paid, _metadata => jsonb_build_object('payout', _payout)) AS p);
END $$;

-- The transfer was taken back: D provider:in_stripe / C provider:available, and D platform:stripe / C stripe_connected; then debts.
CREATE FUNCTION ledger.transfer_reversed(_payout uuid, _reversal text) RETURNS uuid
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  _p record;
  _written record;
BEGIN
  SELECT * INTO _p FROM ledger.take_payout(_payout);
  IF ledger.count_of_payout(_payout, 'transfer') = 0
     OR ledger.count_of_payout(_payout, 'payout_paid') > ledger.count_of_payout(_payout, 'payout_returned') THEN
    PERFORM ledger.refuse_state('the money of this payout is not with the payment service');
  END IF;
  SELECT * INTO _written FROM ledger.post('transfer_reversal', 'reversal:' || _reversal, ledger.moving(
    ledger.debit('provider:*:in_stripe', _p.owner_id, _p.amount), ledger.credit('provider:*:available', _p.owner_id, _p.amount),
    ledger.debit('platform:stripe', NULL, _p.amount), ledger.credit('stripe_connected:*', _p.owner_id, _p.amount)),
    _reverses => (SELECT t.id FROM ledger.transactions AS t
                   WHERE t.kind = 'transfer' AND t.metadata ->> 'payout' = CAST(_payout AS text)),
    _metadata => jsonb_build_object('payout', _payout));
  IF _written.created THEN
    PERFORM ledger.collect_debt(_p.owner_id, 'reversal:' || _reversal);
  END IF;
  RETURN _written.transaction_id;
END $$;

-- ── refunds ──────────────────────────────────────────────────────────────────────────────────────────────────────────────

-- Unspent credit shall go back: D requestor:available / C requestor:refund_in_transit. Too little writes nothing.
CREATE FUNCTION ledger.refund_begin(_user uuid, _refund uuid, _amount bigint, OUT transaction_id uuid, OUT available_nanos bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  _key text := 'refund:' || CAST(_refund AS text) || ':begin';
BEGIN
  IF _user IS NULL OR _refund IS NULL THEN
    RAISE EXCEPTION 'a refund needs a user and an id' USING ERRCODE = 'check_violation';
  END IF;
  PERFORM ledger.check_cents(_amount);
  PERFORM ledger.take_accounts(ARRAY['requestor:*:available', 'requestor:*:refund_in_transit'], ARRAY[_user, _user]);
  available_nanos := ledger.balance_of('requestor:*:available', _user);
  IF ledger.transaction_of(_key) IS NULL THEN
    IF available_nanos < _amount THEN
      RETURN;
    END IF;
    available_nanos := available_nanos - _amount;
  END IF;
  transaction_id := (SELECT p.transaction_id FROM ledger.post('refund_reserve', _key, ledger.moving(
    ledger.debit('requestor:*:available', _user, _amount), ledger.credit('requestor:*:refund_in_transit', _user, _amount))) AS p);
END $$;

-- Whose refund this is and how much; its accounts are locked.
CREATE FUNCTION ledger.take_refund(_refund uuid, OUT owner_id uuid, OUT amount bigint)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  _begin uuid := ledger.transaction_of('refund:' || CAST(_refund AS text) || ':begin');
BEGIN
  IF _begin IS NULL THEN
    PERFORM ledger.refuse_unknown('refund ' || coalesce(CAST(_refund AS text), '-'));
  END IF;
  SELECT l.owner_id, l.amount INTO owner_id, amount FROM ledger.line_of(_begin, 'requestor:*:refund_in_transit') AS l;
  PERFORM ledger.take_accounts(
    ARRAY['platform:stripe', 'requestor:*:available', 'requestor:*:refund_in_transit'], ARRAY[NULL, owner_id, owner_id]);
END $$;

-- The payment service has sent it: D requestor:refund_in_transit / C platform:stripe.
CREATE FUNCTION ledger.refund_done(_refund uuid, _re text) RETURNS uuid
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  _r record;
  _key text := 'refund:' || _re;
BEGIN
  SELECT * INTO _r FROM ledger.take_refund(_refund);
  IF ledger.transaction_of(_key) IS NULL AND EXISTS (
       SELECT 1 FROM ledger.transactions AS t
        WHERE t.reverses = ledger.transaction_of('refund:' || CAST(_refund AS text) || ':begin')
           OR t.idem_key = 'refund:' || CAST(_refund AS text) || ':failed') THEN
    PERFORM ledger.refuse_state('this refund has ended');
  END IF;
  RETURN (SELECT p.transaction_id FROM ledger.post('refund_paid', _key, ledger.moving(
    ledger.debit('requestor:*:refund_in_transit', _r.owner_id, _r.amount), ledger.credit('platform:stripe', NULL, _r.amount)),
    _metadata => jsonb_build_object('refund', _refund)) AS p);
END $$;
CREATE UNIQUE INDEX one_payment_per_refund ON ledger.transactions ((metadata ->> 'refund')) WHERE kind = 'refund_paid';

-- It could not be sent, or came back: the credit is the requestor's again. D requestor:refund_in_transit, or D platform:stripe when it
-- had been sent / C requestor:available.
CREATE FUNCTION ledger.refund_failed(_refund uuid) RETURNS uuid
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
DECLARE
  _r record;
  _key text := 'refund:' || CAST(_refund AS text) || ':failed';
  _done uuid;
  _id uuid;
BEGIN
  SELECT * INTO _r FROM ledger.take_refund(_refund);
  _id := ledger.transaction_of(_key);
  IF _id IS NOT NULL THEN
    RETURN _id;
  END IF;
  _done := (SELECT t.id FROM ledger.transactions AS t WHERE t.metadata ->> 'refund' = CAST(_refund AS text) AND t.kind = 'refund_paid');
  RETURN (SELECT p.transaction_id FROM ledger.post('refund_failed', _key, ledger.moving(
    CASE WHEN _done IS NULL THEN ledger.debit('requestor:*:refund_in_transit', _r.owner_id, _r.amount)
         ELSE ledger.debit('platform:stripe', NULL, _r.amount) END,
    ledger.credit('requestor:*:available', _r.owner_id, _r.amount)),
    _reverses => coalesce(_done, ledger.transaction_of('refund:' || CAST(_refund AS text) || ':begin'))) AS p);
END $$;

-- ── chargebacks ──────────────────────────────────────────────────────────────────────────────────────────────────────────

-- A bank takes a payment back: D requestor:available what is there, D receivable the rest, D platform:dispute_fees / C platform:stripe.
CREATE FUNCTION ledger.chargeback(_user uuid, _dispute text, _amount bigint, _fee bigint, OUT transaction_id uuid, OUT owed_nanos bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  _key text := 'dispute:' || _dispute;
  _taken bigint;
BEGIN
  IF _user IS NULL OR _dispute IS NULL OR coalesce(_amount, 0) <= 0 OR coalesce(_fee, -1) < 0 THEN
    RAISE EXCEPTION 'a chargeback needs a user, a dispute, an amount above zero and a fee' USING ERRCODE = 'check_violation';
  END IF;
  PERFORM ledger.take_accounts(ARRAY['platform:stripe', 'receivable:*', 'requestor:*:available'], ARRAY[NULL, _user, _user]);
  transaction_id := ledger.transaction_of(_key);
  IF transaction_id IS NOT NULL THEN
    IF (SELECT t.metadata FROM ledger.transactions AS t WHERE t.id = transaction_id)
       <> jsonb_build_object('user', _user, 'amount', _amount, 'fee', _fee) THEN
      PERFORM ledger.refuse_reuse(_key);
    END IF;
    owed_nanos := (SELECT l.amount FROM ledger.line_of(transaction_id, 'receivable:*') AS l);
    RETURN;
  END IF;
  _taken := least(_amount, ledger.balance_of('requestor:*:available', _user));
  owed_nanos := _amount - _taken;
  transaction_id := (SELECT p.transaction_id FROM ledger.post('chargeback', _key, ledger.moving(
    ledger.debit('requestor:*:available', _user, _taken), ledger.debit('receivable:*', _user, owed_nanos),
    ledger.debit('platform:dispute_fees', NULL, _fee), ledger.credit('platform:stripe', NULL, _amount + _fee)),
    _metadata => jsonb_build_object('user', _user, 'amount', _amount, 'fee', _fee)) AS p);
END $$;

-- Whose dispute this is and what it took; its accounts are locked.
CREATE FUNCTION ledger.take_dispute(_dispute text, OUT opened uuid, OUT user_id uuid, OUT amount bigint, OUT fee bigint, OUT owed bigint)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  opened := ledger.transaction_of('dispute:' || _dispute);
  IF opened IS NULL THEN
    PERFORM ledger.refuse_unknown('dispute ' || coalesce(_dispute, '-'));
  END IF;
  SELECT CAST(t.metadata ->> 'user' AS uuid), CAST(t.metadata ->> 'amount' AS bigint), CAST(t.metadata ->> 'fee' AS bigint)
    INTO user_id, amount, fee FROM ledger.transactions AS t WHERE t.id = opened;
  owed := (SELECT l.amount FROM ledger.line_of(opened, 'receivable:*') AS l);
  PERFORM ledger.take_accounts(ARRAY['platform:stripe', 'receivable:*', 'requestor:*:available'], ARRAY[NULL, user_id, user_id]);
END $$;

-- Won: the reverse of the chargeback; of the fee as much as the payment service gives back.
CREATE FUNCTION ledger.chargeback_won(_dispute text, _fee_back bigint) RETURNS uuid
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  _d record;
BEGIN
  SELECT * INTO _d FROM ledger.take_dispute(_dispute);
  IF coalesce(_fee_back, -1) NOT BETWEEN 0 AND _d.fee THEN
    RAISE EXCEPTION 'no more of a fee comes back than was paid' USING ERRCODE = 'check_violation';
  END IF;
  IF ledger.transaction_of('dispute:' || _dispute || ':lost') IS NOT NULL THEN
    PERFORM ledger.refuse_state('this dispute was lost');
  END IF;
  RETURN (SELECT p.transaction_id FROM ledger.post('chargeback_won', 'dispute:' || _dispute || ':won', ledger.moving(
    ledger.debit('platform:stripe', NULL, _d.amount + _fee_back), ledger.credit('platform:dispute_fees', NULL, _fee_back),
    ledger.credit('receivable:*', _d.user_id, _d.owed),
    ledger.credit('requestor:*:available', _d.user_id, _d.amount - _d.owed)), _reverses => _d.opened) AS p);
END $$;

-- Lost: what the user still owes is taken from credit that came meanwhile, the rest is our loss. D requestor:available what is there,
-- D platform:chargeback_loss the rest / C receivable. Nothing when nothing is owed.
CREATE FUNCTION ledger.chargeback_lost(_dispute text, OUT transaction_id uuid, OUT lost_nanos bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  _d record;
  _key text := 'dispute:' || _dispute || ':lost';
  _taken bigint;
BEGIN
  SELECT * INTO _d FROM ledger.take_dispute(_dispute);
  IF ledger.transaction_of('dispute:' || _dispute || ':won') IS NOT NULL THEN
    PERFORM ledger.refuse_state('this dispute was won');
  END IF;
  transaction_id := ledger.transaction_of(_key);
  IF transaction_id IS NOT NULL THEN
    lost_nanos := (SELECT l.amount FROM ledger.line_of(transaction_id, 'platform:chargeback_loss') AS l);
    RETURN;
  END IF;
  _taken := least(_d.owed, ledger.balance_of('requestor:*:available', _d.user_id));
  lost_nanos := _d.owed - _taken;
  IF _d.owed > 0 THEN
    transaction_id := (SELECT p.transaction_id FROM ledger.post('chargeback_lost', _key, ledger.moving(
      ledger.debit('requestor:*:available', _d.user_id, _taken), ledger.debit('platform:chargeback_loss', NULL, lost_nanos),
      ledger.credit('receivable:*', _d.user_id, _d.owed))) AS p);
  END IF;
END $$;

-- ── corrections: the one generic post, for the owner's role alone ────────────────────────────────────────────────────────

-- An operator puts something right, with a reason. Holds and pending earnings are out of reach: their histories are checked line by line.
CREATE FUNCTION ledger.correct(_key text, _kinds text[], _owners uuid[], _sides text[], _amounts bigint[], _operator text, _reason text)
RETURNS uuid LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF coalesce(trim(_operator), '') = '' OR coalesce(trim(_reason), '') = '' OR coalesce(_key, '') = '' THEN
    RAISE EXCEPTION 'a correction has a key, an operator''s name and a reason' USING ERRCODE = 'check_violation';
  END IF;
  IF 'job:*:hold' = ANY (_kinds) OR 'provider:*:pending' = ANY (_kinds) THEN
    RAISE EXCEPTION 'holds and pending earnings are not corrected by hand' USING ERRCODE = 'check_violation';
  END IF;
  RETURN (SELECT p.transaction_id FROM ledger.post('correction', 'correction:' || _key, (
    SELECT array_agg(CAST(ROW(g.kind, g.owner_id, CAST(g.side AS ledger.side), g.amount) AS ledger.leg) ORDER BY g.n)
      FROM unnest(_kinds, _owners, _sides, _amounts) WITH ORDINALITY AS g(kind, owner_id, side, amount, n)),
    _metadata => jsonb_build_object('operator', _operator, 'reason', _reason)) AS p);
END $$;

-- ── audits: each must be empty ───────────────────────────────────────────────────────────────────────────────────────────

-- I4: holds that were not filled by exactly one hold of their holder (and by more of the same), or were emptied by more than one release.
CREATE OR REPLACE VIEW ledger.audit_holds AS
SELECT a.name, count(*) FILTER (WHERE t.kind = 'hold') AS holds, count(*) FILTER (WHERE t.kind = 'release') AS releases
  FROM ledger.accounts AS a
  LEFT JOIN ledger.entries AS e ON e.account_id = a.id
  LEFT JOIN ledger.transactions AS t ON t.id = e.transaction_id
  LEFT JOIN LATERAL (SELECT sum(o.amount) AS amount FROM ledger.entries AS o JOIN ledger.accounts AS r ON r.id = o.account_id
                      WHERE t.kind IN ('hold', 'hold_more', 'release') AND o.transaction_id = t.id AND o.side <> e.side
                        AND r.owner_id = a.holder_id AND r.kind IN ('requestor:*:available', 'requestor:*:promotional')) AS other ON true
 WHERE a.kind = 'job:*:hold'
 GROUP BY a.name, a.owner_id, a.closed_at
HAVING count(*) FILTER (WHERE t.kind = 'hold' AND e.side = 'C') <> 1
    OR count(*) FILTER (WHERE t.kind = 'release' AND e.side = 'D') > CASE WHEN a.closed_at IS NULL THEN 0 ELSE 1 END
    OR count(*) FILTER (WHERE t.kind IN ('hold', 'hold_more', 'release')
                          AND (other.amount IS DISTINCT FROM e.amount OR t.job_id IS DISTINCT FROM a.owner_id)) > 0
    OR count(*) FILTER (WHERE t.kind NOT IN ('hold', 'hold_more', 'release', 'capture')) > 0;

-- Pending earnings that are not the sum of what has not matured and was not clawed back.
CREATE VIEW ledger.audit_maturity AS
SELECT q.name, q.balance, q.expected
  FROM (SELECT a.name, a.credits - a.debits AS balance,
               coalesce(sum(e.amount) FILTER (WHERE e.side = 'C' AND e.seq > coalesce(m.through_seq, 0) AND c.id IS NULL), 0) AS expected
          FROM ledger.accounts AS a
          LEFT JOIN ledger.maturities AS m ON m.provider_id = a.owner_id
          LEFT JOIN ledger.entries AS e ON e.account_id = a.id
          LEFT JOIN ledger.transactions AS t ON t.id = e.transaction_id
          LEFT JOIN ledger.transactions AS c ON c.subtask_id = t.subtask_id AND c.kind = 'clawback' AND e.side = 'C'
         WHERE a.kind = 'provider:*:pending'
         GROUP BY a.name, a.credits, a.debits) AS q
 WHERE q.balance <> q.expected;

-- Clawbacks that do not take back exactly what their capture gave.
CREATE VIEW ledger.audit_clawbacks AS
SELECT q.id, q.returned, q.gross, q.given_up, q.taken
  FROM (SELECT t.id, max(gave.gross) AS gross, max(gave.earned) AS earned,
               coalesce(sum(e.amount) FILTER (WHERE e.side = 'C' AND a.kind LIKE 'requestor:%'), 0) AS returned,
               coalesce(sum(e.amount) FILTER (WHERE e.side = 'D' AND a.kind = 'platform:commission'), 0) AS given_up,
               coalesce(sum(e.amount) FILTER (WHERE e.side = 'D' AND a.kind IN ('provider:*:pending', 'provider:*:debt')), 0) AS taken
          FROM ledger.transactions AS t
          JOIN ledger.entries AS e ON e.transaction_id = t.id
          JOIN ledger.accounts AS a ON a.id = e.account_id
          LEFT JOIN ledger.transactions AS was ON was.subtask_id = t.subtask_id AND was.kind = 'capture'
          LEFT JOIN LATERAL (SELECT coalesce(sum(x.amount) FILTER (WHERE b.kind = 'job:*:hold'), 0) AS gross,
                                    coalesce(sum(x.amount) FILTER (WHERE b.kind = 'provider:*:pending'), 0) AS earned
                               FROM ledger.entries AS x JOIN ledger.accounts AS b ON b.id = x.account_id
                              WHERE x.transaction_id = was.id) AS gave ON true
         WHERE t.kind = 'clawback'
         GROUP BY t.id) AS q
 WHERE q.gross = 0 OR q.returned IS DISTINCT FROM q.gross OR q.taken IS DISTINCT FROM q.earned OR q.given_up IS DISTINCT FROM q.gross - q.earned;

-- I12: payouts and refunds that have been on their way for more than 5 days: less came in since than is still there.
CREATE VIEW ledger.audit_in_transit AS
SELECT q.name, q.balance, q.lately
  FROM (SELECT a.name, a.credits - a.debits AS balance,
               coalesce(sum(e.amount) FILTER (WHERE e.side = 'C' AND t.created_at > now() - interval '5 days'), 0) AS lately
          FROM ledger.accounts AS a
          JOIN ledger.entries AS e ON e.account_id = a.id
          JOIN ledger.transactions AS t ON t.id = e.transaction_id
         WHERE a.kind IN ('provider:*:in_transit', 'requestor:*:refund_in_transit') AND a.credits > a.debits
         GROUP BY a.name, a.credits, a.debits) AS q
 WHERE q.balance > q.lately;

-- What an owner has at the payment service is what we owe them there.
CREATE VIEW ledger.audit_connected AS
SELECT coalesce(asset.owner_id, owed.owner_id) AS owner_id, asset.balance_nanos AS connected, owed.balance_nanos AS owed
  FROM (SELECT * FROM ledger.balances WHERE kind = 'stripe_connected:*') AS asset
  FULL JOIN (SELECT * FROM ledger.balances WHERE kind = 'provider:*:in_stripe') AS owed ON owed.owner_id = asset.owner_id
 WHERE coalesce(asset.balance_nanos, 0) <> coalesce(owed.balance_nanos, 0);

-- Debts below zero: more was collected than was owed.
CREATE VIEW ledger.audit_debts AS
SELECT a.name, a.debits - a.credits AS balance
  FROM ledger.accounts AS a WHERE a.kind IN ('provider:*:debt', 'receivable:*') AND a.credits > a.debits;

-- Promotional credit that went anywhere but into a hold and back.
CREATE VIEW ledger.audit_promotions AS
SELECT a.name, t.id, t.kind
  FROM ledger.accounts AS a
  JOIN ledger.entries AS e ON e.account_id = a.id
  JOIN ledger.transactions AS t ON t.id = e.transaction_id
 WHERE a.kind = 'requestor:*:promotional' AND t.kind NOT IN ('promotion', 'hold', 'release', 'clawback', 'correction');

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA ledger FROM PUBLIC;
