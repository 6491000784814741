import { setTimeout as sleep } from 'node:timers/promises'
import { type Deployment, isFinal } from '#api/deployment.ts'
import type { DeploymentEvent } from '#api/event.ts'
import { Problem } from '#api/problem.ts'
import type { Gateway } from './gateway.ts'
import type { Printer } from './print.ts'

const quietMs = 10_000
const giveUpMs = 15 * 60_000
const backOffMs = { first: 200, most: 5000 }

/** Prints a deployment's log until its end, however often the line breaks. Returns the exit code of its verdict. */
export async function followToEnd(
  deployment: Deployment,
  gateway: Gateway,
  printer: Printer,
  signal: AbortSignal,
  onInterrupt: (id: string, gateway: Gateway) => Promise<string> = async (id) =>
    `Deployment ${id} goes on without you. To follow it: tarmac follow ${id}`,
): Promise<number> {
  const { id } = deployment
  try {
    const events = followDeployment(id, gateway, printer.note, signal)
    for (;;) {
      const next = await events.next()
      if (next.done) return printer.verdict(next.value)
      printer.event(next.value, deployment)
    }
  } catch (error) {
    if (!signal.aborted) throw error
    return printer.interrupted(await onInterrupt(id, gateway))
  }
}

/** The log, event by event, each once; returns the record as it is in the end. */
export async function* followDeployment(
  id: string,
  gateway: Pick<Gateway, 'find' | 'events'>,
  say: (text: string) => void,
  signal: AbortSignal,
): AsyncGenerator<DeploymentEvent, Deployment> {
  let after = 0
  let failures = 0
  let heardAt = Date.now()
  let told = false
  for (;;) {
    try {
      for await (const message of gateway.events(id, after, signal)) {
        failures = 0
        heardAt = Date.now()
        told = false
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
      const awayMs = Date.now() - heardAt
      if (awayMs > giveUpMs) throw error
      if (awayMs > quietMs && !told) say(`${(error as Error).message} Trying again until it is back.`)
      told ||= awayMs > quietMs
    }
    const waitMs = Math.min(backOffMs.most, backOffMs.first * 2 ** failures++)
    await sleep(waitMs * (0.5 + Math.random() / 2), undefined, { signal })
  }
}
