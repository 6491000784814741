import { z } from 'zod'
import { Preview } from '#api/previews/preview.ts'
import type { GatewayProcess } from './gateway-process.ts'
import { evictors, type Facts, markIn } from './load.ts'
import type { Machine } from '../../localfly/state.ts'
import { PoolOracle } from './pool-oracle.ts'
import { closed, limits, sweepMs, teamOf, type World } from './world.ts'

/**
 * How much longer than one sweep interval something may last: retries under faults, the start of a
 * gateway, and what Fly does late.
 */
export const slackMs = 20_000

const Page = z.object({ previews: z.array(Preview), next: z.string().nullable() })
type Kind =
  | 'open'
  | 'alive after its end'
  | 'unknown'
  | 'over a limit'
  | 'ready without a machine'
  | 'wrong'

/** Null: it is no preview's app. */
const previewIdIn = (app: string): string | null => /-(pv-\w{12})$/.exec(app)?.[1] ?? null

/** Compares what Fly has with the records, and both with what was done. */
export class Judge {
  readonly #world: World
  readonly #facts: Facts
  readonly #pools: PoolOracle
  looks = 0
  /** The most that Fly had of each limit. */
  readonly most = { owner: 0, team: 0, all: 0 }

  constructor(world: World, facts: Facts) {
    this.#world = world
    this.#facts = facts
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
      const records = await this.#all(gateway, '')
      const byId = new Map(records.map((record) => [record.id, record]))
      for (const { preview, gateway: its } of this.#facts.known.values())
        if (its === gateway && !byId.has(preview.id))
          this.#fault('wrong', `${preview.id} was answered, and has no record`)
      for (const record of records) {
        this.#lookAtEnding(record)
        this.#count(record)
      }
    }
    for (const { name } of this.#world.fly.state.apps.values())
      if (previewIdIn(name)) this.#fault('alive after its end', `${name} is left at the end`)
    for (const { id, own, state } of this.#world.fly.state.machines.values())
      if (state !== 'destroyed' && state !== 'destroying')
        this.#fault('alive after its end', `machine ${id} of ${own.app} is left at the end`)
  }

  async #lookAtApp({ name, id, madeAt }: { name: string; id: string; madeAt: number }) {
    const gateway = this.#facts.marks.get(markIn(id))
    if (!gateway) return
    const { upSince } = gateway
    const { status, body } = await gateway.call('GET', `/v1/previews/${id}`)
    const isThere = this.#world.fly.state.apps.has(name)
    // Restarts make it look again from the beginning.
    if (upSince === 0 || upSince !== gateway.upSince || !isThere) return
    const late = (since: number) => Date.now() - Math.max(since, upSince) > sweepMs + slackMs
    const plantedAt = this.#facts.planted.get(name)
    if (status === 404) {
      const isEntry = plantedAt === undefined && (await this.#pools.isEntry(gateway, name))
      if (upSince !== gateway.upSince) return
      if (isEntry && this.#facts.known.has(id))
        this.#fault('wrong', `${name} waits in a pool, and a request had taken it`)
      else if (isEntry) return
      else if (plantedAt === undefined) this.#fault('unknown', `${name}: no record knows it`)
      else if (late(Math.max(plantedAt, madeAt)))
        this.#fault('unknown', `${name}, which another program made, is still there`)
      return
    }
    const preview = Preview.safeParse(body).data
    if (status !== 200 || !preview) return
    if (preview.template?.name === closed.name) this.#lookAtPolicy(name)
    const { endedAt, expiresAt, state, stateSince } = preview
    const ends = endedAt ?? (state === 'destroying' ? stateSince : expiresAt)
    const whole = `${name}: ${state} since ${stateSince}, end ${expiresAt}, ended ${endedAt}, ${preview.problem?.detail ?? 'no problem'}`
    if (late(Math.max(Date.parse(ends), madeAt))) this.#fault('alive after its end', whole)
  }

  /** A machine of the template that closes it must have the policy, whatever happened on the way. */
  #lookAtPolicy(name: string): void {
    const { state } = this.#world.fly
    const [machine] = state.machinesOf(name)
    const policies = state.apps.get(name)?.policies ?? []
    const ports = policies.flatMap(({ rules }) => rules).flatMap(({ ports }) => ports)
    // A policy may be there twice: its answer was lost.
    const allowed = [...new Set(ports.map(({ protocol, port }) => `${protocol} ${port}`))].join()
    if (machine && allowed !== closed.policy)
      this.#fault('open', `${name} has machine ${machine.id}, and may reach “${allowed}”`)
  }

  /** By what Fly has: apps with a machine. A failed one may be there beside the next one. */
  async #countLimits(): Promise<void> {
    const found = new Map<string, Set<string>>()
    for (const { state, config, own } of this.#world.fly.state.machines.values()) {
      const id = previewIdIn(own.app)
      if (id === null || state === 'destroyed' || state === 'destroying') continue
      const { tarmac_preview_app: app = '', tarmac_preview_owner: named } = config.metadata ?? {}
      const gateway = markIn(id)
      const owner = this.#pools.ownerOf(id, named)
      if (owner === null) continue
      for (const key of [
        `all ${gateway}`,
        `team ${gateway} ${teamOf[app]}`,
        `owner ${gateway} ${app} ${owner}`,
      ])
        found.set(key, (found.get(key) ?? new Set()).add(id))
    }
    for (const [key, ids] of found) {
      const [kind, mark = '', , owner = ''] = key.split(' ') as [keyof typeof limits, ...string[]]
      this.most[kind] = Math.max(this.most[kind], ids.size)
      const most = limits[kind] * (kind === 'owner' && evictors.includes(owner) ? 2 : 1)
      if (ids.size <= most) continue
      const states = await this.#states(mark, ids)
      // With evict=oldest a team has more for the moment, until Fly has deleted the replaced ones.
      const leaving = states.filter((text) => text.includes(' destroy')).length
      if (kind === 'team' && ids.size - leaving <= most) continue
      this.#fault(
        'over a limit',
        `${key}: Fly has ${ids.size}, at most ${most}: ${states.join(', ')}`,
      )
    }
  }

