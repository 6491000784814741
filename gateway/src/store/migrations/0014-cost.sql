-- Seconds of the gateway's machine. Each moment is shared among the deployments at work in it.

-- Until when the seconds are counted.
CREATE TABLE cost_meter (
  id         INTEGER PRIMARY KEY CHECK (id = 1),
  counted_to TEXT NOT NULL
) STRICT;

-- Of deployments that have not ended. Their record has the sum then.
CREATE TABLE deployment_costs (
  deployment  TEXT PRIMARY KEY REFERENCES deployments (id),
  machine_ms  REAL NOT NULL,
  unpriced_ms REAL NOT NULL,
  amount      REAL NOT NULL,
  rate        TEXT NOT NULL             -- the last price, as JSON
) STRICT, WITHOUT ROWID;

CREATE TABLE machine_time (
  day        TEXT NOT NULL,             -- UTC
  app        TEXT NOT NULL,             -- '': no deployment was at work
  currency   TEXT NOT NULL,             -- '': no price was known
  machine_ms REAL NOT NULL,
  amount     REAL NOT NULL,
  PRIMARY KEY (day, app, currency)
) STRICT, WITHOUT ROWID;
