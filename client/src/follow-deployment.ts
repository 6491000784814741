import { setTimeout as sleep } from 'node:timers/promises'
import { isFinal } from '#api/deployment.ts'
import { errorMessage } from '#api/error-code.ts'
import type { DeploymentEvent } from '#api/event.ts'
import { Problem } from '#api/problem.ts'
import type { DeploymentRecord } from './answers.ts'
import type { Show } from './command-line.ts'
import type { Gateway } from './gateway.ts'
import type { Interrupted, Printer } from './print.ts'

const quietMs = 10_000
const giveUpMs = 15 * 60_000
/** One attempt takes no longer. */
const maxLookMs = 90_000
const backOffMs = { first: 200, most: 5000 }

/**
 * Prints a deployment's log until its end, and reconnects when the connection breaks. Returns the
 * exit code of its verdict.
 */
export async function followToEnd(
  deployment: DeploymentRecord,
  gateway: Gateway,
  printer: Printer,
  { signal, onInterrupt = goesOn, onEnd, show = {}, ...hints }: FollowOptions,
): Promise<number> {
  const { id } = deployment
  const isShown = show.step ? ofSteps(show.step) : () => true
  try {
    const events = followDeployment(id, gateway, printer.note, { signal, only: show.only })
    for (;;) {
      const next = await events.next()
      if (next.done) return await (onEnd?.(next.value) ?? end(next.value, printer, hints))
      if (isShown(next.value)) printer.event(next.value, deployment)
    }
  } catch (error) {
    if (!signal.aborted) throw error
    return printer.interrupted(await onInterrupt(id))
  }
}

type FollowOptions = {
  signal: AbortSignal
  /** Called after an interrupt. Returns what to print. */
  onInterrupt?: (id: string) => Promise<Interrupted>
  /** Called at the end, instead of the verdict. Returns the exit code. */
  onEnd?: (deployment: DeploymentRecord) => Promise<number>
  show?: Show
  /** What a user should know about a failed build with these last words. */
  hint?: (words: string) => string | null
  /** What a user should know if it deploys and fails. */
  failedHint?: string
}

const goesOn = async (id: string): Promise<Interrupted> => ({
  text: `Deployment ${id} continues. To follow it: tarmac follow ${id}`,
})

function end(
  deployment: DeploymentRecord,
  printer: Printer,
  { hint, failedHint }: Pick<FollowOptions, 'hint' | 'failedHint'>,
): number {
  const { state, problem } = deployment
  const words = JSON.stringify([problem?.detail, problem?.['lastLines']])
  const found =
    state === 'build_failed' ? hint?.(words) : state === 'deploy_failed' ? failedHint : null
  return printer.verdict(deployment, found ?? null)
}

/**
 * True for events of steps whose name contains `part`. A step's name comes before its other events.
 */
function ofSteps(part: string): (event: DeploymentEvent) => boolean {
  const ids = new Set<string>()
  return (event) => {
    if (event.type === 'step' && event.name.includes(part)) ids.add(event.step)
    return 'step' in event && event.step !== null && ids.has(event.step)
  }
}

type EventsOptions = { only: string | undefined; signal: AbortSignal }
type EventsGateway = Pick<Gateway, 'find' | 'events'>

/** Yields each event of the log once. Returns the final record. */
async function* followDeployment(
  id: string,
  gateway: EventsGateway,
  say: (text: string) => void,
  options: EventsOptions,
): AsyncGenerator<DeploymentEvent, DeploymentRecord> {
  const { signal } = options
  const progress = { after: 0, failures: 0, heardAt: Date.now() }
  let silentMs = 0
  let lookedAt = progress.heardAt
  let reported = 0

  for (;;) {
    try {
      const ended = yield* readOn(id, gateway, progress, options)
      if (ended) return ended
    } catch (error) {
      if (signal.aborted || (error instanceof Problem && error.status < 500)) throw error
      const { heardAt } = progress
      if (heardAt > lookedAt) [silentMs, lookedAt] = [0, heardAt]
      // The time of a closed laptop does not count.
      silentMs += Math.min(Date.now() - lookedAt, maxLookMs)
      lookedAt = Date.now()
      if (silentMs > giveUpMs) throw error
      if (silentMs > quietMs && reported !== heardAt) {
        say(`${errorMessage(error)} Trying again.`)
        reported = heardAt
      }
    }
    const waitMs = Math.min(backOffMs.most, backOffMs.first * 2 ** progress.failures++)
    await sleep(waitMs * (0.5 + Math.random() / 2), undefined, { signal })
  }
}

/**
 * Yields the events of one connection. Returns the record if the deployment has ended, or null if
 * the log goes on.
 */
async function* readOn(
  id: string,
  gateway: EventsGateway,
  progress: { after: number; failures: number; heardAt: number },
  { only, signal }: EventsOptions,
): AsyncGenerator<DeploymentEvent, DeploymentRecord | null> {
  for await (const message of gateway.events(id, progress.after, only, signal)) {
    // A stopping gateway sends `stopping` on each reconnect until it is gone.
    if (message.type !== 'stopping') progress.failures = 0
    progress.heardAt = Date.now()
    if (message.type === 'end') {
      const deployment = await gateway.find(id, signal)
      if (isFinal(deployment.state)) return deployment
    } else if ('seq' in message && message.seq > progress.after) {
      progress.after = message.seq
      yield message
    }
  }
  return null
}
