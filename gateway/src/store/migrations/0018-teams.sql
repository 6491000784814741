CREATE TABLE teams (
  name       TEXT PRIMARY KEY,
  created_at TEXT NOT NULL,
  quotas     TEXT NOT NULL              -- the team's own values, as JSON
) STRICT, WITHOUT ROWID;
INSERT INTO teams VALUES ('default', strftime('%Y-%m-%dT%H:%M:%fZ'), '{}');

CREATE TABLE team_members (
  member TEXT NOT NULL,
  team   TEXT NOT NULL,                 -- '': it has left its last team, and sees no app
  PRIMARY KEY (member, team)
) STRICT, WITHOUT ROWID;

-- Apps of other teams than `default`.
CREATE TABLE team_apps (
  app  TEXT PRIMARY KEY,
  team TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- What teams have used of quotas that count by day.
CREATE TABLE quota_uses (
  day   TEXT NOT NULL,                  -- UTC
  team  TEXT NOT NULL,
  quota TEXT NOT NULL,
  used  INTEGER NOT NULL,               -- bytes, milliseconds, or a number of builds
  PRIMARY KEY (day, team, quota)
) STRICT, WITHOUT ROWID;
