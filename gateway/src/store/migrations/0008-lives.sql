-- The gateway's last start on these records. stopped_at: when it was asked to stop; null: it has not been, so if it ended it died.
CREATE TABLE lives (
  id         INTEGER PRIMARY KEY CHECK (id = 1),
  boot       TEXT NOT NULL,                -- of the machine: the kernel's own id of it
  started_at TEXT NOT NULL,
  stopped_at TEXT
) STRICT;

-- The state in which the gateway died with this deployment at work; null: not suspected, or cleared since.
ALTER TABLE deployments ADD COLUMN suspect TEXT;
-- How often the gateway died with this deployment alone at work.
ALTER TABLE deployments ADD COLUMN deaths INTEGER NOT NULL DEFAULT 0;
CREATE INDEX deployments_suspects ON deployments (deaths) WHERE suspect IS NOT NULL;

-- Rollouts make deployments by themselves, also at a start. making: so many just now; suspect: 1 when the gateway died at that,
-- 2 when it also waits to be alone at work.
ALTER TABLE rollouts ADD COLUMN making INTEGER NOT NULL DEFAULT 0;
ALTER TABLE rollouts ADD COLUMN suspect INTEGER NOT NULL DEFAULT 0;
ALTER TABLE rollouts ADD COLUMN deaths INTEGER NOT NULL DEFAULT 0;
