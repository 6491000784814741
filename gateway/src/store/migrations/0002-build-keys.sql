-- What an image was built from, for those that built one; until when its bases count as looked at (null: for ever).
ALTER TABLE deployments ADD COLUMN build_key TEXT;
ALTER TABLE deployments ADD COLUMN build_good_until TEXT;
CREATE INDEX deployments_built ON deployments (app, build_key, number) WHERE build_key IS NOT NULL;
