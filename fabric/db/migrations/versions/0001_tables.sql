-- The plain tables as of 0001, frozen. Later changes are later migrations.
CREATE TABLE garbage_objects (
  object_key TEXT NOT NULL,
  not_before TIMESTAMP WITH TIME ZONE NOT NULL,
  CONSTRAINT garbage_objects_pkey PRIMARY KEY (object_key)
);
COMMENT ON TABLE garbage_objects IS 'objects whose last owner row is gone; a loop deletes them';
COMMENT ON COLUMN garbage_objects.not_before IS 'running orders may still read it until then';

CREATE TABLE users (
  id UUID NOT NULL,
  email TEXT NOT NULL,
  password_hash TEXT NOT NULL,
  role TEXT DEFAULT 'user' NOT NULL,
  created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
  CONSTRAINT users_pkey PRIMARY KEY (id)
);
CREATE UNIQUE INDEX users_email_key ON users (lower(email));
COMMENT ON COLUMN users.role IS 'user or operator';

CREATE TABLE api_keys (
  id UUID NOT NULL,
  user_id UUID NOT NULL,
  label TEXT NOT NULL,
  hint TEXT NOT NULL,
  key_hash BYTEA NOT NULL,
  scopes TEXT[] NOT NULL,
  expires_at TIMESTAMP WITH TIME ZONE,
  revoked_at TIMESTAMP WITH TIME ZONE,
  last_used_at TIMESTAMP WITH TIME ZONE,
  created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
  CONSTRAINT api_keys_pkey PRIMARY KEY (id),
  CONSTRAINT api_keys_user_id_fkey FOREIGN KEY(user_id) REFERENCES users (id),
  CONSTRAINT api_keys_key_hash_key UNIQUE (key_hash)
);
CREATE INDEX api_keys_user_id_idx ON api_keys (user_id);
COMMENT ON COLUMN api_keys.hint IS 'the first characters, to recognise it by';
COMMENT ON COLUMN api_keys.key_hash IS 'SHA-256 of the key';
COMMENT ON COLUMN api_keys.scopes IS 'subset of identity.access.SCOPES';

CREATE TABLE files (
  id UUID NOT NULL,
  owner_id UUID NOT NULL,
  name TEXT NOT NULL,
  media_type TEXT NOT NULL,
  size BIGINT NOT NULL,
  sha256 BYTEA,
  object_key TEXT NOT NULL,
  object_offset BIGINT DEFAULT 0 NOT NULL,
  status TEXT DEFAULT 'ready' NOT NULL,
  created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
  expires_at TIMESTAMP WITH TIME ZONE,
  deleted_at TIMESTAMP WITH TIME ZONE,
  CONSTRAINT files_pkey PRIMARY KEY (id),
  CONSTRAINT files_extent_check CHECK (size >= 0 AND object_offset >= 0),
  CONSTRAINT files_owner_id_fkey FOREIGN KEY(owner_id) REFERENCES users (id)
);
CREATE INDEX files_object_key_idx ON files (object_key);
CREATE INDEX files_owner_id_id_idx ON files (owner_id, id);
COMMENT ON COLUMN files.sha256 IS 'NULL until the content is here';
COMMENT ON COLUMN files.object_offset IS 'files of one multipart upload share an object';
COMMENT ON COLUMN files.status IS 'pending (signed upload not yet completed) or ready';

CREATE TABLE idempotency_keys (
  user_id UUID NOT NULL,
  key TEXT NOT NULL,
  body_hash BYTEA NOT NULL,
  response_status SMALLINT,
  response_body BYTEA,
  response_type TEXT,
  created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
  CONSTRAINT idempotency_keys_pkey PRIMARY KEY (user_id, key),
  CONSTRAINT idempotency_keys_user_id_fkey FOREIGN KEY(user_id) REFERENCES users (id)
);
CREATE INDEX idempotency_keys_created_at_idx ON idempotency_keys (created_at);
COMMENT ON COLUMN idempotency_keys.body_hash IS 'SHA-256 of method, path and body';
COMMENT ON COLUMN idempotency_keys.response_status IS 'NULL while the first request runs';

