import { randomUUIDv7 } from 'node:crypto'
import { mkdirSync, rmSync, statfsSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import type { Deployment } from '../api/deployment.ts'
import { DeploymentOptions } from '../api/options.ts'
import { fill, routes } from '../api/routes.ts'
import { databaseIn } from '../gateway/src/store/backup.ts'
import { openDatabase } from '../gateway/src/store/open-database.ts'
import { startLab } from '../lab/start-lab.ts'
import type { Measure } from './measure.ts'
import { median } from './side-by-side.ts'
import { labOptions } from './warm-lab.ts'

const about =
  'a gateway with 10,000 deployments and 10,000,000 events in store: [--deployments 10000] [--events 1000 each] [--runs 5]'
const apps = 100
const readyLimitMs = 1000
const listLimitMs = 20
const bytesPerEvent = 200

/**
 * Measures the time from the spawn of a real gateway process to its first 200 at /readyz, and a
 * page of an app's deployments.
 */
async function run(args: string[]): Promise<Measure[]> {
  const { port, dir } = labOptions
  const options = {
    port,
    dir,
    deployments: { type: 'string', default: '10000' },
    events: { type: 'string', default: '1000' },
    runs: { type: 'string', default: '5' },
  } as const
  const { values } = parseArgs({ args, options })
  const [deployments, events, runs] = [
    Number(values.deployments),
    Number(values.events),
    Number(values.runs),
  ]
  const home = join(values.dir, 'start')
  const volume = join(home, 'gateway')
  mkdirSync(volume, { recursive: true })
  try {
    const { bavail, bsize } = statfsSync(volume)
    if (bavail * bsize < 2 * deployments * events * bytesPerEvent)
      throw new Error(`There is not enough room in ${home}.`)
    console.log(`${deployments} deployments of ${apps} apps with ${events} events each ...`)
    fillStore(volume, deployments, events)
    const sizeMiB = Math.round(statSync(databaseIn(volume)).size / 2 ** 20)
    await using lab = await startLab({
      dir: home,
      port: Number(values.port),
      say: (line) => console.log(line),
    })

    const readyTimes: number[] = []
    const listTimes: number[] = []
    const headers = { authorization: `Bearer ${lab.token}` }
    for (let round = 0; round < runs; round++) {
      await lab.stop('gateway')
      const start = performance.now()
      await lab.start('gateway')
      readyTimes.push(performance.now() - start)
      for (let n = 0; n < 50; n++) {
        const before = performance.now()
        const answer = await fetch(lab.gateway + fill(routes.deployments, { app: `app-${n}` }), {
          headers,
        })
        const page = (await answer.json()) as { deployments: Deployment[] }
        listTimes.push(performance.now() - before)
        if (page.deployments.length !== 20) throw new Error(`a page of ${page.deployments.length}`)
      }
      console.log(
        `  ready after ${readyTimes.at(-1)!.toFixed(0)} ms, a page in ${median(listTimes).toFixed(1)} ms`,
      )
    }
    const facts = { deployments, events: deployments * events, sizeMiB, runs }
    return [
      measure('start-ready', median(readyTimes), readyLimitMs, facts),
      measure('start-list', median(listTimes), listLimitMs, facts),
    ]
  } finally {
    rmSync(home, { recursive: true })
  }
}

/** Compares with a limit, not another program: the ratio is our value to the allowed one. */
function measure(bench: string, ms: number, limitMs: number, facts: object): Measure {
  const ratio = Math.round((ms / limitMs) * 1000) / 1000
  return { bench, ms: Math.round(ms * 10) / 10, limitMs, ratio, goal: 1, ok: ratio <= 1, ...facts }
}

/** Writes them in one go, in the form that the gateway gives them. */
function fillStore(volume: string, deployments: number, events: number): void {
  using db = openDatabase(databaseIn(volume))
  db.exec(`PRAGMA synchronous = OFF; PRAGMA foreign_keys = OFF; CREATE TEMP TABLE numbers (n INTEGER PRIMARY KEY);
    INSERT INTO numbers WITH RECURSIVE series(n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM series WHERE n < ${events}) SELECT n FROM series`)
  const deployment = db.prepare(
    `INSERT INTO deployments (id, app, number, state, created_at, updated_at, ended_at, attempt, epoch, last_seq, source_digest, body)
     VALUES (?1, ?2, ?3, 'live', ?4, ?4, ?4, 1, 1, ${events}, ?5, ?6)`,
  )
  const log = db.prepare(
    `INSERT INTO events (deployment, seq, at, body)
     SELECT ?, n, ?, '{"type":"log","step":"s1","stream":"stdout","text":"a line of output, the ' || n || 'th"}' FROM numbers`,
  )
  const at = new Date().toISOString()
  const machine = {
    id: '148e2d5a',
    name: 'm',
    region: 'ams',
    before: null,
    after: null,
    outcome: 'verified',
  }
  const image = {
    reference: `registry.fly.io/app@sha256:${'0'.repeat(64)}`,
    digest: `sha256:${'0'.repeat(64)}`,
    tags: [],
  }
  const body = {
    options: DeploymentOptions.parse({}),
    source: { digest: 'sha256:aa', files: 9, sizeBytes: 999 },
    plan: null,
    image,
    bases: {},
    machines: [machine],
    url: 'http://app.flycast',
    problem: null,
    cancel: null,
  }
  for (let n = 0; n < deployments; n++) {
    if (n % 500 === 0) db.exec('BEGIN')
    const id = randomUUIDv7()
    deployment.run(
      id,
      `app-${n % apps}`,
      Math.floor(n / apps) + 1,
      at,
      `sha256:${n}`,
      JSON.stringify(body),
    )
    log.run(id, at)
    if (n < apps) db.prepare('INSERT INTO apps (app) VALUES (?)').run(`app-${n}`)
    if (n % 500 === 499 || n === deployments - 1) db.exec('COMMIT')
  }
}

export const start = { about, run }
