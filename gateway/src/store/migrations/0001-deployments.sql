-- One row per deployment. What is looked up has a column; the rest of the record is JSON in `body`.
CREATE TABLE deployments (
  id            TEXT PRIMARY KEY,
  app           TEXT NOT NULL,
  number        INTEGER NOT NULL,          -- order of birth within the app
  state         TEXT NOT NULL,
  created_at    TEXT NOT NULL,
  updated_at    TEXT NOT NULL,
  ended_at      TEXT,
  attempt       INTEGER NOT NULL DEFAULT 0,
  epoch         INTEGER NOT NULL DEFAULT 0, -- grows with each claim; a write with another epoch is refused
  last_seq      INTEGER NOT NULL DEFAULT 0,
  source_digest TEXT,
  body          TEXT NOT NULL,
  rollout       TEXT,                      -- the deploy engine's notes; never shown
  UNIQUE (app, number)
) STRICT;
CREATE INDEX deployments_unfinished ON deployments (state, created_at) WHERE ended_at IS NULL;

-- The same key gives the same deployment, for a day.
CREATE TABLE idempotency_keys (
  app         TEXT NOT NULL,
  key         TEXT NOT NULL,
  fingerprint TEXT NOT NULL,               -- of the request that used it first
  deployment  TEXT NOT NULL REFERENCES deployments (id) DEFERRABLE INITIALLY DEFERRED,
  at          TEXT NOT NULL,
  PRIMARY KEY (app, key)
) STRICT;

CREATE TABLE events (
  deployment TEXT NOT NULL REFERENCES deployments (id),
  seq        INTEGER NOT NULL,
  at         TEXT NOT NULL,
  body       TEXT NOT NULL,
  PRIMARY KEY (deployment, seq)
) STRICT, WITHOUT ROWID;
