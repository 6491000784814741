-- Templates of previews. A version is never changed. Those of a removed template stay, for the previews that use them.
CREATE TABLE preview_templates (
  app     TEXT NOT NULL,
  name    TEXT NOT NULL,
  version INTEGER NOT NULL,
  removed INTEGER NOT NULL DEFAULT 0,
  body    TEXT NOT NULL,
  PRIMARY KEY (app, name, version)
);
