-- Where the machines of each owner of an app are: in an app of its own on Fly, or in the shared app (`fly_app` = `app`).
-- `forgotten`: they are gone. The name stays the owner's, so that nobody else deploys to an app of this name.
CREATE TABLE owner_apps (
  app        TEXT NOT NULL,
  owner      TEXT NOT NULL,
  fly_app    TEXT NOT NULL,
  created_at TEXT NOT NULL,
  forgotten  INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (app, owner)
) WITHOUT ROWID;
CREATE UNIQUE INDEX owner_apps_own ON owner_apps (fly_app) WHERE fly_app <> app;
-- Until now every owner's machines were in the shared app. There they stay: their volumes are there.
INSERT INTO owner_apps (app, owner, fly_app, created_at)
  SELECT app, owner, app, min(created_at) FROM deployments WHERE owner <> '' GROUP BY app, owner;
