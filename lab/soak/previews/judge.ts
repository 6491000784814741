import { z } from 'zod'
import { Preview } from '#api/previews/preview.ts'
import { mayWake } from '../../localfly/proxy/traffic.ts'
import type { Machine } from '../../localfly/state.ts'
import { reachOf } from './egress-oracle.ts'
import { evidenceOf } from './evidence.ts'
import type { GatewayProcess } from './gateway-process.ts'
import { countByLimit, isOver } from './limit-oracle.ts'
import { evictors, type Facts, markIn } from './load.ts'
import { Overdue, type Patience } from './overdue.ts'
import { PoolOracle } from './pool-oracle.ts'
import { closed, previewIdIn, sweepMs, type World } from './world.ts'

/**
 * How much longer than one sweep interval something may last: retries under faults, the start of a
 * gateway, and what Fly does late.
 */
export const slackMs = 20_000
/** Fewer than there are in that time on a machine that has nothing else to do. */
export const patience: Patience = { ms: sweepMs + slackMs, looks: 30 }

const Page = z.object({ previews: z.array(Preview), next: z.string().nullable() })
type Kind =
  | 'open'
  | 'alive after its end'
  | 'unknown'
  | 'over a limit'
  | 'ready without a machine'
  | 'wrong'

/** Compares what Fly has with the records, and both with what was done. */
export class Judge {
  readonly #world: World
  readonly #facts: Facts
  readonly #pools: PoolOracle
  readonly #overdue: Overdue
  looks = 0
  /** The most that Fly had of each limit. */
  readonly most = { owner: 0, team: 0, all: 0 }

  constructor(world: World, facts: Facts, most = patience) {
    this.#world = world
    this.#facts = facts
    this.#overdue = new Overdue(most)
    this.#pools = new PoolOracle(world, facts)
  }

