-- Why an owner's machines do not run: somebody stopped, suspended or destroyed them. The newest
-- release of a destroyed one is not expected to run: its volumes were kept.
CREATE TABLE owner_rests (
  app   TEXT NOT NULL,
  owner TEXT NOT NULL,
  state TEXT NOT NULL,
  made_by TEXT NOT NULL,
  at    TEXT NOT NULL,
  PRIMARY KEY (app, owner)
) STRICT, WITHOUT ROWID;
