import { setTimeout as delay } from 'node:timers/promises'
import { unlessAborted } from '../flow/retry.ts'
import { asProblem } from '../problem.ts'
import type { Answer, Finding } from './report.ts'

/** The answer of a probe: in one line, and what to do next. */
export type Found = { answer: Answer; detail: string; next?: string }

export type Probe = {
  group: string
  name: string
  /** Default: 10 s. A probe that takes longer is `unknown`. */
  withinMs?: number
  /** It measures speed, so it runs when the others have ended. */
  alone?: boolean
  /** Leaves nothing behind, also when the signal aborts. Its error is `failed`. */
  run: (signal: AbortSignal) => Promise<Found> | Found
}

export const ok = (detail: string): Found => ({ answer: 'ok', detail })
export const warning = (detail: string, next: string): Found => ({
  answer: 'warning',
  detail,
  next,
})
export const failed = (detail: string, next: string): Found => ({ answer: 'failed', detail, next })
export const unknown = (detail: string, next?: string): Found => ({
  answer: 'unknown',
  detail,
  ...(next !== undefined && { next }),
})

const deadlineMs = 10_000
const cleanupMs = 3000

/**
 * Runs all probes, each within its time. Returns their findings in the order of the probes. A
 * problem of one probe does not affect the others.
 */
export async function runProbes(probes: readonly Probe[], signal: AbortSignal): Promise<Finding[]> {
  const found = new Map<Probe, Finding>()
  const run = async (probe: Probe) => found.set(probe, await runProbe(probe, signal))
  await Promise.all(probes.filter(({ alone }) => !alone).map(run))
  for (const probe of probes.filter(({ alone }) => alone)) await run(probe)
  return probes.map((probe) => found.get(probe)!)
}

async function runProbe(probe: Probe, signal: AbortSignal): Promise<Finding> {
  const { group, name, withinMs = deadlineMs } = probe
  const begunAt = performance.now()
  const late = AbortSignal.timeout(withinMs)
  const found = await answerOf(probe, AbortSignal.any([signal, late])).catch((error: unknown) => {
    signal.throwIfAborted()
    if (late.aborted) return unknown(`no answer within ${withinMs / 1000} s`)
    return answerTo(error)
  })
  const ms = Math.round(performance.now() - begunAt)
  return { group, name, ms, next: null, ...found }
}

const again =
  'Try again. If it stays, look at the way from here to it: names, routes and firewalls.'

/** A service that does not answer says nothing about what was asked. */
function answerTo(error: unknown): Found {
  const { code, message, cause } = asProblem(error)
  if (code === 'fly-unavailable' || code === 'registry-unavailable') return unknown(message, again)
  if (!message.startsWith('Something went wrong') || !(cause instanceof Error))
    return { answer: 'failed', detail: message }
  // `fetch` keeps the error of the connection in the cause of its own.
  const lost = cause.cause instanceof Error ? cause.cause.message : null
  if (cause.message === 'fetch failed')
    return failed(`no answer: ${lost ?? 'not known why'}`, again)
  return { answer: 'failed', detail: cause.message }
}

/** After an abort, the probe gets a little time to remove what it has made. */
async function answerOf({ run }: Probe, signal: AbortSignal): Promise<Found> {
  const running = Promise.resolve().then(() => run(signal))
  try {
    return await unlessAborted(running, signal)
  } finally {
    const cleanup = delay(cleanupMs, null, { ref: false })
    if (signal.aborted) await Promise.race([running.catch(() => null), cleanup])
  }
}
