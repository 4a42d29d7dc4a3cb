-- Prices as of 0004, frozen. Later changes are later migrations.
CREATE TABLE price_changes (
  id UUID NOT NULL,
  kind TEXT NOT NULL,
  commission_bps INTEGER,
  devices JSONB,
  operator_id UUID NOT NULL,
  reason TEXT NOT NULL,
  effective_at TIMESTAMP WITH TIME ZONE NOT NULL,
  created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
  CONSTRAINT price_changes_pkey PRIMARY KEY (id),
  CONSTRAINT price_changes_operator_id_fkey FOREIGN KEY(operator_id) REFERENCES users (id),
  CONSTRAINT price_changes_kind_check CHECK (kind IN ('commission','devices')),
  CONSTRAINT price_changes_value_check
    CHECK ((kind = 'commission') = (commission_bps IS NOT NULL) AND (kind = 'devices') = (devices IS NOT NULL)),
  CONSTRAINT price_changes_commission_check CHECK (commission_bps BETWEEN 0 AND 10000),
  CONSTRAINT price_changes_reason_check CHECK (reason <> ''),
  CONSTRAINT price_changes_effective_check CHECK (effective_at >= created_at)
);
CREATE INDEX price_changes_kind_effective_at_idx ON price_changes (kind, effective_at);
COMMENT ON TABLE price_changes IS 'what operators decided, append-only: who, when, why, and from which time on';
COMMENT ON COLUMN price_changes.kind IS 'commission or devices';
COMMENT ON COLUMN price_changes.devices IS 'the whole device table';
COMMENT ON COLUMN price_changes.effective_at IS 'never before it was decided';

CREATE FUNCTION price_changes_stay() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'the history of prices is append-only: no % on %', TG_OP, TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER price_changes_immutable BEFORE UPDATE OR DELETE ON price_changes
  FOR EACH ROW EXECUTE FUNCTION price_changes_stay();
CREATE TRIGGER price_changes_not_truncated BEFORE TRUNCATE ON price_changes EXECUTE FUNCTION price_changes_stay();

CREATE FUNCTION price_changes_are_dated() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  NEW.created_at := now();
  RETURN NEW;
END $$;
CREATE TRIGGER price_changes_dated BEFORE INSERT ON price_changes FOR EACH ROW EXECUTE FUNCTION price_changes_are_dated();

CREATE TABLE demand_factors (
  device_class TEXT NOT NULL,
  factor DOUBLE PRECISION NOT NULL,
  target DOUBLE PRECISION NOT NULL,
  updated_at TIMESTAMP WITH TIME ZONE NOT NULL,
  CONSTRAINT demand_factors_pkey PRIMARY KEY (device_class),
  CONSTRAINT demand_factors_bounds_check CHECK (factor BETWEEN 1 AND 3 AND target BETWEEN 1 AND 3)
);
COMMENT ON COLUMN demand_factors.device_class IS 'cpu, npu, other, or an entry of the device table';
COMMENT ON COLUMN demand_factors.target IS 'where the factor moves, one bounded step at a time';

CREATE TABLE market_samples (
  taken_at TIMESTAMP WITH TIME ZONE NOT NULL,
  device_class TEXT NOT NULL,
  slots INTEGER NOT NULL,
  idle INTEGER NOT NULL,
  backlog_s DOUBLE PRECISION NOT NULL,
  CONSTRAINT market_samples_pkey PRIMARY KEY (taken_at, device_class),
  CONSTRAINT market_samples_counts_check CHECK (slots >= 0 AND idle BETWEEN 0 AND slots AND backlog_s >= 0)
);
COMMENT ON TABLE market_samples IS 'queue and idle slots of the last hours, one row for each look and device class';
COMMENT ON COLUMN market_samples.backlog_s IS 'seconds for which the queue would keep each slot of the class busy';

ALTER TABLE slots ADD COLUMN is_auto BOOLEAN DEFAULT false NOT NULL;
ALTER TABLE slots ADD COLUMN older_rates JSONB DEFAULT '[]' NOT NULL;
COMMENT ON COLUMN slots.is_auto IS 'the rate follows the suggestion; false: the owner has set it';
COMMENT ON COLUMN slots.older_rates IS 'for jobs priced before a change of the device table: [[until, epoch seconds], rate], oldest first';

-- Quotes bound nothing so far, and none lives longer than a day.
DELETE FROM quotes;
ALTER TABLE quotes ADD COLUMN model_version_id UUID NOT NULL;
ALTER TABLE quotes ADD COLUMN items BIGINT NOT NULL;
ALTER TABLE quotes ADD COLUMN rate_nanos_per_hour_max BIGINT;
ALTER TABLE quotes ADD COLUMN hold_nanos BIGINT DEFAULT 0 NOT NULL;
ALTER TABLE quotes ADD COLUMN commission_bps INTEGER NOT NULL;
ALTER TABLE quotes ADD COLUMN job_id UUID;
ALTER TABLE quotes ADD CONSTRAINT quotes_job_id_key UNIQUE (job_id);
COMMENT ON COLUMN quotes.rate_nanos_per_hour_max IS 'a job under it pays no slot more; NULL: no slot was on offer, and no limit given';
COMMENT ON COLUMN quotes.job_id IS 'the one job that was submitted with it';

ALTER TABLE jobs ADD COLUMN commission_bps INTEGER;
ALTER TABLE jobs ADD COLUMN quote_id UUID;
ALTER TABLE jobs ADD COLUMN priced_at TIMESTAMP WITH TIME ZONE;
ALTER TABLE jobs ADD CONSTRAINT jobs_commission_check CHECK (commission_bps BETWEEN 0 AND 10000);
COMMENT ON COLUMN jobs.commission_bps IS 'as it was at submit, or in its quote; NULL: from before it was kept here';
COMMENT ON COLUMN jobs.priced_at IS 'the device table of this moment counts; NULL: that of created_at';

ALTER TABLE attempts ADD COLUMN late_at TIMESTAMP WITH TIME ZONE;
COMMENT ON COLUMN attempts.late_at IS 'a result came when its lease had ended; it was dropped and cost nothing';