  async look(): Promise<void> {
    this.#pools.look()
    await this.#countLimits()
    const { apps } = this.#world.fly.state
    const shown = [...apps.values()].flatMap(({ name, created_at }) => {
      const id = previewIdIn(name)
      return id === null ? [] : [{ name, id, madeAt: created_at }]
    })
    await Promise.all(shown.map((app) => this.#lookAtApp(app)))
    await Promise.all(this.#world.gateways.map((gateway) => this.#lookAtReady(gateway)))
    this.looks++
  }

  /** Every preview that was answered must have ended as it was ended. */
  async end(): Promise<void> {
    for (const gateway of this.#world.gateways) {
      let records: Preview[] | null
      while (!(records = await this.#all(gateway, ''))) await gateway.up
      const byId = new Map(records.map((record) => [record.id, record]))
      for (const { preview, gateway: its } of this.#facts.known.values())
        if (its === gateway && !byId.has(preview.id))
          await this.#fault('wrong', `${preview.id} was answered, and has no record`)
      for (const record of records) {
        this.#lookAtEnding(record)
        this.#count(record)
      }
    }
    for (const { name } of this.#world.fly.state.apps.values())
      if (previewIdIn(name)) await this.#fault('alive after its end', `${name} is left at the end`)
    for (const { id, own, state } of this.#world.fly.state.machines.values())
      if (state !== 'destroyed' && state !== 'destroying')
        await this.#fault('alive after its end', `machine ${id} of ${own.app} is left at the end`)
  }

  async #lookAtApp({ name, id, madeAt }: { name: string; id: string; madeAt: number }) {
    const gateway = this.#facts.marks.get(markIn(id))
    if (!gateway) return
    const { upSince } = gateway
    const wasKnown = this.#facts.known.has(id)
    const { status, body } = await gateway.call('GET', `/v1/previews/${id}`)
    const isThere = this.#world.fly.state.apps.has(name)
    // Restarts make it look again from the beginning.
    if (upSince === 0 || upSince !== gateway.upSince || !isThere) return
    const late = (since: number) => this.#overdue.isLate(name, Math.max(since, upSince), this.looks)
    const plantedAt = this.#facts.planted.get(name)
    if (status === 404) {
      const about = { id, name, gateway }
      if (plantedAt !== undefined) {
        if (late(Math.max(plantedAt, madeAt)))
          await this.#fault('unknown', `${name}, which another program made, is still there`, about)
        return
      }
      const isEntry = await this.#pools.isEntry(gateway, { id, name })
      if (isEntry && wasKnown)
        await this.#fault('wrong', `${name} waits in a pool, and a request had taken it`, about)
      if (isEntry === false) await this.#fault('unknown', `${name}: no record knows it`, about)
      return
    }
    const preview = Preview.safeParse(body).data
    if (status !== 200 || !preview) return
    if (preview.template?.name === closed.name) await this.#lookAtPolicy(name)
    const { endedAt, expiresAt, state, stateSince } = preview
    const ends = endedAt ?? (state === 'destroying' ? stateSince : expiresAt)
    const whole = `${name}: ${state} since ${stateSince}, end ${expiresAt}, ended ${endedAt}, ${preview.problem?.detail ?? 'no problem'}`
    if (late(Math.max(Date.parse(ends), madeAt)))
      await this.#fault('alive after its end', whole, { id, name, gateway })
  }

  /** A machine of the template that closes it must be closed, whatever happened on the way. */
  async #lookAtPolicy(name: string): Promise<void> {
    const { state } = this.#world.fly
    const [machine] = state.machinesOf(name)
    if (!machine) return
    const reach = reachOf(machine, state.apps.get(name)?.policies ?? [])
    if (reach !== closed.policy)
      await this.#fault('open', `${name} has machine ${machine.id}, and may reach “${reach}”`)
  }

  /** By what Fly has: apps with a machine. A failed one may be there beside the next one. */
  async #countLimits(): Promise<void> {
    const machines = [...this.#world.fly.state.machines.values()]
    const ownerOf = (id: string, mark: string | undefined) => this.#pools.ownerOf(id, mark)
    for (const { kind, mark, owner, key, ids } of countByLimit(machines, ownerOf)) {
      this.most[kind] = Math.max(this.most[kind], ids.length)
      if (!isOver({ kind, owner, records: ids.map(() => null) })) continue
      const records = await this.#records(mark, ids)
      if (!records || !isOver({ kind, owner, records })) continue
      const states = records.map(
        (record, at) => `${ids[at]} ${record?.state} ${record?.ending?.why ?? ''}`,
      )
      await this.#fault('over a limit', `${key}: Fly has ${ids.length}: ${states.join(', ')}`)
    }
  }

  /** What the records say of each preview. Null: the gateway was killed meanwhile. */
  async #records(mark: string, ids: readonly string[]): Promise<(Preview | null)[] | null> {
    const gateway = this.#facts.marks.get(mark)
    if (!gateway) return ids.map(() => null)
    const answers = await Promise.all(ids.map((id) => gateway.call('GET', `/v1/previews/${id}`)))
    if (answers.some(({ status }) => status === 0)) return null
    return answers.map(({ body }) => Preview.safeParse(body).data ?? null)
  }

  async #lookAtReady(gateway: GatewayProcess): Promise<void> {
    const { upSince } = gateway
    const ready = await this.#all(gateway, 'state=ready')
    if (!ready || upSince === 0 || upSince !== gateway.upSince) return
    for (const { id, flyApp, stateSince } of ready) {
      const [machine] = this.#world.fly.state.machinesOf(flyApp)
      if (machine?.state === 'started' || (machine && wakes(machine))) continue
      const changedAt = machine?.events[0]?.timestamp ?? this.#facts.known.get(id)?.touchedAt ?? 0
      const since = Math.max(changedAt, Date.parse(stateSince), upSince)
      if (!this.#overdue.isLate(`ready ${id}`, since, this.looks)) continue
      const what = `${id} is ready, its machine ${machine?.state ?? 'is gone'}`
      // It may have changed while this was read.
      const { body } = await gateway.call('GET', `/v1/previews/${id}`)
      if (Preview.safeParse(body).data?.state === 'ready')
        await this.#fault('ready without a machine', what, { id, name: flyApp, gateway })
    }
  }

  #lookAtEnding({ id, owner, state, ending, endedAt, expiresAt }: Preview): void {
    const known = this.#facts.known.get(id)
    const wrong = (what: string) => void this.#fault('wrong', `${id}: ${what}`)
    if (endedAt === null) return wrong(`is ${state} at the end`)
    if (ending?.why === 'expired' && endedAt < expiresAt)
      wrong(`ended at ${endedAt} as expired, before ${expiresAt}`)
    if (ending?.why === 'evicted' && !evictors.includes(owner))
      wrong(`was evicted, and ${owner} replaces none`)
    if (!known) return
    if (ending?.why === 'asked' && !known.wasAsked) wrong('ended as asked, and nobody asked')
    if (ending?.why === 'gone' && known.touchedAt === null)
      wrong('ended as gone, and no other program changed it')
    if ((state === 'failed') !== (ending?.why === 'failed')) wrong(`is ${state}: ${ending?.why}`)
  }

  #count({ ending, problem, readyAt }: Preview): void {
    const { counts } = this.#facts
    const failed = ending?.why === 'failed' ? ` ${problem?.code}` : ''
    const key = `ended ${ending?.why}${failed}${readyAt ? ' after it was ready' : ''}`
    counts.set(key, (counts.get(key) ?? 0) + 1)
    if (problem?.code !== 'fly-refused') return
    const why = `fly-refused: ${problem.detail.replaceAll(/pv-\w{12}|\w{14}(?=[/: ])/g, '*')}`
    counts.set(why, (counts.get(why) ?? 0) + 1)
  }

  /** Null: the gateway was killed meanwhile. */
  async #all(gateway: GatewayProcess, filter: string): Promise<Preview[] | null> {
    const all: Preview[] = []
    for (let cursor: string | null = ''; cursor !== null;) {
      const query: string = `limit=100&${filter}${cursor && `&cursor=${encodeURIComponent(cursor)}`}`
      const { body } = await gateway.call('GET', `/v1/previews?${query}`)
      const page = Page.safeParse(body).data
      if (!page) return null
      all.push(...page.previews)
      cursor = page.next
    }
    return all
  }

  /** `about`: whose records and machines explain it. */
  async #fault(
    kind: Kind,
    what: string,
    about?: { id: string; name: string; gateway: GatewayProcess },
  ): Promise<void> {
    const text = `${kind.toUpperCase()}: ${what}`
    const { faults, evidence } = this.#facts
    if (faults.has(text)) return
    faults.add(text)
    if (about) evidence.set(text, await evidenceOf(about, this.#world.fly.state))
  }
}

/** The next request starts such a machine, so its preview is ready (docs/previews.md, States). */
const wakes = (machine: Machine): boolean =>
  ['stopped', 'suspended'].includes(machine.state) && mayWake(machine)
