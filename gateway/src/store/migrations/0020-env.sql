-- What Tarmac knows of an app's secrets in Fly's store. It never has a value.
CREATE TABLE runtime_secrets (
  app     TEXT PRIMARY KEY,
  fly_id  TEXT,              -- Fly's id of the app: the versions of a later app of the same name begin again
  version INTEGER NOT NULL,  -- Fly's version of the secrets after the last change that is known
  own     TEXT NOT NULL      -- JSON, by name: the digest that Tarmac has set; '' while a change is under way; null: removed
) STRICT, WITHOUT ROWID;
