import { EventEmitter } from 'node:events'
import type { DatabaseSync } from 'node:sqlite'
import { isFinal, type Deployment, type DeploymentState } from '#api/deployment.ts'
import type { NewEvent } from '#api/event.ts'
import { DeploymentOptions } from '#api/options.ts'
import { Problem } from '#api/problem.ts'
import { cutCancel, cutEvent, cutProblem } from '../../deployments/cut-texts.ts'
import { packJson, unpackJson } from '../../deployments/packed-json.ts'
import { keepWithin, sizeLimits } from '../../deployments/size-limits.ts'
import { clears, mayMove, touchesMachines } from '../../deployments/states.ts'
import { leaseMs, type Claim, type DeploymentPatch } from '../../deployments/store.ts'
import type { ReleaseRows } from './release-rows.ts'
import type { SecretRows } from './secret-rows.ts'
import { parsedObject } from '../store-tools.ts'

export type Row = {
  id: string
  app: string
  owner: string
  number: number
  state: DeploymentState
  created_at: string
  updated_at: string
  ended_at: string | null
  attempt: number
  epoch: number
  last_seq: number
  body: string
  rollout: string | null
  log_dropped_at: string | null
  /** The state it was in when the gateway died while running it. */
  suspect: DeploymentState | null
  /** How often the gateway died while this deployment ran alone. */
  deaths: number
}
export type Body = Pick<
  Deployment,
  | 'options'
  | 'source'
  | 'plan'
  | 'image'
  | 'bases'
  | 'machines'
  | 'url'
  | 'problem'
  | 'cancel'
  | 'supersededBy'
  | 'from'
  | 'release'
>
export type Patch = DeploymentPatch & Partial<Pick<Body, 'cancel' | 'supersededBy'>>
export type Holder = { id: string; epoch: number }

type Value = string | number | null

/** Deployments and their logs, for use within a transaction of the store. */
export class DeploymentRows {
  readonly #db: DatabaseSync
  readonly #others: { secrets: SecretRows; releases: ReleaseRows }
  readonly #now: () => number
  readonly #statements = new Map<string, ReturnType<DatabaseSync['prepare']>>()
  /** Emits the id of a deployment whose log has grown. */
  readonly changes = new EventEmitter().setMaxListeners(0)

  constructor(
    db: DatabaseSync,
    others: { secrets: SecretRows; releases: ReleaseRows },
    now: () => number,
  ) {
    this.#db = db
    this.#others = others
    this.#now = now
  }

  /** Claims it: the next epoch begins, and `change` is its first act. */
  take(row: Row, change: () => void): Claim {
    change()
    this.run('UPDATE deployments SET epoch = epoch + 1, leased_until = ? WHERE id = ?', [
      this.time(leaseMs),
      row.id,
    ])
    const fresh = this.find(row.id)!

    return {
      deployment: toDeployment(fresh),
      epoch: fresh.epoch,
      rollout: fresh.rollout === null ? null : unpackJson(fresh.rollout),
      suspect: fresh.suspect !== null,
    }
  }

  move(row: Row, to: DeploymentState, { reason, ...patch }: Patch & { reason?: string }): void {
    if (!mayMove(row.state, to))
      throw new Error(`a deployment cannot go from ${row.state} to ${to}`)

    this.patch(row, to, patch)
    if (row.suspect !== null && clears(to, row.suspect))
      this.run('UPDATE deployments SET suspect = NULL WHERE id = ?', [row.id])
    this.write(row.id, [
      {
        type: 'state',
        from: row.state,
        state: to,
        ...(reason && { reason }),
        ...(patch.problem && { problem: patch.problem }),
        ...(patch.url && { url: patch.url }),
      },
    ])
  }

  patch(row: Row, state: DeploymentState, { rollout, build, release, ...patch }: Patch): void {
    const at = this.time()
    if (isFinal(state)) this.#others.secrets.erase(`deployment:${row.id}`)
    if (build)
      this.run('UPDATE deployments SET build_key = ?, build_good_until = ? WHERE id = ?', [
        keepWithin('The key of the build', build.key, sizeLimits.nameBytes),
        keepWithin('A time', build.validUntil ?? '', sizeLimits.nameBytes) || null,
        row.id,
      ])

    const body: Body = { ...bodyOf(row), ...patch }
    if (body.problem) body.problem = cutProblem(body.problem)
    if (body.cancel) body.cancel = cutCancel(body.cancel)
    if (patch.bases)
      keepWithin(
        'The list of images that the build starts from',
        JSON.stringify(patch.bases),
        sizeLimits.basesBytes,
      )

    if (release) {
      const of = { app: row.app, owner: row.owner, deployment: row.id, image: body.image }
      body.release = this.#others.releases.add(of, release)
    }

    this.run(
      'UPDATE deployments SET state = ?, updated_at = ?, ended_at = ?, body = ?, rollout = ?, builds = ? WHERE id = ?',
      [
        state,
        at,
        isFinal(state) ? at : null,
        bodyText(body, row.body),
        isFinal(state) ? null : rollout === undefined ? row.rollout : rolloutText(rollout),
        Number(body.image === null),
        row.id,
      ],
    )
  }

