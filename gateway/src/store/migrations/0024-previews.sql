-- Short-lived machines with an owner. `fly_app` is the app on Fly that each has for itself, also the app of `deployment`,
-- which starts it. What is looked up has a column; the rest of the record is JSON in `body`.
CREATE TABLE previews (
  seq        INTEGER PRIMARY KEY AUTOINCREMENT,
  id         TEXT NOT NULL UNIQUE,
  app        TEXT NOT NULL,
  owner      TEXT NOT NULL,
  fly_app    TEXT NOT NULL UNIQUE,
  deployment TEXT NOT NULL UNIQUE REFERENCES deployments (id) DEFERRABLE INITIALLY DEFERRED,
  state      TEXT NOT NULL,
  created_at TEXT NOT NULL,
  expires_at TEXT NOT NULL,
  ended_at   TEXT,
  body       TEXT NOT NULL
);
CREATE INDEX previews_living ON previews (app, owner) WHERE ended_at IS NULL;
