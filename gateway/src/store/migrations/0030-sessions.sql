-- Logins of the dashboard, by the SHA-256 of the cookie. `token` is the token that the caller logged in with, sealed by
-- a key that only the cookie gives: the gateway can read it during a request of its holder, and at no other time.
CREATE TABLE sessions (
  seq        INTEGER PRIMARY KEY AUTOINCREMENT,
  hash       BLOB NOT NULL UNIQUE,
  caller     TEXT NOT NULL,
  token      BLOB NOT NULL,
  expires_at TEXT NOT NULL
);
CREATE INDEX sessions_by_caller ON sessions (caller, seq);
