import type { Call } from './calls.ts'
import { allowed, type Model, type Proof, rightAnswers, seesApp, teamsOf } from './rights.ts'
import type { Answer } from './send.ts'

export type Fault = { kind: 'act' | 'lost' | 'wrong' | 'seen'; what: string }

/** A request that is under way, and the answers that are right while rights change. */
export type Asked = {
  who: string
  proof: Proof
  call: Call
  possible: Set<string>
  /** All models of the time in which it ran. */
  models: Set<Model>
}

/**
 * What is right now, and what will be right when the change that is under way has happened. Until
 * the gateway has answered a change, both are right.
 */
export class Judge {
  now: Model
  next: Model | null = null
  readonly faults: Fault[] = []
  readonly #open = new Set<Asked>()

  constructor(model: Model) {
    this.now = model
  }

  begin(who: string, proof: Proof, call: Call): Asked {
    const asked = { who, proof, call, possible: new Set<string>(), models: new Set<Model>() }
    this.#open.add(asked)
    this.#note(asked)
    return asked
  }

  /** A change is sent. */
  changes(next: Model): void {
    this.next = next
    for (const asked of this.#open) this.#note(asked)
  }

  /** A change was answered: it happened or not. */
  changed(hasHappened: boolean): void {
    if (hasHappened && this.next) this.now = this.next
    this.next = null
  }

  /** Returns whether the answer is `allowed`. */
  end(asked: Asked, answer: Answer): boolean {
    this.#note(asked)
    this.#open.delete(asked)
    if (answer.status === 0) return false
    const { who, call, possible } = asked
    const got = shapeOf(answer, call)
    const line = `${call.command} (${call.method} ${call.path}) by ${this.#shown(who)}`
    if (!possible.has(got)) {
      const kind = got === allowed ? 'act' : possible.has(allowed) ? 'lost' : 'wrong'
      const wanted = [...possible].join(' or ')
      this.faults.push({
        kind,
        what: `${line}: expected ${wanted}, got ${got} ${answer.status} ${answer.text.slice(0, 300)}`,
      })
    }
    if (got === allowed || answer.status >= 400) this.#lookFor(asked, answer, line)
    return got === allowed
  }

  #note(asked: Asked): void {
    const { who, proof, call } = asked
    for (const model of [this.now, this.next]) {
      if (!model) continue
      asked.models.add(model)
      for (const right of rightAnswers(model, { who, proof, need: call.need }, Date.now()))
        asked.possible.add(right)
    }
  }

  /** No answer names an app that its caller may not see, except those that it asked for or is limited to. */
  #lookFor({ who, call, models }: Asked, { text: whole }: Answer, line: string): void {
    // A record and its log say where the image is from. Who deployed it there could see both apps.
    const text = whole
      .replaceAll(/"(?:from|reference|image|source)":(?:"[^"]*"|\{[^{}]*\})/g, '')
      .replaceAll(/[\w.-]+:\d+\/[\w-]+(?=[@: ])/g, '')
    const { apps } = this.now.people.get(who) ?? {}
    const asked = JSON.stringify([call.path, call.need.targets, call.body, apps])
    const named = new Set(text.match(appName))
    for (const app of named) {
      if (asked.includes(app) || !this.now.teamOf.has(app)) continue
      if ([...models].some((model) => seesApp(model, who, app))) continue
      this.faults.push({
        kind: 'seen',
        what: `${line} names ${app}: ${text.slice(Math.max(0, text.indexOf(app) - 200), text.indexOf(app) + 100)}`,
      })
    }
    if (call.command !== 'overview.apps' || text.includes('"code"')) return
    for (const [app] of this.now.teamOf) {
      const isSure = [...models].every((model) => model.teamOf.has(app) && seesApp(model, who, app))
      const hasOwners = this.now.people.get(who)?.owners !== null
      if (isSure && !hasOwners && !named.has(app))
        this.faults.push({ kind: 'lost', what: `${line} lacks ${app}` })
    }
  }

  #shown(who: string): string {
    const person = this.now.people.get(who)
    if (!person) return who
    const { name, scopes, apps, owners } = person
    const teams = teamsOf(this.now, person)
    return `${name} ${JSON.stringify({ scopes, apps, owners, teams })}`
  }
}

/** Apps of the soak. Nothing else has such a name. */
export const appName = /\b(?:red|blue|green|grey)-app-\d+\b/g

const refusals =
  /^(?:unauthorized|forbidden|token-(?:used|revoked|expired|damaged)|oidc-.*|proxy-.*|team-unclear)$/

function shapeOf({ status, code }: Answer, { need }: Call): string {
  const isRefusal = refusals.test(code) || (code !== '' && code === need.hidden)
  return isRefusal ? `${status} ${code}` : allowed
}
