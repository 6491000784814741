import { request } from 'node:http'
import { Preview } from '#api/previews/preview.ts'
import type { Random } from '../random.ts'
import type { GatewayProcess } from './gateway-process.ts'
import { changeTemplate, pooledRequest } from './pools.ts'
import { closed, flyToken, mostSeconds, teamOf, type World } from './world.ts'

/** What the soak knows of a preview: what was done to it, by whom. */
export type Known = {
  preview: Preview
  gateway: GatewayProcess
  wasAsked: boolean
  wasCancelled: boolean
  /** When another program last changed its machine or app. Null: never. */
  touchedAt: number | null
}
export type Facts = {
  /** By id: those that were answered. */
  known: Map<string, Known>
  /** By the beginning of their ids: whose previews they are. */
  marks: Map<string, GatewayProcess>
  /** Apps that another program changed, and when. */
  touched: Map<string, number>
  /** Apps of previews that another program made, and when. */
  planted: Map<string, number>
  counts: Map<string, number>
  faults: Set<string>
  /** By fault: what the records and Fly said when it was seen, a line each. */
  evidence: Map<string, string[]>
}
export const newFacts = (): Facts => ({
  known: new Map(),
  marks: new Map(),
  planted: new Map(),
  touched: new Map(),
  counts: new Map(),
  faults: new Set(),
  evidence: new Map(),
})

type Act = (gateway: GatewayProcess, random: Random) => Promise<unknown>

const hex = '0123456789abcdef'.split('')
const owners = ['alice', 'bob', 'carol', 'dave']
/** Only these replace their own previews: the others never have more than the limit. */
export const evictors = ['carol', 'dave']

const usualRefusals = ['preview-limit', 'quota-reached']
const refusals: Record<string, string[]> = { missing: [...usualRefusals, 'image-gone'] }

/** What callers, other programs and crashes do to the previews of some gateways. */
export class Load {
  readonly #world: World
  readonly #facts: Facts
  readonly #acts: readonly (readonly [number, Act])[]

