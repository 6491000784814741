/**
 * The invariants of a lab, whatever happened to its gateway. They are checked on its files and
 * parts, without the gateway.
 */
import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { readdir, readFile, readlink } from 'node:fs/promises'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { type Deployment, type ImageFacts, isFinal } from '#api/deployment.ts'
import type { NewEvent } from '#api/event.ts'
import type { TreeEntry } from '#api/tree.ts'
import { heldLeases, machinesIn, wrongContainers } from './at-rest.ts'
import type { Machine } from './localfly/state.ts'
import { runcContainers } from './parts/runc-containers.ts'

export type Fault = { kind: 'lost' | 'doubled' | 'gaps' | 'stray'; what: string }
type Lab = { dir: string; registry: string; flyToken: string }
type Row = Pick<Deployment, 'id' | 'app' | 'number' | 'state' | 'endedAt'> & {
  source: string | null
  lastSeq: number
  body: Pick<Deployment, 'flyApp' | 'image' | 'machines' | 'problem'>
}

/**
 * Returns every fault. `promised` are the deployments that a caller got an answer about. With
 * `idle` all of them should have ended, so nothing may run or be left over. Logs of ended
 * deployments are read once for each `logsSeen`.
 */
export async function findFaults(
  lab: Lab,
  promised: Iterable<string>,
  idle: boolean,
  logsSeen = new Set<string>(),
): Promise<Fault[]> {
  // before the record, because a machine's deployment is recorded first
  const machines = await machinesIn(lab.dir)
  using database = new DatabaseSync(join(lab.dir, 'gateway/tarmac.db'), {
    readOnly: true,
    timeout: 5000,
  })
  database.exec('BEGIN') // reads everything as of one moment
  const rows = database
    .prepare(
      `SELECT id, app, number, state, ended_at AS endedAt, source_digest AS source, last_seq AS lastSeq, body
       FROM deployments ORDER BY app, number`,
    )
    .all()
    .map((row) => ({
      ...row,
      body: JSON.parse(String(row['body'])) as Row['body'],
    })) as unknown as Row[]
  return [
    ...recordFaults(rows, new Set(promised), idle),
    ...rows
      .filter(({ id }) => !logsSeen.has(id))
      .flatMap((row) => logFaults(row, database, logsSeen)),
    ...secretFaults(database),
    ...(await treeFaults(lab, rows, idle)),
    ...machineFaults(machines, rows, idle),
    ...(idle ? [...(await registryFaults(lab, rows)), ...(await runningFaults(lab))] : []),
  ]
}

function recordFaults(rows: Row[], promised: Set<string>, idle: boolean): Fault[] {
  const known = new Map(rows.map((row) => [row.id, row]))
  const lost = [...promised]
    .filter((id) => !known.has(id))
    .map((id) => `${id} was accepted and is unknown`)
  const open = idle
    ? rows.filter(({ state }) => !isFinal(state)).map(({ id, state }) => `${id} is still ${state}`)
    : []
  const torn = rows
    .filter(({ state, endedAt }) => isFinal(state) !== (endedAt !== null))
    .map(({ id }) => `${id} is torn`)
  return [...lost, ...open, ...torn].map((what) => ({ kind: 'lost', what }))
}

/**
 * Numbers start at 1 without gaps. Each move begins where the last one ended. There is one end, and
 * the record has it.
 */
function logFaults(
  { id, state, lastSeq }: Row,
  database: DatabaseSync,
  seen: Set<string>,
): Fault[] {
  if (isFinal(state)) seen.add(id)
  const events = database
    .prepare('SELECT seq, body FROM events WHERE deployment = ? ORDER BY seq')
    .all(id)
  const faults =
    events.some(({ seq }, at) => seq !== at + 1) || events.length !== lastSeq ? ['its numbers'] : []
  const moves = events
    .map(({ body }) => JSON.parse(String(body)) as NewEvent)
    .filter((event) => event.type === 'state')
  if (moves.some(({ from }, at) => from !== (moves[at - 1]?.state ?? null)))
    faults.push('its chain of states')
  if (moves.at(-1)?.state !== state) faults.push(`its end, which is not ${state}`)
  if (moves.filter((move) => isFinal(move.state)).length > 1) faults.push('more than one end')
  return faults.map((what) => ({ kind: 'gaps', what: `the log of ${id}: ${what}` }))
}

function secretFaults(database: DatabaseSync): Fault[] {
  const kept = database.prepare(
    `SELECT secrets.owner FROM secrets JOIN deployments ON secrets.owner = 'deployment:' || id WHERE ended_at IS NOT NULL`,
  )
  return kept
    .all()
    .map(({ owner }) => ({ kind: 'stray', what: `a secret of ${String(owner)}, which has ended` }))
}

