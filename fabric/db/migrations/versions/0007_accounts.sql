-- The tables of accounts as of 0006, frozen. Later changes are later migrations.
ALTER TABLE users
  ALTER COLUMN password_hash DROP NOT NULL,
  ADD COLUMN email_verified_at TIMESTAMP WITH TIME ZONE,
  ADD COLUMN totp_secret BYTEA,
  ADD COLUMN totp_confirmed_at TIMESTAMP WITH TIME ZONE,
  ADD COLUMN totp_last_step BIGINT DEFAULT 0 NOT NULL,
  ADD COLUMN deleted_at TIMESTAMP WITH TIME ZONE;
COMMENT ON COLUMN users.password_hash IS 'argon2id; NULL: logs in through an identity provider only';
COMMENT ON COLUMN users.totp_secret IS 'encrypted; counts once totp_confirmed_at is set';
COMMENT ON COLUMN users.totp_last_step IS 'of the last accepted code; that one and older ones are refused';
COMMENT ON COLUMN users.deleted_at IS 'personal data is erased; the row stays because the ledger names its id';

ALTER TABLE api_keys ADD COLUMN requests_per_minute INTEGER;
COMMENT ON COLUMN api_keys.requests_per_minute IS 'the owner''s own limit; NULL: the fabric''s';
ALTER TABLE api_keys ADD CONSTRAINT api_keys_requests_check CHECK (requests_per_minute > 0);

CREATE TABLE sessions (
  id UUID NOT NULL,
  user_id UUID NOT NULL,
  method TEXT NOT NULL,
  device TEXT,
  address TEXT,
  last_seen_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
  expires_at TIMESTAMP WITH TIME ZONE NOT NULL,
  ended_at TIMESTAMP WITH TIME ZONE,
  end_reason TEXT,
  created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
  CONSTRAINT sessions_pkey PRIMARY KEY (id),
  CONSTRAINT sessions_user_id_fkey FOREIGN KEY(user_id) REFERENCES users (id)
);
COMMENT ON COLUMN sessions.id IS 'of one log-in; its refresh tokens are the family of this id';
COMMENT ON COLUMN sessions.method IS 'password or the name of an identity provider';
COMMENT ON COLUMN sessions.device IS 'what the client called itself at log-in';
COMMENT ON COLUMN sessions.end_reason IS 'logged_out, ended, reused, password_changed, deleted';
CREATE INDEX sessions_user_id_idx ON sessions (user_id);
CREATE INDEX sessions_expires_at_idx ON sessions (expires_at);
INSERT INTO sessions (id, user_id, method, last_seen_at, expires_at, ended_at, created_at)
  SELECT family, (array_agg(user_id))[1], 'password', max(created_at), max(expires_at), min(revoked_at), min(created_at)
  FROM refresh_tokens GROUP BY family;
ALTER TABLE refresh_tokens ADD CONSTRAINT refresh_tokens_family_fkey FOREIGN KEY (family) REFERENCES sessions (id) ON DELETE CASCADE;

CREATE TABLE emailed_tokens (
  id UUID NOT NULL,
  user_id UUID NOT NULL,
  purpose TEXT NOT NULL,
  email TEXT NOT NULL,
  token_hash BYTEA NOT NULL,
  expires_at TIMESTAMP WITH TIME ZONE NOT NULL,
  created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
  CONSTRAINT emailed_tokens_pkey PRIMARY KEY (id),
  CONSTRAINT emailed_tokens_user_id_purpose_key UNIQUE (user_id, purpose),
  CONSTRAINT emailed_tokens_token_hash_key UNIQUE (token_hash),
  CONSTRAINT emailed_tokens_user_id_fkey FOREIGN KEY(user_id) REFERENCES users (id),
  CONSTRAINT emailed_tokens_purpose_check CHECK (purpose IN ('verify_email','change_email','reset_password'))
);
COMMENT ON TABLE emailed_tokens IS 'what a mail asked to be shown again; deleted when used, replaced by the next of its purpose';
COMMENT ON COLUMN emailed_tokens.email IS 'the address that it was sent to';

CREATE TABLE recovery_codes (
  user_id UUID NOT NULL,
  code_hash BYTEA NOT NULL,
  created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
  CONSTRAINT recovery_codes_pkey PRIMARY KEY (user_id, code_hash),
  CONSTRAINT recovery_codes_user_id_fkey FOREIGN KEY(user_id) REFERENCES users (id)
);
COMMENT ON TABLE recovery_codes IS 'each is deleted when it is used';

