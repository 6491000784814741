-- The crashes of a release's machines since it went live, as JSON. Most releases have no row here.
CREATE TABLE release_crashes (
  app     TEXT NOT NULL,
  owner   TEXT NOT NULL,                -- '' for the app's own machines
  number  INTEGER NOT NULL,
  crashes TEXT NOT NULL,
  PRIMARY KEY (app, owner, number)
) STRICT, WITHOUT ROWID;
