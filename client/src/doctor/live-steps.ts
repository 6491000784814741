import { errorMessage } from '#api/error-code.ts'
import { failed, type Found } from '#api/doctor/run-probes.ts'
import type { Finding } from '#api/doctor/report.ts'

/** The steps of a live test, one after the other, and what each found. */
export class LiveSteps {
  readonly findings: Finding[] = []
  readonly #group: string
  readonly #signal: AbortSignal

  constructor(group: string, signal: AbortSignal) {
    this.#group = group
    this.#signal = signal
  }

  /** Runs a step. Returns whether it went well. Throws only after an interrupt. */
  async run(name: string, action: () => Promise<Found>): Promise<boolean> {
    const begunAt = performance.now()
    const found = await action().catch((error: unknown): Found => {
      this.#signal.throwIfAborted()
      return failed(errorMessage(error), 'Look at: tarmac builder status')
    })
    const ms = Math.round(performance.now() - begunAt)
    this.findings.push({ group: this.#group, name, ms, next: null, ...found })
    return found.answer !== 'failed'
  }
}

const probeMs = 5000

/**
 * Asks for the page of the tiny app, from here, which often cannot reach the private network.
 * `onAnswer` is called when something answered.
 */
export async function askForPage(
  url: string,
  signal: AbortSignal,
  onAnswer = () => {},
): Promise<Found> {
  try {
    const limited = AbortSignal.any([signal, AbortSignal.timeout(probeMs)])
    const answer = await fetch(url, { signal: limited })
    const text = await answer.text()
    onAnswer()
    if (text.includes('tarmac-doctor'))
      return { answer: 'ok', detail: `${url} answers with the page of the test` }
    return failed(
      `${url} answered ${answer.status} with another page`,
      'Is the name of the app taken?',
    )
  } catch {
    signal.throwIfAborted()
    const detail = `${url} cannot be reached from this computer; the gateway has seen its port answer`
    return { answer: 'ok', detail }
  }
}