  write(id: string, events: NewEvent[]): void {
    const at = this.time()
    const [row] = this.all(
      'UPDATE deployments SET last_seq = last_seq + ? WHERE id = ? RETURNING last_seq',
      [events.length, id],
    )
    let seq = row!.last_seq - events.length

    for (const event of events)
      this.run('INSERT INTO events (deployment, seq, at, body) VALUES (?, ?, ?, ?)', [
        id,
        ++seq,
        at,
        JSON.stringify(cutEvent(event)),
      ])

    // After the commit: the transaction is synchronous.
    queueMicrotask(() => this.changes.emit(id))
  }

  /** Null when another runner has claimed it since, or it has ended. */
  held(holder: Holder): Row | null {
    const row = this.find(holder.id)
    return row && row.epoch === holder.epoch && !isFinal(row.state) ? row : null
  }

  find(id: string): Row | null {
    return this.all('SELECT * FROM deployments WHERE id = ?', [id])[0] ?? null
  }

  /** Does not load the records, which may be large. */
  ids(where: string, values: Value[] = []): string[] {
    return this.prepare(`SELECT id FROM deployments WHERE ${where}`)
      .all(...values)
      .map(({ id }) => String(id))
  }

  all(sql: string, values: Value[] = []): Row[] {
    return this.prepare(sql).all(...values) as unknown as Row[]
  }

  run(sql: string, values: Value[]): void {
    this.prepare(sql).run(...values)
  }

  /** Returns a cached statement. */
  prepare(sql: string) {
    const known = this.#statements.get(sql) ?? this.#db.prepare(sql)
    this.#statements.set(sql, known)
    return known
  }

  /** ISO 8601, UTC. */
  time(laterMs = 0): string {
    return new Date(this.#now() + laterMs).toISOString()
  }

  close(): void {
    this.#statements.clear()
  }
}

/** Lines wait a moment before they are written: a crash loses them. */
export const mayBeMissing: NewEvent = {
  type: 'gap',
  text: 'Log lines from the moment before this may be missing.',
}

/**
 * True once an effect on a machine was about to happen: the deploy engine records its intent first.
 */
export const touched = ({ state, rollout }: Row): boolean =>
  touchesMachines(state) && rollout !== null

/**
 * The record's JSON. A record by an older gateway may exceed the limit; it can still end, with a
 * problem.
 */
export function bodyText(body: Body, before = ''): string {
  const limitBytes = Math.max(
    sizeLimits.recordBytes,
    Buffer.byteLength(before) + sizeLimits.endBytes,
  )
  return keepWithin('The record of the deployment', JSON.stringify(body), limitBytes)
}

const rolloutText = (rollout: unknown): string =>
  keepWithin('What the machines run and are to run', packJson(rollout), sizeLimits.rolloutBytes)

/**
 * The fields without a column. Records of older gateways lack some of them. A damaged record reads
 * as an empty one with a problem.
 */
export function bodyOf(row: Pick<Row, 'id' | 'body'>): Body {
  const known = parsedObject(row.body) as Omit<Body, 'from' | 'release' | 'supersededBy'> | null
  return known ? { from: null, release: null, supersededBy: null, ...known } : damagedBody(row)
}

/** Whether everything that a runner needs is readable. */
export const isReadable = ({ body, rollout }: Row): boolean =>
  'options' in (parsedObject(body) ?? {}) && (rollout === null || parsedObject(rollout) !== null)

export const damaged = ({ id }: Pick<Row, 'id'>): Problem =>
  new Problem(
    'database-unusable',
    `The record of deployment ${id} is damaged and cannot be read. The builder's operator can restore a backup (tarmac-gateway restore); or send the source again.`,
  )

const damagedBody = (row: Pick<Row, 'id'>): Body => ({
  options: DeploymentOptions.parse({}),
  source: null,
  from: null,
  plan: null,
  image: null,
  bases: {},
  machines: [],
  url: null,
  release: null,
  problem: damaged(row).body(),
  cancel: null,
  supersededBy: null,
})

export function toDeployment(row: Row): Deployment {
  return {
    id: row.id,
    number: row.number,
    app: row.app,
    owner: row.owner || null,
    state: row.state,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
    endedAt: row.ended_at,
    attempt: row.attempt,
    logDroppedAt: row.log_dropped_at,
    ...bodyOf(row),
  }
}
