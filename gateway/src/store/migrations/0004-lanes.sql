-- Whose machines of the app a deployment is for ('': the app's). (app, owner) is a lane: one at work at a time.
ALTER TABLE deployments ADD COLUMN owner TEXT NOT NULL DEFAULT '';
ALTER TABLE deployments ADD COLUMN waiting TEXT; -- what its log last said of its place in the queue
CREATE INDEX deployments_lane ON deployments (app, owner, number) WHERE ended_at IS NULL;

CREATE TABLE apps (
  app      TEXT PRIMARY KEY,
  settings TEXT NOT NULL DEFAULT '{}',     -- the app's own
  served   INTEGER NOT NULL DEFAULT 0      -- grows with each claim: the app served longest ago goes first
) STRICT;
CREATE INDEX apps_served ON apps (served);
INSERT INTO apps (app) SELECT DISTINCT app FROM deployments;
