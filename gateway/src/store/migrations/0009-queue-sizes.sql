-- 1: lane=fifo, so that it gives way to nobody and nobody gives way to it.
ALTER TABLE deployments ADD COLUMN keeps_turn INTEGER NOT NULL DEFAULT 0;
-- 0: it has its image.
ALTER TABLE deployments ADD COLUMN builds INTEGER NOT NULL DEFAULT 1;
UPDATE deployments SET
  keeps_turn = coalesce(iif(json_valid(body), body, '{}') ->> '$.options.lane' = 'fifo', 0),
  builds = iif(json_valid(body), body, '{}') ->> '$.image' IS NULL
WHERE ended_at IS NULL;

-- What these hold is read without the records, which may be large.
CREATE INDEX deployments_lane_passing ON deployments (app, owner, number) WHERE ended_at IS NULL AND keeps_turn = 0;
CREATE INDEX deployments_queue ON deployments (app, owner, number, id, builds) WHERE ended_at IS NULL AND state = 'pending';
CREATE INDEX deployments_fence ON deployments (app, owner, number) WHERE state IN ('deploying', 'verifying', 'live');

-- How many deployments have not ended, and the bytes of their records: of each app, and of all ('').
CREATE TABLE queue_sizes (
  app   TEXT PRIMARY KEY,
  count INTEGER NOT NULL,
  bytes INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO queue_sizes SELECT app, count(*), sum(octet_length(body)) FROM deployments WHERE ended_at IS NULL GROUP BY app;
INSERT INTO queue_sizes SELECT '', coalesce(sum(count), 0), coalesce(sum(bytes), 0) FROM queue_sizes;
CREATE TRIGGER deployments_made AFTER INSERT ON deployments WHEN new.ended_at IS NULL BEGIN
  INSERT INTO queue_sizes VALUES (new.app, 1, octet_length(new.body)), ('', 1, octet_length(new.body))
    ON CONFLICT DO UPDATE SET count = count + 1, bytes = bytes + excluded.bytes;
END;
CREATE TRIGGER deployments_changed AFTER UPDATE OF body, ended_at ON deployments WHEN old.ended_at IS NULL BEGIN
  UPDATE queue_sizes SET count = count - (new.ended_at IS NOT NULL),
    bytes = bytes - octet_length(old.body) + iif(new.ended_at IS NULL, octet_length(new.body), 0)
  WHERE app IN (new.app, '');
END;

-- Why a target of a rollout got no deployment. Rollouts of older gateways have theirs in `body`.
CREATE TABLE rollout_refusals (
  rollout    TEXT NOT NULL REFERENCES rollouts (id),
  deployment TEXT NOT NULL,                -- the id that it would have had
  problem    TEXT NOT NULL,
  PRIMARY KEY (rollout, deployment)
) STRICT, WITHOUT ROWID;
