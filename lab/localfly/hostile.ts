import { createHash } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { z } from 'zod'
import type { FlyState, Machine } from './state.ts'

/**
 * The faults of Fly, each on demand. `at`: when a rule decides, at a call to the API, when localfly
 * works on a machine, or always. `ms`: the meaning of the rule's `ms`, and its default.
 */
export const faults = {
  'rate-limit': {
    at: 'call',
    about: '429; the call is not executed',
    ms: ['`Retry-After` in whole seconds; 0: no such header', 0],
  },
  'error-before': { at: 'call', about: '503; the call is not executed' },
  'error-after': { at: 'call', about: 'the call is executed, and answered with 500' },
  'timeout-after': {
    at: 'call',
    about: 'the call is executed, and answered with 408 `deadline_exceeded`',
  },
  late: {
    at: 'call',
    about: 'the call is answered with 408 `deadline_exceeded` at once, and executed later',
    ms: ['how much later', 2000],
  },
  refused: {
    at: 'call',
    about:
      "a create, an update or a start of a machine gets one of Fly's own refusals and is not executed; `refusal` selects it (`no-memory` 409, `no-capacity` 422, `over-quota` 403, `deploys-off` 503), otherwise the seed does. Only where it is selected: `host-full` 412, and `no-volume-room` 400 for the create of a volume",
  },
  denied: {
    at: 'call',
    about: '403, as for a token that may not do this; the call is not executed',
  },
  edge: { at: 'call', about: "502 with an edge's HTML page; the call is not executed" },
  unseen: {
    at: 'call',
    about: '404, as for a resource that was created a moment ago; the call is not executed',
  },
  'cut-before': { at: 'call', about: 'the connection is cut; the call is not executed' },
  cut: { at: 'call', about: 'the call is executed, and the connection is cut before the answer' },
  'cut-midway': {
    at: 'call',
    about: 'the call is executed, and the connection is cut in the middle of the answer',
  },
  slow: {
    at: 'call',
    about: 'the call is executed, and the answer is delayed',
    ms: ['the delay', 2000],
  },
  'lease-stolen': {
    at: 'call',
    about: 'when a call with a lease arrives, somebody else has the lease',
    ms: ['how long the other one keeps it', 5000],
  },
  'old-init': {
    at: 'call',
    about: 'a `ps` answers without sockets, as the init of an old machine does',
  },
  'host-gone': {
    at: 'call',
    about:
      "the machine's host is unreachable from this call on: the machine is shown as `unreachable` without a config, changes get 503, and the proxy sends it no requests",
    ms: ['for how long; 0: until the faults are removed', 0],
  },
  'pull-fails': {
    at: 'machine',
    about:
      'the image cannot be pulled: a new machine becomes `failed`; an updated one silently returns to its previous version',
  },
  reverts: {
    at: 'machine',
    about:
      'an update is given up after the machine has stopped: the previous version silently runs again',
  },
  'slow-start': {
    at: 'machine',
    about: 'the machine takes longer to start',
    ms: ['how much longer', 3000],
  },
  'slow-stop': {
    at: 'machine',
    about: 'the machine takes longer to stop, regardless of its kill timeout',
    ms: ['how much longer', 4000],
  },
  'never-starts': { at: 'machine', about: 'the machine does not start and becomes `failed`' },
  crashes: {
    at: 'machine',
    about: 'the program is killed after its start',
    ms: ['how long after the start', 1000],
  },
  'clock-skew': {
    at: 'always',
    about: 'every time in an answer is shifted',
    ms: ['the shift; it may be negative', 60_000],
  },
} as const satisfies Record<
  string,
  { at: 'call' | 'machine' | 'always'; about: string; ms?: readonly [string, number] }
>

/**
 * Fly's refusals for machines: HTTP status, text, and the newer `status` code where there is one.
 */
