-- The audit trail: a hash chain. The gateway adds rows at the new end, and removes them at the old end alone.
CREATE TABLE audit (
  number INTEGER PRIMARY KEY,
  at     TEXT NOT NULL,                 -- never before that of the row before
  key_id TEXT NOT NULL,                 -- of the volume whose key the code is made with
  body   TEXT NOT NULL,                 -- JSON
  mac    TEXT NOT NULL                  -- HMAC-SHA-256 over the row and the code of the row before, hex
) STRICT;
CREATE INDEX audit_times ON audit (at);
CREATE TRIGGER audit_is_append_only BEFORE UPDATE ON audit
  BEGIN SELECT RAISE(ABORT, 'entries of the audit trail never change'); END;

-- Calls that have begun and not ended.
CREATE TABLE audit_open (
  number INTEGER PRIMARY KEY
) STRICT;