CREATE TABLE linked_identities (
  id UUID NOT NULL,
  user_id UUID NOT NULL,
  provider TEXT NOT NULL,
  issuer TEXT NOT NULL,
  subject TEXT NOT NULL,
  email TEXT,
  last_used_at TIMESTAMP WITH TIME ZONE,
  created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
  CONSTRAINT linked_identities_pkey PRIMARY KEY (id),
  CONSTRAINT linked_identities_issuer_subject_key UNIQUE (issuer, subject),
  CONSTRAINT linked_identities_user_id_fkey FOREIGN KEY(user_id) REFERENCES users (id)
);
CREATE INDEX linked_identities_user_id_idx ON linked_identities (user_id);
COMMENT ON COLUMN linked_identities.subject IS 'who this is for the issuer; addresses change, this does not';

CREATE TABLE social_log_ins (
  state_hash BYTEA NOT NULL,
  browser_hash BYTEA NOT NULL,
  provider TEXT NOT NULL,
  nonce TEXT,
  code_verifier TEXT,
  return_to TEXT,
  ticket_hash BYTEA,
  user_id UUID,
  expires_at TIMESTAMP WITH TIME ZONE NOT NULL,
  created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
  CONSTRAINT social_log_ins_pkey PRIMARY KEY (state_hash),
  CONSTRAINT social_log_ins_ticket_hash_key UNIQUE (ticket_hash),
  CONSTRAINT social_log_ins_user_id_fkey FOREIGN KEY(user_id) REFERENCES users (id)
);
CREATE INDEX social_log_ins_expires_at_idx ON social_log_ins (expires_at);
COMMENT ON TABLE social_log_ins IS 'log-ins through an identity provider that are under way';
COMMENT ON COLUMN social_log_ins.browser_hash IS 'of the cookie of the browser that began it';
COMMENT ON COLUMN social_log_ins.nonce IS 'NULL once the provider has answered, which it may do once';
COMMENT ON COLUMN social_log_ins.ticket_hash IS 'of what the browser exchanges for tokens';

CREATE TABLE throttles (
  key_hash BYTEA NOT NULL,
  count INTEGER NOT NULL,
  expires_at TIMESTAMP WITH TIME ZONE NOT NULL,
  CONSTRAINT throttles_pkey PRIMARY KEY (key_hash)
);
CREATE INDEX throttles_expires_at_idx ON throttles (expires_at);
COMMENT ON TABLE throttles IS 'attempts in a window of time, for all gateways together';

CREATE TABLE audit_log (
  id UUID NOT NULL,
  user_id UUID,
  act TEXT NOT NULL,
  actor_id UUID,
  api_key_id UUID,
  session_id UUID,
  address TEXT,
  request_id TEXT,
  details JSONB DEFAULT '{}' NOT NULL,
  created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
  CONSTRAINT audit_log_pkey PRIMARY KEY (id)
);
CREATE INDEX audit_log_user_id_id_idx ON audit_log (user_id, id);
CREATE INDEX audit_log_actor_id_id_idx ON audit_log (actor_id, id);
COMMENT ON TABLE audit_log IS 'security-relevant acts; the application may add and read, and nothing else';
COMMENT ON COLUMN audit_log.user_id IS 'whose account it is about';
COMMENT ON COLUMN audit_log.actor_id IS 'who did it; NULL: nobody who was logged in';

-- The one change that the application may bring about: a deleted account's addresses and words go, the acts stay.
CREATE FUNCTION forget_in_audit_log(forgotten uuid) RETURNS integer
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE rows integer;
BEGIN
  IF NOT EXISTS (SELECT 1 FROM users WHERE id = forgotten AND deleted_at IS NOT NULL) THEN
    RAISE EXCEPTION 'only the traces of a deleted account are erased';
  END IF;
  UPDATE audit_log SET address = NULL, details = '{}'
   WHERE user_id = forgotten OR (actor_id = forgotten AND user_id IS NULL);
  GET DIAGNOSTICS rows = ROW_COUNT;
  RETURN rows;
END $$;
REVOKE ALL ON FUNCTION forget_in_audit_log(uuid) FROM PUBLIC;

CREATE TABLE mails (
  id UUID NOT NULL,
  recipient TEXT NOT NULL,
  subject TEXT NOT NULL,
  body TEXT NOT NULL,
  attempts INTEGER DEFAULT 0 NOT NULL,
  next_try_at TIMESTAMP WITH TIME ZONE DEFAULT now(),
  sent_at TIMESTAMP WITH TIME ZONE,
  failure TEXT,
  created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
  CONSTRAINT mails_pkey PRIMARY KEY (id)
);
CREATE INDEX mails_due_idx ON mails (next_try_at) WHERE next_try_at IS NOT NULL;
CREATE INDEX mails_created_at_idx ON mails (created_at);
COMMENT ON COLUMN mails.body IS 'erased when the mail is sent or given up: it may hold a token';
COMMENT ON COLUMN mails.next_try_at IS 'NULL: sent, or given up';
