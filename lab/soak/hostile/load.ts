import { setTimeout as sleep } from 'node:timers/promises'
import { Random } from '../random.ts'
import { call, ended } from './answers.ts'
import type { Target } from './attack.ts'
import type { kinds } from './attacks.ts'
import { honestSource } from './honest.ts'

const mostPauseMs = 500

/**
 * Attackers and honest senders at one gateway until `over`, their results, and what must not have
 * happened.
 */
export class HostileLoad {
  readonly wrong = new Set<string>()
  readonly #target: Target
  readonly #seed: number
  readonly #over: AbortSignal
  readonly #answers = new Map<string, Map<string, number>>()
  #attacks = 0

  constructor(target: Omit<Target, 'deployments'>, seed: number, over: AbortSignal) {
    this.#target = { ...target, deployments: [] }
    this.#seed = seed
    this.#over = over
  }

  /** Runs the attacks of a kind in turn, beginning with that number. */
  async attack({ name: kind, attacks }: (typeof kinds)[number], number: number): Promise<void> {
    const random = new Random(this.#seed, kind, number)
    const names = Object.keys(attacks)
    for (let at = number; !this.#over.aborted; at++) {
      const name = names[at % names.length]!
      const outcome = await attacks[name]!({ lab: this.#target, random }).catch(
        (error: unknown) => ({
          answer: 'no answer',
          wrong: `no answer: ${String(error)}`,
        }),
      )
      this.#attacks += 1
      this.#count(name, outcome.answer)
      if (outcome.wrong) this.wrong.add(`${name}: ${outcome.wrong}`)
    }
  }

  /** Runs honest deployments in sequence. Each must go live. */
  async deploy(number: number): Promise<void> {
    const app = `honest-${number}`
    const random = new Random(this.#seed, app)
    for (let n = 1; !this.#over.aborted; n++) {
      const end = await this.#deployOnce(app, n).catch(
        (error: unknown) => `no answer: ${String(error)}`,
      )
      this.#count('an honest deployment', end)
      if (end !== 'live') this.wrong.add(`an honest deployment: ${end}`)
      await sleep(random.upTo(mostPauseMs))
    }
  }

  async #deployOnce(app: string, n: number): Promise<string> {
    const body = new Uint8Array(honestSource(`${app} ${n}`))
    const answer = await call(this.#target, 'PUT', `/deploy/${app}?follow=false&build.FRESH=${n}`, {
      body,
    })
    const { id, code } = (await answer.json()) as { id: string; code?: string }
    if (answer.status !== 202) return `refused: ${answer.status} ${code}`
    this.#target.deployments.push(id)
    const { state, problem } = await ended(this.#target, id)
    return problem ? `${state}: ${problem.code} ${problem.detail}` : state
  }

  #count(name: string, answer: string): void {
    const seen = this.#answers.get(name) ?? new Map<string, number>()
    this.#answers.set(name, seen.set(answer, (seen.get(answer) ?? 0) + 1))
  }

  /** The results of each attack, with their counts. */
  lines(): string[] {
    return [...this.#answers].map(
      ([name, seen]) =>
        `${name}: ${[...seen].map(([answer, times]) => `${times} ${answer}`).join(', ')}`,
    )
  }

  get counts(): string {
    return `${this.#attacks} attacks, ${this.#target.deployments.length} honest deployments`
  }
}