  constructor(world: World, facts: Facts) {
    this.#world = world
    this.#facts = facts
    this.#acts = [
      [50, (gateway, random) => this.#create(gateway, random)],
      [10, (gateway, random) => this.#extend(gateway, random)],
      [10, (gateway, random) => this.#destroy(gateway, random)],
      [4, (gateway, random) => this.#cancel(gateway, random)],
      [14, (gateway, random) => this.#visit(gateway, random)],
      [10, (gateway, random) => this.#meddle(gateway, random)],
      [2, (gateway, random) => this.#plant(gateway, random)],
      [1, async (gateway, random) => this.count(await changeTemplate(gateway, random))],
    ]
  }

  act(gateway: GatewayProcess, random: Random): Promise<unknown> {
    const sum = this.#acts.reduce((total, [weight]) => total + weight, 0)
    let left = random.upTo(sum - 1)
    const [, act] = this.#acts.find(([weight]) => (left -= weight) < 0)!
    return act(gateway, random)
  }

  count(what: string): void {
    const { counts } = this.#facts
    counts.set(what, (counts.get(what) ?? 0) + 1)
  }

  learn(gateway: GatewayProcess, body: unknown): Preview {
    const preview = Preview.parse(body)
    const { known, marks } = this.#facts
    marks.set(markIn(preview.id), gateway)
    const touchedAt = this.#facts.touched.get(preview.flyApp) ?? null
    const fresh = { gateway, wasAsked: false, wasCancelled: false, touchedAt }
    if (known.has(preview.id))
      this.#facts.faults.add(`TWO OWNERS: ${preview.id} was answered to two requests`)
    known.set(preview.id, { ...(known.get(preview.id) ?? fresh), preview })
    return preview
  }

  async #create(gateway: GatewayProcess, random: Random): Promise<void> {
    const owner = random.oneOf(owners)
    const image = random.fraction() < 0.06 ? 'missing' : 'library/alpine'
    const { status, body } = await gateway.call('POST', '/v1/previews', {
      owner,
      source: { image: `${this.#world.registry}/${image}:latest` },
      ttlSeconds: random.fraction() < 0.1 ? null : 2 + random.upTo(mostSeconds - 2),
      ...(random.fraction() < 0.4
        ? pooledRequest
        : {
            app: random.oneOf(Object.keys(teamOf)),
            env: { OWNER: owner },
            ...(random.fraction() < 0.3 && { template: closed.name }),
          }),
      ...(evictors.includes(owner) && random.fraction() < 0.6 && { evict: 'oldest' }),
    })
    if (status === 202) this.learn(gateway, body)
    const { code = '' } = Object(body) as { code?: string }
    const made = Object(body).fromPool === true ? 'made from the pool' : 'made'
    this.count(status === 202 ? made : status === 0 ? 'create cut' : `create ${status} ${code}`)
    if (status >= 400 && !(refusals[image] ?? usualRefusals).includes(code))
      this.#facts.faults.add(`WRONG: a create of ${image} was answered with ${status} ${code}`)
  }

  async #extend(gateway: GatewayProcess, random: Random): Promise<void> {
    const known = this.#some(gateway, random)
    if (!known) return
    const path = `/v1/previews/${known.preview.id}/extend`
    const ttlSeconds = 1 + random.upTo(mostSeconds - 1)
    const { status } = await gateway.call('POST', path, { ttlSeconds })
    this.count(`extend ${status}`)
  }

  async #destroy(gateway: GatewayProcess, random: Random): Promise<void> {
    const known = this.#some(gateway, random)
    if (!known) return
    known.wasAsked = true
    const { status } = await gateway.call('DELETE', `/v1/previews/${known.preview.id}`)
    this.count(`destroy ${status}`)
  }

  async #cancel(gateway: GatewayProcess, random: Random): Promise<void> {
    const known = this.#some(gateway, random)
    if (!known) return
    known.wasCancelled = true
    const path = `/v1/deployments/${known.preview.deployment}/cancel`
    const { status } = await gateway.call('POST', path)
    this.count(`cancel ${status}`)
  }

  /** Sends a request through Fly's proxy to the address of a preview. */
  async #visit(gateway: GatewayProcess, random: Random): Promise<void> {
    const known = this.#some(gateway, random)
    if (!known) return
    const { body } = await gateway.call('GET', `/v1/previews/${known.preview.id}`)
    const read = Preview.safeParse(body).data
    if (!read?.url) return this.count('visit without an address')
    const app = new URL(read.url).hostname.replace(/\.flycast$/, '')
    const { status, text } = await throughProxy(this.#world.fly.apps, `${app}.localhost`)
    if (status !== 200) return this.count('visit unanswered')
    this.count('visit answered')
    const who = JSON.parse(text) as { app: string; owner?: string }
    const isOther = who.owner !== undefined && who.owner !== read.owner // none: by the template
    if (who.app !== read.flyApp || isOther)
      this.#facts.faults.add(`OTHER OWNER: ${read.id} of ${read.owner} was answered by ${text}`)
  }

  /** Does what another program with the same token may do. */
  async #meddle(gateway: GatewayProcess, random: Random): Promise<void> {
    const known = this.#some(gateway, random)
    if (!known) return
    const { state } = this.#world.fly
    // Sometimes with what waits in a pool: callers do not know it.
    const mark = markIn(known.preview.id)
    const others = [...state.apps.keys()].filter((name) => name.includes(`-${mark}`))
    const flyApp =
      random.fraction() < 0.3 && others.length > 0 ? random.oneOf(others) : known.preview.flyApp
    const [machine] = state.machinesOf(flyApp)
    const path = `/v1/apps/${flyApp}`
    const [what, method, to] = random.oneOf([
      ['stop', 'POST', `${path}/machines/${machine?.id}/stop`],
      ['start', 'POST', `${path}/machines/${machine?.id}/start`],
      ['suspend', 'POST', `${path}/machines/${machine?.id}/suspend`],
      ['destroy machine', 'DELETE', `${path}/machines/${machine?.id}?force=true`],
      ['destroy app', 'DELETE', `${path}?force=true`],
    ] as const)
    if (!machine && what !== 'destroy app') return
    const touch = () => {
      this.#facts.touched.set(flyApp, Date.now())
      for (const each of this.#facts.known.values())
        if (each.preview.flyApp === flyApp) each.touchedAt = Date.now()
    }
    touch()
    const headers = { authorization: `Bearer ${flyToken}` }
    const url = this.#world.fly.flyApi + to
    const answer = await fetch(url, { method, headers }).catch(() => null)
    touch()
    this.count(`other program: ${what} ${answer?.status ?? 'cut'}`)
  }

  /** Makes an app that seems a preview of the gateway, of which it has no record. */
  async #plant(gateway: GatewayProcess, random: Random): Promise<void> {
    const known = this.#some(gateway, random)
    if (!known) return
    const letters = Array.from({ length: 8 }, () => random.oneOf(hex)).join('')
    const app_name = `shop-${markIn(known.preview.id)}${letters}`
    const headers = { authorization: `Bearer ${flyToken}` }
    const body = JSON.stringify({ app_name, org_slug: 'personal', network: app_name })
    const url = `${this.#world.fly.flyApi}/v1/apps`
    this.#facts.planted.set(app_name, Date.now())
    await fetch(url, { method: 'POST', headers, body }).catch(() => null)
    this.count('orphan planted')
  }

  /** Mostly one that has an app on Fly now. */
  #some(gateway: GatewayProcess, random: Random): Known | undefined {
    const own = [...this.#facts.known.values()].filter((known) => known.gateway === gateway)
    const present = own.filter(({ preview }) => this.#world.fly.state.apps.has(preview.flyApp))
    const recent = random.fraction() < 0.9 && present.length > 0 ? present : own.slice(-20)
    return recent.length > 0 ? random.oneOf(recent) : undefined
  }
}

export const markIn = (id: string): string => id.slice(0, 'pv-xxxx'.length)

async function throughProxy(apps: string, host: string) {
  const { promise, resolve } = Promise.withResolvers<{ status: number; text: string }>()
  const signal = AbortSignal.timeout(5000)
  request(`${apps}/whoami`, { headers: { host }, signal, agent: false }, (response) => {
    let text = ''
    response.setEncoding('utf8').on('data', (part) => (text += String(part)))
    response.on('end', () => resolve({ status: response.statusCode ?? 0, text }))
    response.on('error', () => resolve({ status: 0, text }))
  })
    .on('error', () => resolve({ status: 0, text: '' }))
    .end()
  return promise
}
