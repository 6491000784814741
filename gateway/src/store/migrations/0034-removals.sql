-- What was removed from the disk, and why: the newest 500 of 14 days. `bytes`: NULL where it was not measured.
CREATE TABLE removals (
  seq   INTEGER PRIMARY KEY AUTOINCREMENT,
  at    TEXT NOT NULL,
  what  TEXT NOT NULL,
  why   TEXT NOT NULL,
  app   TEXT,
  count INTEGER NOT NULL,
  bytes INTEGER
) STRICT;
