-- Warm pools of previews: one for a template. What is looked up has a column; the rest is JSON in `body`.
CREATE TABLE preview_pools (
  app      TEXT NOT NULL,
  template TEXT NOT NULL,
  body     TEXT NOT NULL,
  PRIMARY KEY (app, template)
);
-- Of a preview that was made for a pool: the requests that it fits. Its owner is empty until a request takes it.
ALTER TABLE previews ADD COLUMN fits TEXT;
CREATE INDEX previews_of_pools ON previews (created_at) WHERE fits IS NOT NULL;