  async #states(mark: string, ids: Iterable<string>): Promise<string[]> {
    const gateway = this.#facts.marks.get(mark)
    const read = async (id: string) => {
      const answer = await gateway?.call('GET', `/v1/previews/${id}`)
      const { state, stateSince, ending } = Preview.safeParse(answer?.body).data ?? {}
      return `${id} ${state} ${ending?.why ?? ''} ${stateSince}`
    }
    return Promise.all([...ids].map(read))
  }

  async #lookAtReady(gateway: GatewayProcess): Promise<void> {
    const { upSince } = gateway
    const ready = await this.#all(gateway, 'state=ready')
    if (upSince === 0 || upSince !== gateway.upSince) return
    for (const { id, flyApp, stateSince } of ready) {
      const [machine] = this.#world.fly.state.machinesOf(flyApp)
      if (machine?.state === 'started' || (machine && wakes(machine))) continue
      const changedAt = machine?.events[0]?.timestamp ?? this.#facts.known.get(id)?.touchedAt ?? 0
      const since = Math.max(changedAt, Date.parse(stateSince), upSince)
      if (Date.now() - since < sweepMs + slackMs) continue
      const what = `${id} is ready, its machine ${machine?.state ?? 'is gone'}`
      // It may have changed while this was read.
      const { body } = await gateway.call('GET', `/v1/previews/${id}`)
      if (Preview.safeParse(body).data?.state === 'ready')
        this.#fault('ready without a machine', what)
    }
  }

  #lookAtEnding({ id, owner, state, ending, endedAt, expiresAt }: Preview): void {
    const known = this.#facts.known.get(id)
    const wrong = (what: string) => this.#fault('wrong', `${id}: ${what}`)
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

  async #all(gateway: GatewayProcess, filter: string): Promise<Preview[]> {
    const all: Preview[] = []
    for (let cursor: string | null = ''; cursor !== null;) {
      const query: string = `limit=100&${filter}${cursor && `&cursor=${encodeURIComponent(cursor)}`}`
      const { body } = await gateway.call('GET', `/v1/previews?${query}`)
      const page = Page.safeParse(body).data
      if (!page) return all
      all.push(...page.previews)
      cursor = page.next
    }
    return all
  }

  #fault(kind: Kind, what: string): void {
    this.#facts.faults.add(`${kind.toUpperCase()}: ${what}`)
  }
}

/** The next request starts such a machine, so its preview is ready. */
const wakes = ({ cordoned, config }: Machine): boolean =>
  !cordoned && (config.services ?? []).some(({ autostart }) => autostart === true)
