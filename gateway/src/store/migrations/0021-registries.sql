-- Logins at registries. Their passwords are in the table `secrets`, as `password` of the owner registry:<id>.
CREATE TABLE registries (
  id           TEXT PRIMARY KEY,
  host         TEXT NOT NULL,
  prefix       TEXT NOT NULL,                -- a beginning of repositories, by whole segments; '': all
  team         TEXT NOT NULL,                -- '': all teams
  username     TEXT NOT NULL,
  created_at   TEXT NOT NULL,
  created_by   TEXT NOT NULL,
  rotated_at   TEXT,
  last_test    TEXT,                         -- JSON
  last_used_at TEXT,
  UNIQUE (host, prefix, team)
) STRICT, WITHOUT ROWID;
