-- Above 0: an operator moved it to the front of the queue. The highest goes first.
ALTER TABLE deployments ADD COLUMN moved_up INTEGER NOT NULL DEFAULT 0;
DROP INDEX deployments_queue;
CREATE INDEX deployments_queue ON deployments (app, owner, number, id, builds, is_rollback, moved_up) WHERE ended_at IS NULL AND state = 'pending';

-- At most one row: the queue is paused.
CREATE TABLE queue_pause (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  at  TEXT NOT NULL,
  by  TEXT NOT NULL,
  why TEXT
) STRICT;