export const refusals = {
  'no-memory': [
    409,
    'aborted: could not reserve resource for machine: insufficient memory available to fulfill request',
  ],
  'no-capacity': [
    422,
    'insufficient resources available to fulfill request',
    'insufficient_capacity',
  ],
  'host-full': [412, 'insufficient resources to create new machine with existing volume'],
  'no-volume-room': [400, 'no capacity'],
  'over-quota': [403, 'Your organization has reached its machine limit'],
  'deploys-off': [
    503,
    'unavailable: deploys to this host are temporarily disabled, please try again later',
  ],
} as const satisfies Record<string, readonly [number, string, string?]>

export type Refusal = keyof typeof refusals
const refusalNames = Object.keys(refusals) as [Refusal, ...Refusal[]]
/** Only where a rule names them: they are of single kinds of calls. */
const drawnNames = refusalNames.filter((name) => name !== 'host-full' && name !== 'no-volume-room')
const refusable = /^POST \/apps\/[^/]+\/machines(?:\/[^/]+(?:\/start)?)?$/
const refusableVolume = /^POST \/apps\/[^/]+\/volumes$/

export type Fault = keyof typeof faults
const names = Object.keys(faults) as [Fault, ...Fault[]]

/** One fault, with its rate, its number of strikes, and its target. */
export const Rule = z.strictObject({
  fault: z.enum(names),
  /** The share of its matching cases that it strikes. */
  rate: z.number().min(0).max(1).default(1),
  /** The maximum number of strikes. */
  times: z.int().min(0).optional(),
  /** The number of cases of each kind that pass before the first strike. */
  skip: z.int().min(0).default(0),
  app: z.string().optional(),
  /** By id or name. */
  machine: z.string().optional(),
  /**
   * A regular expression for `POST /apps/shop/machines/{id}/lease`, or `POST /releases` of the web
   * API; only for faults at a call.
   */
  on: z.string().optional(),
  ms: z.number().optional(),
  /** Only for `refused`. */
  refusal: z.enum(refusalNames).optional(),
})
/** With `app` the rules apply only to that app, and replace only its rules. */
export const Hostility = z.strictObject({
  seed: z.int().default(1),
  app: z.string().optional(),
  faults: z.array(Rule).default([]),
})
export type Hostility = z.input<typeof Hostility>
/** The strikes, oldest first. */
export type Strike = {
  fault: Fault
  at: string
  app: string
  machine: string | null
  call: string | null
}

/** The case that a rule decides on. `call` is as in a rule's `on`. */
export type Case = { app: string; machine?: Machine | undefined; call?: string }
type Live = z.output<typeof Rule> & { salt: string; seen: Map<string, number>; struck: number }
type Struck = { fault: Fault; ms: number; refusal: Refusal }

const strikesKept = 10_000

/**
 * Decides the faults by a seed: the n-th case of a kind (one call to one machine, one machine's
 * n-th start) always has the same outcome, in any order of the kinds.
 */
export class Hostile {
  /** Called for each machine whose host is lost. */
  onGone: (machine: Machine) => void = () => {}
  readonly #state: FlyState
  #rules: Live[] = []
  #strikes: Strike[] = []
  readonly #goneUntil = new Map<string, number>()

  constructor(state: FlyState) {
    this.#state = state
  }

