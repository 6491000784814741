-- How long each step of an app's builds took when it ran last: what a build saves that has it from the cache. `step`: a
-- digest of its name.
CREATE TABLE step_times (
  app  TEXT NOT NULL,
  step TEXT NOT NULL,
  ms   INTEGER NOT NULL,
  at   TEXT NOT NULL,
  PRIMARY KEY (app, step)
) STRICT, WITHOUT ROWID;
CREATE INDEX step_times_newest ON step_times (app, at);