CREATE TABLE join_tokens (
  id UUID NOT NULL,
  owner_id UUID NOT NULL,
  label TEXT NOT NULL,
  hint TEXT NOT NULL,
  token_hash BYTEA NOT NULL,
  uses_max INTEGER DEFAULT 1 NOT NULL,
  uses INTEGER DEFAULT 0 NOT NULL,
  expires_at TIMESTAMP WITH TIME ZONE NOT NULL,
  revoked_at TIMESTAMP WITH TIME ZONE,
  created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
  CONSTRAINT join_tokens_pkey PRIMARY KEY (id),
  CONSTRAINT join_tokens_uses_check CHECK (uses <= uses_max),
  CONSTRAINT join_tokens_owner_id_fkey FOREIGN KEY(owner_id) REFERENCES users (id),
  CONSTRAINT join_tokens_token_hash_key UNIQUE (token_hash)
);
CREATE INDEX join_tokens_owner_id_idx ON join_tokens (owner_id);

CREATE TABLE models (
  id UUID NOT NULL,
  owner_id UUID NOT NULL,
  name TEXT NOT NULL,
  visibility TEXT DEFAULT 'private' NOT NULL,
  created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
  deleted_at TIMESTAMP WITH TIME ZONE,
  CONSTRAINT models_pkey PRIMARY KEY (id),
  CONSTRAINT models_owner_id_fkey FOREIGN KEY(owner_id) REFERENCES users (id)
);
CREATE UNIQUE INDEX models_owner_id_name_key ON models (owner_id, name) WHERE deleted_at IS NULL;
COMMENT ON COLUMN models.visibility IS 'private or public';

CREATE TABLE providers (
  id UUID NOT NULL,
  owner_id UUID NOT NULL,
  name TEXT NOT NULL,
  credential_hash BYTEA NOT NULL,
  status TEXT DEFAULT 'enrolled' NOT NULL,
  capabilities JSONB NOT NULL,
  labels JSONB NOT NULL,
  address TEXT,
  ray_node_id TEXT,
  agent_version TEXT NOT NULL,
  agent_state JSONB DEFAULT '{}' NOT NULL,
  last_heartbeat_at TIMESTAMP WITH TIME ZONE,
  removed_at TIMESTAMP WITH TIME ZONE,
  created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
  CONSTRAINT providers_pkey PRIMARY KEY (id),
  CONSTRAINT providers_owner_id_fkey FOREIGN KEY(owner_id) REFERENCES users (id),
  CONSTRAINT providers_credential_hash_key UNIQUE (credential_hash)
);
CREATE INDEX providers_owner_id_id_idx ON providers (owner_id, id);
COMMENT ON COLUMN providers.credential_hash IS 'SHA-256 of the machine''s own credential';
COMMENT ON COLUMN providers.status IS 'enrolled, online, paused (owner), draining, offline, removed';
COMMENT ON COLUMN providers.capabilities IS 'the report of provider_join: cpu, memory, devices, versions';
COMMENT ON COLUMN providers.labels IS 'granted at enrolment, never declared';
COMMENT ON COLUMN providers.address IS 'where the machine enrolled from';
COMMENT ON COLUMN providers.ray_node_id IS 'of its present Ray node, as the agent reported it';
COMMENT ON COLUMN providers.agent_state IS 'the last heartbeat''s report of its slots';

CREATE TABLE quotes (
  id UUID NOT NULL,
  user_id UUID NOT NULL,
  request JSONB NOT NULL,
  answer JSONB NOT NULL,
  expires_at TIMESTAMP WITH TIME ZONE NOT NULL,
  created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
  CONSTRAINT quotes_pkey PRIMARY KEY (id),
  CONSTRAINT quotes_user_id_fkey FOREIGN KEY(user_id) REFERENCES users (id)
);
CREATE INDEX quotes_user_id_idx ON quotes (user_id);

CREATE TABLE refresh_tokens (
  id UUID NOT NULL,
  user_id UUID NOT NULL,
  family UUID NOT NULL,
  token_hash BYTEA NOT NULL,
  expires_at TIMESTAMP WITH TIME ZONE NOT NULL,
  used_at TIMESTAMP WITH TIME ZONE,
  revoked_at TIMESTAMP WITH TIME ZONE,
  created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
  CONSTRAINT refresh_tokens_pkey PRIMARY KEY (id),
  CONSTRAINT refresh_tokens_user_id_fkey FOREIGN KEY(user_id) REFERENCES users (id),
  CONSTRAINT refresh_tokens_token_hash_key UNIQUE (token_hash)
);
CREATE INDEX refresh_tokens_family_idx ON refresh_tokens (family);
CREATE INDEX refresh_tokens_user_id_idx ON refresh_tokens (user_id);
COMMENT ON COLUMN refresh_tokens.family IS 'all tokens that descend from one log-in';

