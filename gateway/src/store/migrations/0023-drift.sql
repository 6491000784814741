-- What the daily look at each app found. JSON: what is expected of the app, and how it differs.
CREATE TABLE drift (
  app       TEXT PRIMARY KEY,
  fly_id    TEXT,
  looked_at TEXT NOT NULL,
  expected  TEXT NOT NULL,
  findings  TEXT NOT NULL,
  problem   TEXT
) STRICT, WITHOUT ROWID;

-- One row: the newest daily look.
CREATE TABLE drift_pass (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  began_at TEXT NOT NULL,
  is_over INTEGER NOT NULL,  -- 0: some apps are left
  checked_at TEXT            -- the end of the newest complete look
) STRICT;

-- When a rule of `rules` or of the settings last allowed a caller.
CREATE TABLE rule_uses (
  name TEXT PRIMARY KEY,
  at   TEXT NOT NULL
) STRICT, WITHOUT ROWID;
