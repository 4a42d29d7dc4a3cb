-- What users' own addresses are told: the addresses, and each thing told.

CREATE TABLE webhooks (
  id UUID NOT NULL,
  user_id UUID NOT NULL,
  url TEXT NOT NULL,
  description TEXT DEFAULT '' NOT NULL,
  events TEXT[] NOT NULL,
  secret BYTEA NOT NULL,
  enabled BOOLEAN DEFAULT true NOT NULL,
  switched_off_because TEXT,
  failing_since TIMESTAMP WITH TIME ZONE,
  created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
  CONSTRAINT webhooks_pkey PRIMARY KEY (id),
  CONSTRAINT webhooks_user_id_fkey FOREIGN KEY(user_id) REFERENCES users (id)
);
CREATE INDEX webhooks_user_id_idx ON webhooks (user_id);
COMMENT ON COLUMN webhooks.events IS 'subset of webhooks.endpoints.EVENTS';
COMMENT ON COLUMN webhooks.secret IS 'encrypted; signs what is sent';
COMMENT ON COLUMN webhooks.switched_off_because IS 'by the fabric; NULL: by its owner, or not at all';
COMMENT ON COLUMN webhooks.failing_since IS 'when a delivery was given up and none has arrived since';

CREATE TABLE webhook_deliveries (
  id UUID NOT NULL,
  webhook_id UUID NOT NULL,
  event TEXT NOT NULL,
  job_id UUID,
  body TEXT NOT NULL,
  status TEXT DEFAULT 'pending' NOT NULL,
  attempts INTEGER DEFAULT 0 NOT NULL,
  next_try_at TIMESTAMP WITH TIME ZONE DEFAULT now(),
  give_up_at TIMESTAMP WITH TIME ZONE NOT NULL,
  response_status INTEGER,
  failure TEXT,
  finished_at TIMESTAMP WITH TIME ZONE,
  created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
  CONSTRAINT webhook_deliveries_pkey PRIMARY KEY (id),
  CONSTRAINT webhook_deliveries_webhook_id_fkey FOREIGN KEY(webhook_id) REFERENCES webhooks (id) ON DELETE CASCADE,
  CONSTRAINT webhook_deliveries_status_check CHECK (status IN ('pending','delivered','given_up')),
  CONSTRAINT webhook_deliveries_pending_check CHECK ((status = 'pending') = (next_try_at IS NOT NULL))
);
CREATE INDEX webhook_deliveries_webhook_id_id_idx ON webhook_deliveries (webhook_id, id);
CREATE INDEX webhook_deliveries_due_idx ON webhook_deliveries (next_try_at) WHERE next_try_at IS NOT NULL;
CREATE INDEX webhook_deliveries_pending_idx ON webhook_deliveries (webhook_id) WHERE next_try_at IS NOT NULL;
CREATE INDEX webhook_deliveries_created_at_idx ON webhook_deliveries (created_at);
COMMENT ON COLUMN webhook_deliveries.job_id IS 'which job it is about';
COMMENT ON COLUMN webhook_deliveries.body IS 'as it is signed and sent';
COMMENT ON COLUMN webhook_deliveries.attempts IS 'since it was last asked for';
COMMENT ON COLUMN webhook_deliveries.next_try_at IS 'NULL: delivered, or given up';
COMMENT ON COLUMN webhook_deliveries.give_up_at IS 'no try is made after that';
