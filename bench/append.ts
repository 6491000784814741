import { randomUUIDv7 } from 'node:crypto'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { parseArgs } from 'node:util'
import type { NewEvent } from '../api/event.ts'
import { DeploymentOptions } from '../api/options.ts'
import { openSqliteStore } from '../gateway/src/store/sqlite.ts'
import type { Measure } from './measure.ts'
import { sideBySide } from './side-by-side.ts'

const about =
  'events written to logs, compared with a bare SQLite loop of the same durability: [--events 100000] [--runs 7]'
/**
 * The goal is half as many events per second, in the form of the other benches: at most twice the
 * time.
 */
const goal = 2
/**
 * 500 lines like these fill 64 KiB, as in a loud build. 20 lines arrive in 100 ms in a quiet one.
 */
const batches = [500, 20]

async function run(args: string[]): Promise<Measure[]> {
  const { values } = parseArgs({
    args,
    options: {
      events: { type: 'string', default: '100000' },
      runs: { type: 'string', default: '7' },
    },
  })
  const [events, runs] = [Number(values.events), Number(values.runs)]
  const measures: Measure[] = []
  for (const batch of batches) {
    const total = batch < 100 ? events / 10 : events
    console.log(
      `\n${total} events in batches of ${batch}; theirs: node:sqlite alone, WAL, synchronous=FULL`,
    )
    const { oursMs, theirsMs, ratio } = await sideBySide(runs, {
      ours: () => timed((dir) => ours(dir, total, batch)),
      theirs: () => timed((dir) => bare(dir, total, batch)),
    })
    const perSecond = (ms: number) => Math.round((total / ms) * 1000)
    const rates = { eventsPerSecond: perSecond(oursMs), bareEventsPerSecond: perSecond(theirsMs) }
    measures.push({
      bench: 'append',
      batch,
      events: total,
      runs,
      oursMs,
      theirsMs,
      ...rates,
      ratio,
      goal,
      ok: ratio <= goal,
    })
  }
  return measures
}

const line = (n: number): NewEvent => ({
  type: 'log',
  step: 'sha256:0123456789abcdef',
  stream: 'stdout',
  text: `#${n} a line as builds print them, with some words in it, and a path/to/a/file.js`,
})

const deployment = randomUUIDv7()

async function ours(dir: string, total: number, batch: number): Promise<number> {
  await using store = openSqliteStore(join(dir, 'tarmac.db'))
  await store.create({
    id: deployment,
    app: 'bench',
    options: DeploymentOptions.parse({}),
    source: null,
  })
  const holder = { id: deployment, epoch: (await store.claim())!.epoch }
  const start = performance.now()
  for (let n = 0; n < total; n += batch)
    await store.append(
      holder,
      Array.from({ length: batch }, (_, i) => line(n + i)),
    )
  return performance.now() - start
}

async function bare(dir: string, total: number, batch: number): Promise<number> {
  using db = new DatabaseSync(join(dir, 'bare.db'))
  db.exec(`PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
    CREATE TABLE events (deployment TEXT, seq INTEGER, at TEXT, body TEXT, PRIMARY KEY (deployment, seq)) WITHOUT ROWID`)
  const insert = db.prepare('INSERT INTO events VALUES (?, ?, ?, ?)')
  const start = performance.now()
  for (let n = 0; n < total; n += batch) {
    db.exec('BEGIN')
    for (let i = 0; i < batch; i++)
      insert.run(deployment, n + i, '2026-01-01T00:00:00.000Z', JSON.stringify(line(n + i)))
    db.exec('COMMIT')
  }
  return performance.now() - start
}

async function timed(way: (dir: string) => Promise<number>): Promise<number> {
  mkdirSync('.lab-bench', { recursive: true }) // on a disk: /tmp may be memory
  const dir = mkdtempSync('.lab-bench/append-')
  try {
    return await way(dir)
  } finally {
    rmSync(dir, { recursive: true })
  }
}

export const append = { about, run }