/** Each tree on disk is complete and has a user. Each deployment under way has a tree. */
async function treeFaults({ dir }: Lab, rows: Row[], idle: boolean): Promise<Fault[]> {
  const trees = join(dir, 'gateway/trees')
  const owned = new Set(rows.map(({ source }) => source))
  const names = await readdir(trees)
  const faults: Fault[] = []
  for (const { id, state, source } of rows)
    if (source && !isFinal(state) && !existsSync(join(trees, source.slice(7), 'manifest.json')))
      faults.push({ kind: 'lost', what: `the source of ${id}, which is ${state}` })
  for (const name of names) {
    if (idle && !owned.has(`sha256:${name}`)) faults.push({ kind: 'stray', what: `tree ${name}` })
    const manifest = await readFile(join(trees, name, 'manifest.json'), 'utf8').catch(() => null)
    if (manifest === null) continue // just swept
    for (const entry of (
      JSON.parse(manifest || '{"entries":[{"type":"file"}]}') as { entries: TreeEntry[] }
    ).entries) {
      if (entry.type !== 'file') continue
      const content = await readFile(join(trees, name, 'files', entry.path)).catch(() => null)
      if (content && createHash('sha256').update(content).digest('hex') === entry.sha256) continue
      if (existsSync(join(trees, name)))
        faults.push({ kind: 'lost', what: `${entry.path} of tree ${name}` })
    }
  }
  const spool = (await readdir(join(dir, 'gateway/spool'))).filter((name) => name !== 'plans')
  return idle
    ? [...faults, ...spool.map((name): Fault => ({ kind: 'stray', what: `spool/${name}` }))]
    : faults
}

/**
 * The record knows each machine once, by a deployment of its app on Fly. An idle machine runs the last
 * live deployment.
 */
function machineFaults(machines: Machine[], rows: Row[], idle: boolean): Fault[] {
  const faults: Fault[] = []
  const emit = (kind: Fault['kind'], what: string) => faults.push({ kind, what })
  for (const app of new Set([
    ...rows.map(({ body }) => body.flyApp),
    ...machines.map(({ own }) => own.app),
  ])) {
    const there = machines.filter(({ own, state }) => own.app === app && state !== 'destroying')
    const ours = rows.filter(({ body }) => body.flyApp === app)
    const names = there.map(({ name }) => name)
    if (new Set(names).size < names.length)
      emit('doubled', `machines of ${app}: ${names.join(', ')}`)
    for (const { id, config, image_ref: image } of there) {
      const { tarmac_deployment: by, tarmac_number: number } = config.metadata ?? {}
      const maker = ours.find((row) => row.id === by)
      if (!maker)
        emit(
          'doubled',
          `machine ${id} of ${app} is of deployment ${by}, which the record does not know`,
        )
      else if (maker.body.image?.digest !== image.digest)
        emit('doubled', `machine ${id} of ${app} runs ${image.digest}, not the image of ${by}`)
      if (Number(number) > (ours.at(-1)?.number ?? 0))
        emit('lost', `${app} had deployment ${number}, which the record does not know`)
    }
    if (!idle) continue
    const live = ours.findLast(({ state }) => state === 'live')
    const wanted =
      live?.body.machines.filter(({ outcome }) => outcome === 'verified').map(({ id }) => id) ?? []
    const extra = there.filter(({ id }) => !wanted.includes(id))
    for (const { id, state } of extra)
      emit('doubled', `machine ${id} of ${app}, ${state}, is in no live deployment`)
    for (const id of wanted) {
      const machine = there.find((machine) => machine.id === id)
      if (!machine) emit('lost', `machine ${id} of ${app}`)
      else if (machine.image_ref.digest !== live?.body.image?.digest)
        emit('lost', `${app} does not run its live deployment`)
    }
  }
  return faults
}

const manifests = ['manifest', 'index']
  .map((kind) => `application/vnd.oci.image.${kind}.v1+json`)
  .join(', ')

/**
 * The newest live image and the newest built image of each app exist, also under their own tags.
 */
async function registryFaults({ registry, flyToken }: Lab, rows: Row[]): Promise<Fault[]> {
  const authorization = `Basic ${Buffer.from(`x:${flyToken}`).toString('base64')}`
  const newest = new Map<string, { id: string; image: ImageFacts }>()
  for (const { id, app, state, body } of rows)
    if (body.image && (state === 'live' || state === 'built'))
      newest.set(`${app} ${state}`, { id, image: body.image })
  const faults: Fault[] = []
  for (const { id, image } of newest.values()) {
    const repository = image.reference.slice(
      image.reference.indexOf('/') + 1,
      image.reference.indexOf('@'),
    )
    for (const name of [
      image.digest,
      ...image.tags.filter((tag) => tag.startsWith('deployment-')),
    ]) {
      const address = `http://${registry}/v2/${repository}/manifests/${name}`
      const answer = await fetch(address, {
        method: 'HEAD',
        headers: { authorization, accept: manifests },
      })
      const said = answer.ok ? answer.headers.get('docker-content-digest') : answer.status
      if (said !== image.digest)
        faults.push({ kind: 'lost', what: `the image of ${id}: ${name} leads to ${said}` })
    }
  }
  return faults
}

/**
 * No build step, no planner of a dead gateway, no lease, and no container except those of machines
 * may be left.
 */
async function runningFaults({ dir }: Lab): Promise<Fault[]> {
  // Steps of a daemon beside the gateway, and of the gateway's own.
  const steps = (
    await Promise.all(['buildkit', 'gateway'].map((part) => runcContainers(join(dir, part))))
  ).flat()
  const planners: string[] = []
  for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
    const command = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')
    if (!command.includes(`${join(dir, 'gateway/trees')}/`)) continue
    planners.push(`${pid} ${await readlink(`/proc/${pid}/exe`).catch(() => '')}`)
  }
  return [
    ...steps.map(({ id }) => `build step ${id}`),
    ...planners.map((planner) => `process ${planner}`),
    ...(await heldLeases(dir)),
    ...(await wrongContainers(dir)),
  ].map((what) => ({ kind: 'stray', what }))
}
