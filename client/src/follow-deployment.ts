import { setTimeout as sleep } from 'node:timers/promises'
import { type Deployment, isFinal } from '#api/deployment.ts'
import type { DeploymentEvent } from '#api/event.ts'
import { Problem } from '#api/problem.ts'
import type { Show } from './command-line.ts'
import type { Gateway } from './gateway.ts'
import type { Printer } from './print.ts'

const quietMs = 10_000
const giveUpMs = 15 * 60_000
const backOffMs = { first: 200, most: 5000 }

/**
 * Prints a deployment's log until its end, and reconnects when the connection breaks. Returns the
 * exit code of its verdict.
 */
export async function followToEnd(
  deployment: Deployment,
  gateway: Gateway,
  printer: Printer,
  signal: AbortSignal,
  {
    onInterrupt = goesOn,
    show = {},
  }: { onInterrupt?: (id: string) => Promise<string>; show?: Show } = {},
): Promise<number> {
  const { id } = deployment
  const isShown = show.step ? ofSteps(show.step) : () => true
  try {
    const events = followDeployment(id, gateway, { say: printer.note, only: show.only }, signal)
    for (;;) {
      const next = await events.next()
      if (next.done) return printer.verdict(next.value)
      if (isShown(next.value)) printer.event(next.value, deployment)
    }
  } catch (error) {
    if (!signal.aborted) throw error
    return printer.interrupted(await onInterrupt(id))
  }
}

const goesOn = async (id: string) =>
  `Deployment ${id} goes on without you. To follow it: tarmac follow ${id}`

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

/** Yields each event of the log once. Returns the final record. */
export async function* followDeployment(
  id: string,
  gateway: Pick<Gateway, 'find' | 'events'>,
  { say, only }: { say: (text: string) => void; only: string | undefined },
  signal: AbortSignal,
): AsyncGenerator<DeploymentEvent, Deployment> {
  let after = 0
  let failures = 0
  let heardAt = Date.now()
  let reported = false

  for (;;) {
    try {
      for await (const message of gateway.events(id, after, only, signal)) {
        // A stopping gateway sends `stopping` on each reconnect until it is gone.
        if (message.type !== 'stopping') failures = 0
        heardAt = Date.now()
        reported = false
        if (message.type === 'end') {
          const deployment = await gateway.find(id, signal)
          if (isFinal(deployment.state)) return deployment
        } else if ('seq' in message && message.seq > after) {
          after = message.seq
          yield message
        }
      }
    } catch (error) {
      if (signal.aborted || (error instanceof Problem && error.status < 500)) throw error
      const unavailableMs = Date.now() - heardAt
      if (unavailableMs > giveUpMs) throw error
      if (unavailableMs > quietMs && !reported)
        say(`${(error as Error).message} Trying again until it is back.`)
      reported ||= unavailableMs > quietMs
    }
    const waitMs = Math.min(backOffMs.most, backOffMs.first * 2 ** failures++)
    await sleep(waitMs * (0.5 + Math.random() / 2), undefined, { signal })
  }
}
