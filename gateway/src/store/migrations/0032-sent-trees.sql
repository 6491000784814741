-- Which trees each app has sent, by any door: what it may deploy again and send changes against. A row goes with the
-- last reason to keep the tree for that app. `waits`: it came without a deployment, and waits for one.
CREATE TABLE sent_trees (
  app    TEXT NOT NULL,
  digest TEXT NOT NULL,
  at     TEXT NOT NULL,
  waits  INTEGER NOT NULL,
  PRIMARY KEY (app, digest)
) WITHOUT ROWID;
INSERT INTO sent_trees
  SELECT app, source_digest, max(created_at), 0 FROM deployments
  WHERE source_digest IS NOT NULL AND app NOT IN (SELECT fly_app FROM previews)
  GROUP BY app, source_digest;
