-- The gate's table as of 0002, frozen. Later changes are later migrations.
CREATE TABLE gate_grants (
  provider_id UUID NOT NULL,
  key_hash BYTEA NOT NULL,
  loopback_number SMALLINT,
  peer TEXT,
  node_id TEXT,
  labels JSONB NOT NULL,
  resources JSONB NOT NULL,
  entered_at TIMESTAMP WITH TIME ZONE,
  banned_at TIMESTAMP WITH TIME ZONE,
  updated_at TIMESTAMP WITH TIME ZONE NOT NULL,
  CONSTRAINT gate_grants_pkey PRIMARY KEY (provider_id),
  CONSTRAINT gate_grants_provider_id_fkey FOREIGN KEY(provider_id) REFERENCES providers (id),
  CONSTRAINT gate_grants_loopback_number_key UNIQUE (loopback_number),
  CONSTRAINT gate_grants_peer_key UNIQUE (peer),
  CONSTRAINT gate_grants_node_id_key UNIQUE (node_id),
  CONSTRAINT gate_grants_loopback_number_check CHECK (loopback_number > 0),
  CONSTRAINT gate_grants_banned_check CHECK (banned_at IS NULL OR loopback_number IS NULL)
);
COMMENT ON COLUMN gate_grants.key_hash IS 'SHA-256 of the key with which the machine enters';
COMMENT ON COLUMN gate_grants.loopback_number IS 'the N of 127.64.0.N, for a machine of the control node itself';
COMMENT ON COLUMN gate_grants.peer IS 'the address that is this machine; NULL until it entered';
COMMENT ON COLUMN gate_grants.node_id IS 'hex; of the one Ray node that the gate accepted for it';
COMMENT ON COLUMN gate_grants.labels IS 'what its node must register, but for ray.io/…';
COMMENT ON COLUMN gate_grants.resources IS 'the most that its node may register';
COMMENT ON COLUMN gate_grants.banned_at IS 'cut off for good; its address and number are free again';