CREATE TABLE model_versions (
  id UUID NOT NULL,
  model_id UUID NOT NULL,
  version INTEGER NOT NULL,
  sha256 BYTEA NOT NULL,
  size BIGINT NOT NULL,
  object_key TEXT NOT NULL,
  card JSONB NOT NULL,
  inspection JSONB NOT NULL,
  profile JSONB NOT NULL,
  created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
  deleted_at TIMESTAMP WITH TIME ZONE,
  CONSTRAINT model_versions_pkey PRIMARY KEY (id),
  CONSTRAINT model_versions_model_id_version_key UNIQUE (model_id, version),
  CONSTRAINT model_versions_model_id_fkey FOREIGN KEY(model_id) REFERENCES models (id)
);
COMMENT ON COLUMN model_versions.card IS 'what the owner declares: codecs of inputs, description';
COMMENT ON COLUMN model_versions.inspection IS 'what the file says: inputs, outputs, opset, operators';
COMMENT ON COLUMN model_versions.profile IS 'what admission measured: batchable, item_us, load_us, output_bytes_item';

CREATE TABLE slots (
  provider_id UUID NOT NULL,
  slot INTEGER NOT NULL,
  resource TEXT NOT NULL,
  accelerator TEXT NOT NULL,
  device TEXT NOT NULL,
  execution_provider TEXT NOT NULL,
  threads INTEGER DEFAULT 1 NOT NULL,
  memory_gib FLOAT NOT NULL,
  benchmark_runs_per_s FLOAT NOT NULL,
  rate_nanos_per_hour BIGINT NOT NULL,
  enabled BOOLEAN DEFAULT true NOT NULL,
  CONSTRAINT slots_pkey PRIMARY KEY (provider_id, slot),
  CONSTRAINT slots_rate_check CHECK (rate_nanos_per_hour >= 0),
  CONSTRAINT slots_provider_id_fkey FOREIGN KEY(provider_id) REFERENCES providers (id)
);
COMMENT ON COLUMN slots.resource IS 'fabric_cpu, fabric_cuda, fabric_directml, fabric_coreml or fabric_npu';
COMMENT ON COLUMN slots.accelerator IS 'cpu, cuda, directml, coreml or npu';
COMMENT ON COLUMN slots.device IS 'its name, for people';
COMMENT ON COLUMN slots.execution_provider IS 'ONNX Runtime''s name, such as CPUExecutionProvider';
COMMENT ON COLUMN slots.benchmark_runs_per_s IS 'of the standard small model, at joining';

CREATE TABLE jobs (
  id UUID NOT NULL,
  owner_id UUID NOT NULL,
  model_version_id UUID NOT NULL,
  status TEXT DEFAULT 'queued' NOT NULL,
  request JSONB NOT NULL,
  inputs JSONB NOT NULL,
  requirements JSONB DEFAULT '{}' NOT NULL,
  own_machines BOOLEAN DEFAULT false NOT NULL,
  priority INTEGER DEFAULT 0 NOT NULL,
  items_total INTEGER NOT NULL,
  items_done INTEGER DEFAULT 0 NOT NULL,
  items_failed INTEGER DEFAULT 0 NOT NULL,
  subtasks_total INTEGER NOT NULL,
  subtasks_done INTEGER DEFAULT 0 NOT NULL,
  subtasks_leased INTEGER DEFAULT 0 NOT NULL,
  item_us FLOAT NOT NULL,
  held_nanos BIGINT DEFAULT 0 NOT NULL,
  captured_nanos BIGINT DEFAULT 0 NOT NULL,
  commission_nanos BIGINT DEFAULT 0 NOT NULL,
  reserved_nanos BIGINT DEFAULT 0 NOT NULL,
  released_nanos BIGINT DEFAULT 0 NOT NULL,
  rate_nanos_per_hour_max BIGINT,
  waiting_reason TEXT,
  error_code TEXT,
  error_detail TEXT,
  event_seq INTEGER DEFAULT 0 NOT NULL,
  request_id TEXT NOT NULL,
  created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
  started_at TIMESTAMP WITH TIME ZONE,
  finished_at TIMESTAMP WITH TIME ZONE,
  deadline_at TIMESTAMP WITH TIME ZONE,
  CONSTRAINT jobs_pkey PRIMARY KEY (id),
  CONSTRAINT jobs_spend_check CHECK (captured_nanos + reserved_nanos <= held_nanos),
  CONSTRAINT jobs_status_check CHECK (status IN ('queued','running','succeeded','failed','cancelled')),
  CONSTRAINT jobs_owner_id_fkey FOREIGN KEY(owner_id) REFERENCES users (id),
  CONSTRAINT jobs_model_version_id_fkey FOREIGN KEY(model_version_id) REFERENCES model_versions (id)
)
 WITH (fillfactor = 70);
