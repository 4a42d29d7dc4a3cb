ALTER TABLE jobs ADD COLUMN labels JSONB DEFAULT '{}' NOT NULL;
ALTER TABLE jobs ADD COLUMN retry_of UUID;
ALTER TABLE jobs ADD COLUMN retried_items JSONB;
ALTER TABLE jobs ADD COLUMN results_kept_s BIGINT DEFAULT 2592000 NOT NULL;
ALTER TABLE jobs ADD COLUMN results_warned_at TIMESTAMP WITH TIME ZONE;
ALTER TABLE jobs ADD COLUMN results_deleted_at TIMESTAMP WITH TIME ZONE;
ALTER TABLE jobs ADD CONSTRAINT jobs_retry_of_fkey FOREIGN KEY (retry_of) REFERENCES jobs (id);
COMMENT ON COLUMN jobs.labels IS 'names and values of the owner''s, to find jobs by';
COMMENT ON COLUMN jobs.retry_of IS 'the job whose missing items this one does again';
COMMENT ON COLUMN jobs.retried_items IS '[[first, count] …]: which items of retry_of these are, in order';
COMMENT ON COLUMN jobs.results_kept_s IS 'after the end; then the results are deleted';
CREATE INDEX jobs_labels_idx ON jobs USING gin (labels jsonb_path_ops);
CREATE INDEX jobs_results_idx ON jobs (finished_at) WHERE finished_at IS NOT NULL AND results_deleted_at IS NULL;

CREATE TABLE job_templates (
  id UUID NOT NULL,
  owner_id UUID NOT NULL,
  name TEXT NOT NULL,
  request JSONB NOT NULL,
  created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
  updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
  CONSTRAINT job_templates_pkey PRIMARY KEY (id),
  CONSTRAINT job_templates_owner_id_name_key UNIQUE (owner_id, name),
  CONSTRAINT job_templates_owner_id_fkey FOREIGN KEY (owner_id) REFERENCES users (id)
);
COMMENT ON COLUMN job_templates.request IS 'what a job body may say, inputs included or not';
