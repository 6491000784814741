-- Whose machines of the app a deployment is for ('': the app's). (app, owner) is a lane: one at work at a time.
ALTER TABLE deployments ADD COLUMN owner TEXT NOT NULL DEFAULT '';
CREATE INDEX deployments_lane ON deployments (app, owner, number) WHERE ended_at IS NULL;
