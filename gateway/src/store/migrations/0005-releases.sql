-- What a target ran, made when its deployment went live. `body`: image, the desired app, versions of Fly's secrets.
CREATE TABLE releases (
  app        TEXT NOT NULL,
  owner      TEXT NOT NULL,                -- '' for the app's own machines
  number     INTEGER NOT NULL,
  deployment TEXT NOT NULL,
  created_at TEXT NOT NULL,
  body       TEXT NOT NULL,
  PRIMARY KEY (app, owner, number)
) STRICT, WITHOUT ROWID;

-- Apps that this builder made on Fly: others are not deleted so lightly.
ALTER TABLE apps ADD COLUMN made_at TEXT;

-- One image to many targets; what became of each stands in its deployment.
CREATE TABLE rollouts (
  id              TEXT PRIMARY KEY,
  created_at      TEXT NOT NULL,
  ended_at        TEXT,
  idempotency_key TEXT,
  fingerprint     TEXT NOT NULL,           -- of the request that made it
  body            TEXT NOT NULL
) STRICT;
CREATE INDEX rollouts_unfinished ON rollouts (created_at) WHERE ended_at IS NULL;
CREATE INDEX rollouts_keys ON rollouts (idempotency_key) WHERE idempotency_key IS NOT NULL;
