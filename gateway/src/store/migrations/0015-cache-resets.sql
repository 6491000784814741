-- How often the build cache of an app was removed. The first build after each removal uses no cached step: until one has
-- succeeded, `cache_built` is behind.
ALTER TABLE apps ADD COLUMN cache_generation INTEGER NOT NULL DEFAULT 0;
ALTER TABLE apps ADD COLUMN cache_built INTEGER NOT NULL DEFAULT 0;
