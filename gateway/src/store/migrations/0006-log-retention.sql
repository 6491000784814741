-- When a deployment's log was taken away (null: it was not); 0 when none of its events is left.
ALTER TABLE deployments ADD COLUMN log_dropped_at TEXT;
ALTER TABLE deployments ADD COLUMN log_kept INTEGER NOT NULL DEFAULT 1;
CREATE INDEX deployments_with_log ON deployments (app, number, ended_at, log_dropped_at) WHERE log_kept = 1;
