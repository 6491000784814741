import { setTimeout as sleep } from 'node:timers/promises'
import { isFinal } from '#api/deployment.ts'
import type { CancelCommand } from './command-line.ts'
import type { Gateway } from './gateway.ts'
import type { Printer } from './print.ts'

const lookMs = 300

/**
 * Cancels a deployment and waits until nothing of it runs. Returns 0 when it is cancelled, and 24
 * when it had ended before.
 */
export async function cancel(
  { id, why, abort }: CancelCommand,
  gateway: Gateway,
  printer: Printer,
  signal: AbortSignal,
): Promise<number> {
  const before = await gateway.find(id, signal)
  if (isFinal(before.state)) return printer.cancelled(before, false)

  let deployment = await gateway.cancel(id, { why, abort })
  while (!isFinal(deployment.state)) {
    if (signal.aborted)
      return printer.interrupted({
        text: `Deployment ${id} is still being cancelled. To see how it ends: tarmac follow ${id}`,
        deployment,
      })
    await sleep(lookMs, undefined, { signal }).catch(() => {})
    if (!signal.aborted) deployment = await gateway.find(id, signal)
  }
  return printer.cancelled(deployment, deployment.state === 'cancelled')
}