CREATE INDEX jobs_open_idx ON jobs (priority DESC, id) WHERE status IN ('queued', 'running');
CREATE INDEX jobs_owner_id_id_idx ON jobs (owner_id, id);
COMMENT ON COLUMN jobs.status IS 'queued, running, succeeded, failed, cancelled';
COMMENT ON COLUMN jobs.request IS 'the body as submitted';
COMMENT ON COLUMN jobs.inputs IS 'resolved parts: objects, offsets, item sizes, dtype, shape';
COMMENT ON COLUMN jobs.priority IS 'higher goes first';
COMMENT ON COLUMN jobs.items_done IS 'delivered, failed items not counted';
COMMENT ON COLUMN jobs.subtasks_leased IS 'now; so that planning need not count rows';
COMMENT ON COLUMN jobs.item_us IS 'expected microseconds of one item on a slot of speed 1';
COMMENT ON COLUMN jobs.held_nanos IS 'placed at submit';
COMMENT ON COLUMN jobs.captured_nanos IS 'gross, commission included';
COMMENT ON COLUMN jobs.commission_nanos IS 'part of captured_nanos';
COMMENT ON COLUMN jobs.reserved_nanos IS 'caps of the outstanding leases; captured + reserved <= held';
COMMENT ON COLUMN jobs.released_nanos IS 'returned at the end';
COMMENT ON COLUMN jobs.rate_nanos_per_hour_max IS 'the requestor''s limit';
COMMENT ON COLUMN jobs.waiting_reason IS 'no_capacity, price_below_market, model_loading, funds, provider_failing';

CREATE TABLE events (
  job_id UUID NOT NULL,
  seq INTEGER NOT NULL,
  type TEXT NOT NULL,
  data JSONB NOT NULL,
  created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
  CONSTRAINT events_pkey PRIMARY KEY (job_id, seq),
  CONSTRAINT events_job_id_fkey FOREIGN KEY(job_id) REFERENCES jobs (id)
);
COMMENT ON COLUMN events.seq IS 'from jobs.event_seq, so without gaps for each job';

CREATE TABLE subtasks (
  id UUID NOT NULL,
  job_id UUID NOT NULL,
  position INTEGER NOT NULL,
  item_start INTEGER NOT NULL,
  item_count INTEGER NOT NULL,
  status TEXT DEFAULT 'waiting' NOT NULL,
  fence INTEGER DEFAULT 0 NOT NULL,
  attempts INTEGER DEFAULT 0 NOT NULL,
  not_before BIGINT DEFAULT 0 NOT NULL,
  avoid_provider_id UUID,
  order_id UUID,
  provider_id UUID,
  slot INTEGER,
  cap_nanos BIGINT DEFAULT 0 NOT NULL,
  rate_nanos_per_hour BIGINT DEFAULT 0 NOT NULL,
  leased_at TIMESTAMP WITH TIME ZONE,
  lease_until TIMESTAMP WITH TIME ZONE,
  finished_at TIMESTAMP WITH TIME ZONE,
  output BYTEA,
  output_key TEXT,
  output_size BIGINT,
  output_sha256 BYTEA,
  item_errors JSONB,
  gross_nanos BIGINT DEFAULT 0 NOT NULL,
  error_code TEXT,
  error_detail TEXT,
  CONSTRAINT subtasks_pkey PRIMARY KEY (id),
  CONSTRAINT subtasks_job_id_position_key UNIQUE (job_id, position),
  CONSTRAINT subtasks_status_check CHECK (status IN ('waiting','leased','done','failed','cancelled')),
  CONSTRAINT subtasks_job_id_fkey FOREIGN KEY(job_id) REFERENCES jobs (id)
)
 WITH (fillfactor = 70);
