-- Secrets under lock, an app's or (until it ends) one deployment's. Only a key from the environment opens them.
CREATE TABLE secrets (
  owner      TEXT NOT NULL,                -- app:<name> or deployment:<id>
  name       TEXT NOT NULL,
  key_id     TEXT NOT NULL,                -- tells a wrong key from damage
  sealed     BLOB NOT NULL,
  created_at TEXT NOT NULL,
  updated_at TEXT NOT NULL,
  PRIMARY KEY (owner, name)
) STRICT, WITHOUT ROWID;
