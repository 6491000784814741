CREATE TABLE rules (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  -- a rule as JSON: api/callers/rule.ts
  body TEXT NOT NULL
) STRICT;
