import type { DatabaseSync } from 'node:sqlite'
import { z } from 'zod'
import { DeploymentState } from '#api/deployment.ts'
import { Waiting } from '#api/event.ts'
import {
  schedule,
  behindSuspects,
  type Queued,
  type QueueLimits,
  type QueueNotice,
  type Running,
} from '../../deployments/queue.ts'
import type { QueueTeams } from '../../deployments/teams/fair-order.ts'
import { assertQueueHasRoom } from '../../deployments/size-limits.ts'
import type { QuotaRows } from '../callers/quota-rows.ts'
import type { TeamRows } from '../callers/team-rows.ts'
import { PauseRows } from './pause-rows.ts'
import { parsedObject, readRows } from '../store-tools.ts'

const RunningRow = z.object({
  id: z.string(),
  app: z.string(),
  owner: z.string(),
  state: DeploymentState,
})
const StateCount = z.object({ state: DeploymentState, count: z.number() })
const TargetCount = StateCount.extend({ app: z.string(), owner: z.string() })
const Notice = z.object({ for: Waiting.shape.for, place: z.number(), times: z.number() })

/** The queue as the tables have it, for use within a transaction of the store. */
export class QueueRows {
  readonly #queued
  readonly #routers
  readonly #running
  readonly #unfinished
  readonly #waits
  readonly #announced
  readonly #recordNotice
  readonly #size
  readonly #byState
  readonly #byTarget

  readonly pause: PauseRows
  readonly #teams: TeamRows
  readonly #quotas: QuotaRows

  constructor(db: DatabaseSync, { teams, quotas }: { teams: TeamRows; quotas: QuotaRows }) {
    this.pause = new PauseRows(db)
    this.#teams = teams
    this.#quotas = quotas
    this.#queued = db.prepare(
      `SELECT id, app, owner, number, builds, is_rollback AS isRollback, moved_up AS movedUp, served AS lastServed,
         iif(json_valid(settings), settings, '{}') ->> '$.builds' AS appBuilds
       FROM deployments INDEXED BY deployments_queue JOIN apps USING (app) WHERE ended_at IS NULL AND state = 'pending'`,
    )
    this.#routers = db.prepare('SELECT router FROM routers')
    this.#running = db.prepare(
      `SELECT id, app, owner, state FROM deployments INDEXED BY deployments_unfinished
       WHERE ended_at IS NULL AND state <> 'pending'`,
    )
    this.#unfinished = db.prepare(
      'SELECT count(*) AS n FROM deployments INDEXED BY deployments_unfinished WHERE ended_at IS NULL',
    )
    this.#waits = db.prepare("SELECT 1 FROM deployments WHERE id = ? AND state = 'pending'")
    this.#announced = db.prepare('SELECT waiting FROM deployments WHERE id = ?')
    this.#recordNotice = db.prepare('UPDATE deployments SET waiting = ? WHERE id = ?')
    this.#byState = db.prepare(
      'SELECT state, count(*) AS count FROM deployments WHERE ended_at IS NULL GROUP BY state',
    )
    this.#byTarget = db.prepare(
      'SELECT app, owner, state, count(*) AS count FROM deployments WHERE ended_at IS NULL GROUP BY app, owner, state',
    )
    this.#size = db.prepare('SELECT count, bytes FROM queue_sizes WHERE app = ?')
  }

  /** `suspects`: ids of the deployments that come first, one at a time. Null: the usual order. */
  scheduled(
    limits: QueueLimits | null,
    suspects: string[] | null = null,
  ): ReturnType<typeof schedule> {
    const { queued, running, teams } = this.now()
    if (this.pause.find()) return schedule(queued, running, 'paused', teams)
    if (suspects) return { next: null, positions: behindSuspects(queued, suspects) }
    return schedule(queued, running, limits, teams)
  }

  /** All that has not ended. */
  now(): { queued: Queued[]; running: Running[]; teams: QueueTeams } {
    const routers = new Set(this.#routers.all().map(({ router }) => router))
    return {
      queued: this.#queued.all().map((row) => toQueued(row, routers)),
      running: [...readRows(RunningRow, this.#running.iterate())],
      teams: this.#queueTeams(),
    }
  }

  /** Of each app its team, and of each team its turn and limit. */
  #queueTeams(): QueueTeams {
    return {
      of: (app) => this.#teams.teamOf(app),
      lastServed: (team) => this.#teams.lastServed(team),
      builds: (team) => this.#quotas.limitOf(team, 'builds'),
    }
  }

  countUnfinished(): number {
    return Number(this.#unfinished.get()!['n'])
  }

  /** Throws `queue-full`. Database triggers keep the sums. */
  assertHasRoom(app: string, sizeBytes: number): void {
    const sizeOf = (scope: string) => {
      const kept = this.#size.get(scope)
      return { count: Number(kept?.['count'] ?? 0), bytes: Number(kept?.['bytes'] ?? 0) }
    }
    assertQueueHasRoom(app, { app: sizeOf(app), all: sizeOf('') }, sizeBytes)
  }

  unfinishedByState(): z.infer<typeof StateCount>[] {
    return [...readRows(StateCount, this.#byState.iterate())]
  }

  unfinishedByTarget(): z.infer<typeof TargetCount>[] {
    return [...readRows(TargetCount, this.#byTarget.iterate())]
  }

  waits(id: string): boolean {
    return this.#waits.get(id) !== undefined
  }

  lastNotice(id: string): QueueNotice | null {
    const text = this.#announced.get(id)?.['waiting']
    return Notice.safeParse(parsedObject(String(text))).data ?? null
  }

  recordNotice(id: string, lastNotice: QueueNotice): void {
    this.#recordNotice.run(JSON.stringify(lastNotice), id)
  }
}

/** No schema: there may be ten thousand, and each look at the queue reads all. */
const toQueued = (row: Record<string, unknown>, routers: ReadonlySet<unknown>): Queued => ({
  id: String(row['id']),
  app: String(row['app']),
  owner: String(row['owner']),
  number: Number(row['number']),
  builds: row['builds'] === 1,
  isRouter: routers.has(row['app']),
  isRollback: row['isRollback'] === 1,
  movedUp: Number(row['movedUp']),
  lastServed: Number(row['lastServed']),
  // From the app's settings, which may be damaged.
  appBuilds: typeof row['appBuilds'] === 'number' ? row['appBuilds'] : null,
})
