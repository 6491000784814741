import { createInterface } from 'node:readline/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { isFinal } from '#api/deployment.ts'
import { errorMessage } from '#api/error-code.ts'
import { Problem } from '#api/problem.ts'
import type { DeploymentRecord } from './answers.ts'
import type { Gateway } from './gateway.ts'
import type { Interrupted, Printer } from './print.ts'

const confirmMs = 5000
/** Waits between looks for a deployment that an interrupted upload may have made. */
const looksMs = [0, 500, 1500]

/**
 * After an interrupt: cancels the deployment if it has changed no machine. Otherwise it asks the
 * user; without a terminal the deployment continues.
 */
export async function leaveOrCancel(
  id: string,
  gateway: Gateway,
  printer: Printer,
  signal: AbortSignal,
): Promise<Interrupted> {
  printer.note(
    `cancelling ${id}; a second Ctrl-C exits at once, and tarmac follow ${id} shows the result`,
  )
  const request = { why: 'interrupted', abort: false }
  try {
    return await cancelled(id, gateway, request)
  } catch (error) {
    const tooLate = error instanceof Problem && error.code === 'cancel-too-late'
    if (tooLate && signal.reason === 'SIGINT' && process.stdin.isTTY && (await wantsRollback()))
      return await cancelled(id, gateway, { ...request, abort: true })
    return {
      text: `Deployment ${id} continues: ${errorMessage(error)} To follow it: tarmac follow ${id}; to undo: tarmac cancel ${id} --abort`,
      deployment: await gateway.find(id, AbortSignal.timeout(confirmMs)).catch(() => null),
    }
  }
}

/** Requests the cancel, and waits a little for the end. */
async function cancelled(
  id: string,
  gateway: Gateway,
  request: Parameters<Gateway['cancel']>[1],
): Promise<Interrupted> {
  const deadline = performance.now() + confirmMs
  let deployment = await gateway.cancel(id, request)
  while (!isFinal(deployment.state) && performance.now() < deadline) {
    await sleep(200)
    deployment = await gateway.find(id, AbortSignal.timeout(confirmMs))
  }
  const text = isFinal(deployment.state)
    ? `Deployment ${id} is ${deployment.state}.`
    : `Deployment ${id} is being cancelled. To follow it: tarmac follow ${id}`
  return { text, deployment }
}

async function wantsRollback(): Promise<boolean> {
  // Not as a terminal: a second Ctrl-C must be a signal, too. No `using`: Node 20 has no
  // Symbol.dispose here.
  const asking = createInterface({ input: process.stdin, output: process.stderr, terminal: false })
  try {
    const answer = await asking.question(
      'The deployment has changed machines. Roll them back (y), or let it continue (Enter)? ',
    )
    return /^y/i.test(answer)
  } finally {
    asking.close()
  }
}

/**
 * Finds out what became of an upload that ended without an answer. `unknown`: the gateway does not
 * say.
 */
export async function findUploaded(
  app: string,
  key: string,
  gateway: Gateway,
): Promise<DeploymentRecord | 'none' | 'unknown'> {
  let result: 'none' | 'unknown' = 'unknown'
  for (const waitMs of looksMs) {
    await sleep(waitMs)
    try {
      const found = await gateway.findByKey(app, key)
      if (found) return found
      result = 'none'
    } catch {
      result = 'unknown'
    }
  }
  return result
}