CREATE INDEX subtasks_leased_idx ON subtasks (lease_until) WHERE status = 'leased';
CREATE INDEX subtasks_retrying_idx ON subtasks (job_id) WHERE status = 'waiting' AND not_before > 0;
CREATE INDEX subtasks_waiting_idx ON subtasks (job_id, position) WHERE status = 'waiting';
COMMENT ON COLUMN subtasks.position IS '0, 1, 2 … in input order';
COMMENT ON COLUMN subtasks.status IS 'waiting, leased, done, failed, cancelled';
COMMENT ON COLUMN subtasks.fence IS 'grows with each lease; a receipt with another fence is nothing';
COMMENT ON COLUMN subtasks.attempts IS 'leases that ended without a result and count against the limit';
COMMENT ON COLUMN subtasks.not_before IS 'epoch ms; back-off after a failure';
COMMENT ON COLUMN subtasks.avoid_provider_id IS 'the provider of the last failed attempt';
COMMENT ON COLUMN subtasks.cap_nanos IS 'reserved in jobs.reserved_nanos while leased';
COMMENT ON COLUMN subtasks.rate_nanos_per_hour IS 'locked when leased';
COMMENT ON COLUMN subtasks.output IS 'a tensor frame, when small';
COMMENT ON COLUMN subtasks.output_key IS 'the object, when large';
COMMENT ON COLUMN subtasks.item_errors IS '[[index in the job, code, detail]]';
COMMENT ON COLUMN subtasks.gross_nanos IS 'captured for this subtask';

CREATE TABLE attempts (
  id UUID NOT NULL,
  subtask_id UUID NOT NULL,
  job_id UUID NOT NULL,
  fence INTEGER NOT NULL,
  order_id UUID NOT NULL,
  provider_id UUID NOT NULL,
  slot INTEGER NOT NULL,
  outcome TEXT NOT NULL,
  leased_at TIMESTAMP WITH TIME ZONE NOT NULL,
  finished_at TIMESTAMP WITH TIME ZONE NOT NULL,
  reported_us BIGINT,
  observed_us BIGINT,
  cap_us BIGINT,
  billed_us BIGINT DEFAULT 0 NOT NULL,
  rate_nanos_per_hour BIGINT DEFAULT 0 NOT NULL,
  gross_nanos BIGINT DEFAULT 0 NOT NULL,
  commission_nanos BIGINT DEFAULT 0 NOT NULL,
  error_code TEXT,
  error_detail TEXT,
  CONSTRAINT attempts_pkey PRIMARY KEY (id),
  CONSTRAINT attempts_subtask_id_fence_key UNIQUE (subtask_id, fence),
  CONSTRAINT attempts_subtask_id_fkey FOREIGN KEY(subtask_id) REFERENCES subtasks (id),
  CONSTRAINT attempts_job_id_fkey FOREIGN KEY(job_id) REFERENCES jobs (id),
  CONSTRAINT attempts_provider_id_fkey FOREIGN KEY(provider_id) REFERENCES providers (id)
);
CREATE INDEX attempts_job_id_idx ON attempts (job_id);
CREATE INDEX attempts_provider_id_id_idx ON attempts (provider_id, id);
COMMENT ON TABLE attempts IS 'one row for each lease that ended; the usage record';
COMMENT ON COLUMN attempts.outcome IS 'done, failed, lost or cancelled';
COMMENT ON COLUMN attempts.reported_us IS 'what the provider says it took';
COMMENT ON COLUMN attempts.observed_us IS 'its share of what the dispatcher saw';
COMMENT ON COLUMN attempts.cap_us IS 'what calibration allows';
COMMENT ON COLUMN attempts.billed_us IS 'the smallest of the three; 0 unless done';

