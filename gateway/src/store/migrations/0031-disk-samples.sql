-- What was on the builder's disk, each 10 minutes for 14 days. In bytes. `cache_bytes`: NULL if the build daemon did not answer.
CREATE TABLE disk_samples (
  at           TEXT PRIMARY KEY,
  size_bytes   INTEGER NOT NULL,
  free_bytes   INTEGER NOT NULL,
  cache_bytes  INTEGER,
  source_bytes INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
