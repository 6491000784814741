-- 1: a rollback, which goes before the others of its lane. Records of earlier gateways do not say so.
ALTER TABLE deployments ADD COLUMN is_rollback INTEGER NOT NULL DEFAULT 0;
DROP INDEX deployments_queue;
CREATE INDEX deployments_queue ON deployments (app, owner, number, id, builds, is_rollback) WHERE ended_at IS NULL AND state = 'pending';
