import { setTimeout as sleep } from 'node:timers/promises'
import { AuditEntry } from '#api/callers/audit.ts'
import { type Deployment, isFinal } from '#api/deployment.ts'
import type { Call } from './calls.ts'
import type { Fault } from './judge.ts'
import type { Person } from './rights.ts'
import type { Answer } from './send.ts'

type Counts = { done: number; unknown: number }
type Records = { deployments: Deployment[]; entries: AuditEntry[] }
type Read = (path: string, headers?: Record<string, string>) => Promise<Answer>

const restMs = 180_000

/** What was answered, to compare it with the records of the gateway. */
export class Ledger {
  /** Changes by caller and command. */
  readonly #changes = new Map<string, Counts>()
  /** Who made each deployment that was answered. */
  readonly #made = new Map<string, string>()
  readonly #cancelled = new Set<string>()
  readonly #answers = new Map<string, number>()
  #calls = 0
  #allowed = 0
  #refused = 0
  #unanswered = 0

  note({ name }: Person, call: Call, { status, code, text }: Answer, isAllowed: boolean): void {
    this.#calls++
    if (status === 0) this.#unanswered++
    else if (isAllowed) this.#allowed++
    else this.#refused++
    if (isAllowed && status >= 400) this.#count(this.#answers, `${call.command}: ${status} ${code}`)
    if (!call.changes) return
    const counts = this.#of(`${name} ${call.command}`)
    if (status === 0) counts.unknown++
    else if (status < 300) counts.done++
    if (call.cancels && (status < 300 || status === 0)) this.#cancelled.add(call.cancels)
    if (call.makes && !('rollout' in call.makes) && status === 202)
      this.#made.set((JSON.parse(text) as { id: string }).id, name)
  }

  summary(): string {
    const changes = [...this.#changes.values()].reduce((sum, { done }) => sum + done, 0)
    return `${this.#calls} calls: ${this.#allowed} allowed (${changes} changed something), ${this.#refused} refused, ${this.#unanswered} without an answer`
  }

  /** Calls that were allowed and failed for another reason. */
  failures(): string {
    const sorted = [...this.#answers].toSorted(([, a], [, b]) => b - a)
    return sorted.map(([what, count]) => `${count} ${what}`).join(', ')
  }

  /** Waits until no deployment runs, and reads the records. */
  async atRest(read: Read): Promise<Records> {
    const deadline = performance.now() + restMs
    for (;;) {
      const deployments = await allDeployments(read)
      const isOver = deployments.every(({ state }) => isFinal(state))
      if (isOver || performance.now() > deadline) {
        const { text } = await read('/v1/audit', { accept: 'application/x-ndjson' })
        const lines = text.trimEnd().split('\n')
        return { deployments, entries: lines.map((line) => AuditEntry.parse(JSON.parse(line))) }
      }
      await sleep(300)
    }
  }

  faults({ deployments, entries }: Records): Fault[] {
    return [...this.#ofTrail(entries), ...this.#ofDeployments(deployments)]
  }

  /** The trail has each change that was answered, and no other that succeeded. */
  #ofTrail(entries: AuditEntry[]): Fault[] {
    const recorded = new Map<string, number>()
    for (const { caller, command, result } of entries)
      if (result === 'ok' && caller.kind !== 'operator' && caller.kind !== 'gateway')
        this.#count(recorded, `${caller.name} ${command}`)
    const faults: Fault[] = []
    for (const key of new Set([...recorded.keys(), ...this.#changes.keys()])) {
      if (key.startsWith('operator ')) continue
      const { done, unknown } = this.#of(key)
      const count = recorded.get(key) ?? 0
      const what = `the trail has ${count} of ${key}; ${done} were answered, ${unknown} were not`
      if (count > done + unknown) faults.push({ kind: 'act', what })
      if (count < done) faults.push({ kind: 'lost', what })
    }
    return faults
  }

  /** No deployment ends because the right of its maker ended, and each has the maker that asked. */
  #ofDeployments(deployments: Deployment[]): Fault[] {
    const known = new Map(deployments.map((each) => [each.id, each]))
    const faults: Fault[] = []
    for (const [id, name] of this.#made) {
      const found = known.get(id)
      if (!found) faults.push({ kind: 'lost', what: `${id} of ${name} is not in the records` })
      else if (found.triggeredBy?.name !== name)
        faults.push({ kind: 'act', what: `${id} of ${name} is by ${found.triggeredBy?.name}` })
    }
    for (const { id, state, problem } of deployments) {
      if (!isFinal(state)) faults.push({ kind: 'lost', what: `${id} is still ${state}` })
      const isCancelled = state === 'cancelled' && problem?.code !== 'rollout-stopped'
      if (isCancelled && !this.#cancelled.has(id) && this.#made.has(id))
        faults.push({ kind: 'lost', what: `${id} was cancelled, and nobody asked for it` })
      this.#count(this.#answers, `deployments ${state} ${problem?.code ?? ''}`.trimEnd())
    }
    return faults
  }

  #of(key: string): Counts {
    const known = this.#changes.get(key) ?? { done: 0, unknown: 0 }
    this.#changes.set(key, known)
    return known
  }

  #count(counts: Map<string, number>, key: string): void {
    counts.set(key, (counts.get(key) ?? 0) + 1)
  }
}

async function allDeployments(read: Read): Promise<Deployment[]> {
  const all: Deployment[] = []
  for (let cursor: string | null = ''; cursor !== null;) {
    const { text } = await read(`/v1/deployments?limit=100${cursor && `&cursor=${cursor}`}`)
    const page = JSON.parse(text) as { deployments: Deployment[]; next: string | null }
    all.push(...page.deployments)
    cursor = page.next
  }
  return all
}
