import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { type Call, Facts, randomCall } from './callers/calls.ts'
import { type Change, operator, randomChange, randomRights, ruleOf } from './callers/changes.ts'
import { type Fault, Judge } from './callers/judge.ts'
import { Ledger } from './callers/ledger.ts'
import {
  allowed,
  type Model,
  type Person,
  type Proof,
  rightAnswers,
  type Rights,
} from './callers/rights.ts'
import { type Answer, Sender } from './callers/send.ts'
import { operatorToken, startWorld, type World } from './callers/world.ts'
import { Random } from './random.ts'
import { readNumbers } from './read-numbers.ts'

const about =
  'callers of several teams call everything at random while their rights change and the gateway is killed; finds acts without right and rights that are lost: [--principals 50] [--teams 10] [--times 5000] [--kills 3] [--seed N]'

type Plan = {
  principals: number
  teams: number
  times: number
  kills: number
  seed: number
  port: number
  say: (line: string) => void
}

async function run(args: string[]): Promise<boolean> {
  const defaults = { principals: 50, teams: 10, times: 5000, kills: 3, port: 8471 }
  return (await callAtRandom({ ...readNumbers(args, defaults), say: console.log })).length === 0
}

export const soakCallers = { about, run }

const askers = 6
const colours = ['red', 'blue', 'green', 'grey']

/** Returns every act without right, right that was lost, wrong refusal, and app that was shown. */
export async function callAtRandom(plan: Plan): Promise<Fault[]> {
  const { seed, say } = plan
  say(`soak: seed ${seed}`)
  const startedAt = performance.now()
  await using world = await startWorld(plan.port)
  const soak = await Soak.open(world, plan)
  await soak.run()
  const faults = await soak.finish()

  say(`soak: ends of allowed calls and deployments: ${soak.failures()}`)
  const counted = (kind: Fault['kind']) => faults.filter((fault) => fault.kind === kind).length
  for (const { kind, what } of faults.slice(0, 50)) say(`FAULT ${kind}: ${what}`)
  const minutes = ((performance.now() - startedAt) / 60_000).toFixed(1)
  say(
    `soak: seed ${seed}, ${minutes} min: ${soak.summary()}; acts without right ${counted('act')}, rights lost ${counted('lost')}, wrong refusals ${counted('wrong')}, apps of others shown ${counted('seen')}`,
  )
  return faults
}

class Soak {
  readonly #world: World
  readonly #plan: Plan
  readonly #sender: Sender
  readonly #judge: Judge
  readonly #facts: Facts
  readonly #ledger = new Ledger()
  #left: number
  #kills = 0
  #changes = 0
  #swept = 0
  /** Resolves when the gateway runs again. */
  #up: Promise<void> = Promise.resolve()
  /** When the proof of a person stopped working, by the text of a secret or the name of a rule. */
  readonly #endedAt = new Map<string, number>()

  static async open(world: World, plan: Plan): Promise<Soak> {
    const random = new Random(plan.seed, 'people')
    const facts = new Facts(appNames(plan.teams), await archive())
    facts.issuer = world.issuer.url
    const soak = new Soak(world, plan, facts)
    await soak.#deployAll()
    await soak.#makeTeams(random)
    await soak.#makePeople(random)
    return soak
  }

