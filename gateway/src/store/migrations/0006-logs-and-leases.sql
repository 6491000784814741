-- When a deployment's log began to be taken away (null: it was not); log_kept is 0 when none of its events is left.
ALTER TABLE deployments ADD COLUMN log_dropped_at TEXT;
ALTER TABLE deployments ADD COLUMN log_kept INTEGER NOT NULL DEFAULT 1;
CREATE INDEX deployments_logs_by_number ON deployments (app, number) WHERE log_kept = 1;
CREATE INDEX deployments_logs_by_end ON deployments (ended_at) WHERE log_kept = 1;

-- Until when its claim holds without being renewed; who finds it over may take the work on, under the next epoch.
ALTER TABLE deployments ADD COLUMN leased_until TEXT;
