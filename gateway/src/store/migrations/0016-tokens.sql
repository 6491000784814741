-- Tokens of callers, by the id in each token. `hash` is the SHA-256 of its secret. After a rotation the secret before
-- works until `old_until`. `used_by` is the deployment that a deploy link made. `body` has what never changes.
CREATE TABLE tokens (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  team TEXT,
  hash BLOB NOT NULL,
  old_hash BLOB,
  old_until TEXT,
  expires_at TEXT,
  rotated_at TEXT,
  revoked_at TEXT,
  last_used_at TEXT,
  used_by TEXT,
  body TEXT NOT NULL
);