  private constructor(world: World, plan: Plan, facts: Facts) {
    this.#world = world
    this.#plan = plan
    this.#facts = facts
    this.#left = plan.times
    this.#sender = new Sender(world)
    this.#judge = new Judge({
      people: new Map([[operator, operatorPerson]]),
      members: new Map(),
      teamOf: new Map(),
      everMembers: new Set(),
    })
  }

  async run(): Promise<void> {
    const stop = new AbortController()
    const others = [this.#changeRights(stop.signal), this.#killNow(stop.signal)]
    await Promise.all(Array.from({ length: askers }, (_, at) => this.#ask(at)))
    stop.abort()
    await Promise.all(others)
  }

  /** Waits until everything that was begun has ended, and compares the records with the answers. */
  async finish(): Promise<Fault[]> {
    await this.#sweep()
    const read = (path: string, headers = {}) => this.#operate('GET', path, undefined, headers)
    const records = await this.#ledger.atRest(read)
    const found = [...this.#judge.faults, ...this.#ledger.faults(records)]
    this.#sender.close()
    return found
  }

  summary(): string {
    const { people } = this.#judge.now
    const { deployments, rollouts } = this.#facts
    return `${people.size} principals, ${deployments.length} deployments, ${rollouts.length} rollouts, ${this.#changes} changes of rights, ${this.#kills} kills, ${this.#swept} reads after kills, ${this.#ledger.summary()}`
  }

  failures(): string {
    return this.#ledger.failures()
  }

  async #ask(at: number): Promise<void> {
    const random = new Random(this.#plan.seed, 'asker', at)
    while (this.#left-- > 0) {
      await this.#up
      const person = random.oneOf([...this.#judge.now.people.values()])
      const call = this.#call(person, random)
      if (this.#isLeftOut(person, call)) continue
      await this.#make(person, call, randomProof(person, random))
    }
  }

  /** Mostly a call that the person may make: else nearly all would be refused. */
  #call(person: Person, random: Random): Call {
    let call = randomCall(this.#facts, random)
    if (random.fraction() < 0.4) return call
    for (let tries = 0; tries < 8 && !this.#isOpen(person, call); tries++)
      call = randomCall(this.#facts, random)
    return call
  }

  /** Calls that the soak itself makes, or nobody who may. */
  #isLeftOut(person: Person, call: Call): boolean {
    if (person.kind === 'link') return call.need.link === 'makes' && person.used === null
    if (!call.isForbidden) return false
    return this.#isOpen(person, call)
  }

  /** Whether a person may make a call, now or when the change under way has happened. */
  #isOpen(person: Person, { need }: Call): boolean {
    const asked = { who: person.id, proof: properProof(person), need }
    return [this.#judge.now, this.#judge.next].some(
      (model) => model && rightAnswers(model, asked, Date.now()).includes(allowed),
    )
  }

  /** Returns the answer, and whether it was allowed. */
  async #make(person: Person, call: Call, proof: Proof): Promise<{ answer: Answer; ok: boolean }> {
    const asked = this.#judge.begin(person.id, proof, call)
    const answer = await this.#sender.send(call, { person, proof })
    const ok = this.#judge.end(asked, answer)
    this.#ledger.note(person, call, answer, ok)
    if (ok && call.makes && answer.status === 202) this.#learn(call, answer)
    if (call.follows) this.#lookAtEnd(person, proof, answer)
    return { answer, ok }
  }

  #learn({ makes }: Call, { text }: Answer): void {
    const { id } = JSON.parse(text) as { id: string }
    if (makes && 'rollout' in makes) this.#facts.rollouts.push({ id, targets: makes.rollout })
    else if (makes) this.#facts.deployments.push({ id, ...makes })
  }

  /** A log that is being read is cut when the proof of its reader ends. */
  #lookAtEnd(person: Person, proof: Proof, { text }: Answer): void {
    const endedAt = this.#endedAt.get(proof.by === 'secret' ? proof.text : person.id)
    if (endedAt === undefined) return
    for (const [, at] of text.matchAll(/"at":"([^"]+)"/g))
      if (Date.parse(at!) > endedAt + cutMs) {
        const what = `${person.name} read an event of ${at}, ${Date.parse(at!) - endedAt} ms after its right had ended`
        this.#judge.faults.push({ kind: 'act', what })
        return
      }
  }

  async #changeRights(signal: AbortSignal): Promise<void> {
    const random = new Random(this.#plan.seed, 'changes')
    while (!signal.aborted) {
      await this.#up
      const { facts, judge } = { facts: this.#facts, judge: this.#judge }
      const change = randomChange(judge.now, { facts, random, keep: this.#plan.principals })
      if (change) await this.#change(change)
      await sleep(10 + random.upTo(60))
    }
  }

  async #change(change: Change): Promise<void> {
    const judge = this.#judge
    const before = judge.now
    const person = before.people.get(change.who)!
    judge.changes(change.after(before, null, false))
    let { answer } = await this.#make(person, change.call, properProof(person))
    let isRepeated = false
    while (answer.status === 0 && change.redo !== 'forget') {
      await this.#up
      isRepeated = true
      const by = change.redo === 'by-operator' ? operatorPerson : person
      const call = { ...change.call, ...(change.again && { body: change.again }) }
      answer = await this.#sender.send(call, { person: by, proof: properProof(by) })
    }
    const isDone = answer.status > 0 && answer.status < 300
    // What was done before the kill need not be done again.
    const hasHappened = isDone || (isRepeated && change.redo === 'by-operator')
    if (isDone) judge.changes(change.after(before, answer, isRepeated))
    judge.changed(hasHappened)
    if (hasHappened) this.#changes++
    this.#noteEnds(before)
  }

  #noteEnds(before: Model): void {
    const now = Date.now()
    for (const [key, { kind, isRevoked, secrets, expiresAt }] of this.#judge.now.people) {
      const wasRevoked = before.people.get(key)?.isRevoked ?? false
      if (isRevoked && !wasRevoked)
        for (const { text } of [{ text: key }, ...secrets]) this.#end(text, now)
      // A rule that came back gives the right again.
      if (!isRevoked && wasRevoked) this.#endedAt.delete(key)
      for (const { text, until } of secrets) {
        if (until !== Infinity) this.#end(text, Math.max(now, until))
        if (kind !== 'link' && expiresAt !== Infinity) this.#end(text, expiresAt)
      }
    }
  }

  #end(key: string, at: number): void {
    this.#endedAt.set(key, Math.min(at, this.#endedAt.get(key) ?? Infinity))
  }

  async #killNow(signal: AbortSignal): Promise<void> {
    const { kills, times, seed } = this.#plan
    const random = new Random(seed, 'kills')
    while (this.#kills < kills && !signal.aborted) {
      const next = (times * (this.#kills + 1)) / (kills + 1)
      if (times - this.#left < next) {
        await sleep(50 + random.upTo(50))
        continue
      }
      const { promise, resolve } = Promise.withResolvers<void>()
      this.#up = promise
      await this.#world.kill()
      await this.#world.start()
      this.#kills++
      resolve()
      this.#plan.say(`soak: kill ${this.#kills}; ${this.#ledger.summary()}`)
      await this.#sweep()
    }
  }

  /** Each caller asks for each app once. */
  async #sweep(): Promise<void> {
    const { apps } = this.#facts
    const pairs = [...this.#judge.now.people.values()].flatMap((person) =>
      apps.map((app) => ({ person, app })),
    )
    const reader = async () => {
      for (let pair = pairs.pop(); pair; pair = pairs.pop()) {
        const { person, app } = pair
        const need = { scope: 'read', targets: [{ app }], hidden: 'app-not-found' } as const
        const path = `/v1/apps/${app}/deployments?limit=1`
        const call: Call = { command: 'deployments', changes: false, method: 'GET', path, need }
        const now = this.#judge.now.people.get(person.id)!
        await this.#make(now, call, properProof(now))
        this.#swept++
      }
    }
    await Promise.all(Array.from({ length: askers }, reader))
  }

  async #operate(method: string, path: string, body?: object, more = {}): Promise<Answer> {
    const headers = { ...(body && { 'content-type': 'application/json' }), ...more }
    const sent = { method, path, headers, ...(body && { body }) }
    const answer = await this.#sender.send(sent, {
      person: operatorPerson,
      proof: properProof(operatorPerson),
    })
    if (answer.status >= 200 && answer.status < 300) return answer
    throw new Error(`${method} ${path}: ${answer.status} ${answer.text.slice(0, 500)}`)
  }

  /** Each app runs once before the calls begin: the first one is built, the others have its image. */
  async #deployAll(): Promise<void> {
    const { archive: source, apps } = this.#facts
    const headers = { 'content-type': 'application/gzip' }
    const proof = properProof(operatorPerson)
    const built = await this.#sender.send(
      { method: 'PUT', path: '/deploy/seed?wait=true', body: source, headers },
      { person: operatorPerson, proof },
      { timeoutMs: 120_000 },
    )
    if (built.status !== 200) throw new Error(built.text)
    const release = JSON.parse((await this.#operate('GET', '/v1/apps/seed/releases/1')).text) as {
      image: { reference: string }
    }
    this.#facts.image = release.image.reference
    const begun = await Promise.all(
      apps.map(async (app) => {
        const source = { image: this.#facts.image }
        const { text } = await this.#operate('POST', `/v1/apps/${app}/deployments`, { source })
        const { id } = JSON.parse(text) as { id: string }
        this.#facts.deployments.push({ id, app, owner: null })
        return { id, app }
      }),
    )
    for (const { id, app } of begun) {
      const { text } = await this.#operate('GET', `/v1/deployments/${id}/events`, undefined, {
        accept: 'application/x-ndjson',
      })
      if (!text.includes('"state":"live"')) throw new Error(`${app} is not live: ${text}`)
      const machines = await this.#operate('GET', `/v1/apps/${app}/machines`)
      const [, machine] = /"id":"(\w+)"/.exec(machines.text) ?? []
      if (machine) this.#facts.machines.set(app, machine)
    }
    const teamOf = new Map(apps.map((app) => [app, 'default']))
    this.#judge.now = { ...this.#judge.now, teamOf }
  }

  async #makeTeams(random: Random): Promise<void> {
    const { apps } = this.#facts
    const members = new Map<string, ReadonlySet<string>>()
    const teamOf = new Map(this.#judge.now.teamOf)
    for (let n = 1; n <= this.#plan.teams; n++) {
      await this.#operate('POST', '/v1/teams', { name: `team-${n}` })
      members.set(`team-${n}`, new Set())
    }
    for (const app of apps) {
      const team = random.oneOf(['default', ...members.keys()])
      if (team === 'default') continue
      await this.#operate('PUT', `/v1/teams/${team}/apps/${app}`)
      teamOf.set(app, team)
    }
    this.#judge.now = { ...this.#judge.now, members, teamOf }
  }

  async #makePeople(random: Random): Promise<void> {
    const people = new Map(this.#judge.now.people)
    const members = new Map(this.#judge.now.members)
    const everMembers = new Set<string>()
    const teams = [...members.keys()]
    // One rule that nobody removes, so that the gateway always knows the issuer.
    const anchor = {
      ...operatorPerson,
      kind: 'oidc' as const,
      id: 'anchor',
      scopes: ['read'] as const,
    }
    await this.#operate('POST', '/v1/rules', ruleOf(anchor, this.#facts.issuer))
    for (let n = 1; n <= this.#plan.principals; n++) {
      const rights = randomRights({ facts: this.#facts, random, teams })
      const kind = n % 5 === 0 ? 'oidc' : n % 7 === 0 ? 'proxy' : 'token'
      const person = await this.#newPerson(n, kind, rights)
      people.set(person.id, person)
      for (let joined = random.upTo(2); joined > 0; joined--) {
        const team = random.oneOf(teams)
        await this.#operate('PUT', `/v1/teams/${team}/members/${encodeURIComponent(person.name)}`)
        members.set(team, new Set([...members.get(team)!, person.name]))
        everMembers.add(person.name)
      }
    }
    this.#judge.now = { ...this.#judge.now, people, members, everMembers }
    this.#noteEnds(this.#judge.now)
  }

  async #newPerson(n: number, kind: 'token' | 'oidc' | 'proxy', rights: Rights): Promise<Person> {
    const id = `${kind}-${n}`
    const base = { ...operatorPerson, ...rights, kind, id, createdBy: operator, secrets: [] }
    if (kind !== 'token') {
      const name = kind === 'oidc' ? id : `tailscale-user:person-${n}@example.com`
      // A token of an issuer lives for an hour.
      const expiresAt = kind === 'oidc' ? Math.ceil(Date.now() / 1000 + 3600) * 1000 : Infinity
      const person = { ...base, name, expiresAt }
      await this.#operate('POST', '/v1/rules', ruleOf(person, this.#facts.issuer))
      return person
    }
    const asked = { name: id, ...rights, expires: n % 6 === 0 ? '60s' : '2h' }
    const { text } = await this.#operate('POST', '/v1/tokens', asked)
    const made = JSON.parse(text) as { id: string; token: string; expiresAt: string }
    return {
      ...base,
      id: made.id,
      name: `token:${rights.team === null ? '' : `${rights.team}/`}${id}`,
      secrets: [{ text: made.token, until: Infinity }],
      expiresAt: Date.parse(made.expiresAt),
    }
  }
}

/** A log may hold events of this time after the end of its reader's right: they were under way. */
const cutMs = 1000

const operatorPerson: Person = {
  kind: 'operator',
  name: operator,
  id: operator,
  scopes: ['admin'],
  apps: null,
  owners: null,
  team: null,
  secrets: [{ text: operatorToken, until: Infinity }],
  expiresAt: Infinity,
  isRevoked: false,
  maker: null,
  createdBy: '',
  used: null,
}

function properProof({ kind, secrets }: Person): Proof {
  if (kind === 'oidc') return { by: 'jwt', fault: null }
  if (kind === 'proxy') return { by: 'proxy', isTrusted: true }
  return { by: 'secret', text: secrets[0]!.text }
}

function randomProof(person: Person, random: Random): Proof {
  const luck = random.fraction()
  if (luck < 0.02) return { by: 'nothing' }
  if (luck > 0.15) return properProof(person)
  if (person.kind === 'oidc') return { by: 'jwt', fault: luck < 0.08 ? 'expired' : 'audience' }
  if (person.kind === 'proxy') return { by: 'proxy', isTrusted: false }
  return { by: 'secret', text: random.oneOf(person.secrets).text }
}

const appNames = (teams: number) =>
  Array.from({ length: teams * 2 + 4 }, (_, n) => `${colours[n % colours.length]}-app-${n + 1}`)

async function archive(): Promise<Uint8Array<ArrayBuffer>> {
  const dir = await mkdtemp(join(tmpdir(), 'callers-source-'))
  await writeFile(join(dir, 'Dockerfile'), 'FROM alpine\nCOPY Dockerfile /\nCMD ["httpd", "-f"]\n')
  const tar = await promisify(execFile)('tar', ['cz', '-C', dir, '.'], { encoding: 'buffer' })
  await rm(dir, { recursive: true })
  return new Uint8Array(tar.stdout)
}
