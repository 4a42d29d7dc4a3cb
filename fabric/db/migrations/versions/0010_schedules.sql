-- An owner sets a machine's schedule from afar: a wish waits until the machine took it.

ALTER TABLE providers
  ADD COLUMN schedule_revision BIGINT DEFAULT 0 NOT NULL,
  ADD COLUMN schedule_wanted JSONB;
COMMENT ON COLUMN providers.schedule_revision IS 'of the last wish for its schedule; it only grows';
COMMENT ON COLUMN providers.schedule_wanted IS 'what that wish changes: hours, idle_only, idle_minutes; NULL: nothing that the machine has not taken';
