-- The key that seals secrets now, and since when: for a day, requests may be repeated whose fingerprint is of the key before.
CREATE TABLE sealing_key (
  one    INTEGER PRIMARY KEY CHECK (one = 1),
  key_id TEXT NOT NULL,
  since  TEXT NOT NULL
) STRICT;