  /** Replaces the rules, and returns and forgets the strikes of the earlier ones. */
  set({ seed, app, faults }: z.output<typeof Hostility>): Strike[] {
    const before = this.strikesOn(app)
    const isOther = (its: string | undefined) => app !== undefined && its !== app
    const rules = faults.map((rule, index): Live => {
      const live = { ...rule, salt: `${seed} ${index}`, seen: new Map<string, number>(), struck: 0 }
      return app === undefined ? live : { ...live, app }
    })
    this.#rules = [...this.#rules.filter((rule) => isOther(rule.app)), ...rules]
    this.#strikes = this.#strikes.filter((strike) => isOther(strike.app))
    for (const id of this.#goneUntil.keys())
      if (!isOther(this.#state.machines.get(id)?.own.app)) this.#goneUntil.delete(id)
    return before
  }

  strikesOn(app?: string): Strike[] {
    return this.#strikes.filter((strike) => app === undefined || strike.app === app)
  }

  /** Returns the first rule of these faults that strikes now. */
  strikes(among: readonly Fault[], met: Case): Struck | null {
    for (const rule of this.#rules)
      if (among.includes(rule.fault) && matches(rule, met) && this.#draw(rule, met))
        return this.#strike(rule, met)
    return null
  }

  /** Throws when the fault strikes the machine. */
  meet(fault: Fault, machine: Machine): void {
    if (this.strikes([fault], { app: machine.own.app, machine })) throw new FaultError(fault)
  }

  /** When the fault strikes the machine, runs the effect after the rule's time. */
  later(fault: Fault, machine: Machine, effect: () => void): void {
    const struck = this.strikes([fault], { app: machine.own.app, machine })
    if (struck) setTimeout(effect, struck.ms).unref()
  }

  /** When the fault strikes the machine, waits for the rule's time. */
  async hold(fault: Fault, machine: Machine, signal: AbortSignal): Promise<void> {
    const struck = this.strikes([fault], { app: machine.own.app, machine })
    if (struck) await sleep(struck.ms, undefined, { signal })
  }

  isGone(machine: Machine): boolean {
    return (this.#goneUntil.get(machine.id) ?? 0) > Date.now()
  }

  skewMs(app: string): number {
    const rule = this.#rules.find((each) => each.fault === 'clock-skew' && matches(each, { app }))
    return rule ? msOf(rule) : 0
  }

  #draw(rule: Live, met: Case): boolean {
    const kind = this.#kind(met)
    const number = rule.seen.get(kind) ?? 0
    rule.seen.set(kind, number + 1)
    if (number < rule.skip || rule.struck >= (rule.times ?? Infinity)) return false
    return fraction(`${rule.salt} ${kind} ${number}`) < rule.rate
  }

  #strike(rule: Live, { app, machine, call }: Case): Struck {
    const { fault } = rule
    rule.struck++
    this.#strikes.push({
      fault,
      at: new Date().toISOString(),
      app,
      machine: machine?.id ?? null,
      call: call ?? null,
    })
    if (this.#strikes.length > strikesKept) this.#strikes.shift()
    if (fault === 'host-gone' && machine) {
      this.#goneUntil.set(machine.id, Date.now() + (msOf(rule) || Infinity))
      this.onGone(machine)
    }
    const drawn =
      drawnNames[Math.floor(fraction(`${rule.salt} ${rule.struck}`) * drawnNames.length)]!
    return { fault, ms: msOf(rule), refusal: rule.refusal ?? drawn }
  }

  /** Names a machine by its position in the app, because ids differ in each run. */
  #kind({ app, machine, call }: Case): string {
    if (!machine) return `${app} ${call}`
    const place = [...this.#state.machines.values()]
      .filter(({ own }) => own.app === app)
      .indexOf(machine)
    return `${app} ${place} ${call?.replace(machine.id, '')}`
  }
}

/** A fault, thrown at the work on a machine. */
export class FaultError extends Error {
  readonly fault: Fault
  constructor(fault: Fault) {
    super(`${faults[fault].about} (a fault that was asked for)`)
    this.name = 'FaultError'
    this.fault = fault
  }
}

function matches(rule: Live, { app, machine, call }: Case): boolean {
  if (rule.app !== undefined && rule.app !== app) return false
  if (rule.machine !== undefined && rule.machine !== machine?.id && rule.machine !== machine?.name)
    return false
  if (rule.fault === 'host-gone' && !machine) return false
  const refused = rule.refusal === 'no-volume-room' ? refusableVolume : refusable
  if (rule.fault === 'refused' && !refused.test(call ?? '')) return false
  return rule.on === undefined || call === undefined || new RegExp(rule.on).test(call)
}

function msOf({ fault, ms }: Pick<Live, 'fault' | 'ms'>): number {
  const fact = faults[fault]
  return ms ?? ('ms' in fact ? fact.ms[1] : 0)
}

const fraction = (text: string): number =>
  createHash('sha256').update(text).digest().readUInt32BE(0) / 2 ** 32
