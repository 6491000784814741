import { realpath } from 'node:fs/promises'
import { userInfo } from 'node:os'
import { basename } from 'node:path'
import { createInterface } from 'node:readline/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { isFinal } from '#api/deployment.ts'
import { errorMessage } from '#api/error-code.ts'
import { Problem } from '#api/problem.ts'
import type { DeployCommand } from './command-line.ts'
import { followToEnd } from './follow-deployment.ts'
import type { Gateway } from './gateway.ts'
import { gitFacts } from './git-facts.ts'
import { listSource } from './list-source.ts'
import { packSource } from './pack-source.ts'
import type { Printer } from './print.ts'

const confirmMs = 5000

/**
 * After an interrupt: cancels the deployment if it has changed no machine. Otherwise it asks the
 * user; without a terminal the deployment continues. Returns the message to print.
 */
async function leaveOrCancel(
  id: string,
  gateway: Gateway,
  printer: Printer,
  signal: AbortSignal,
): Promise<string> {
  printer.note(
    `cancelling ${id}; a second Ctrl-C exits at once, and tarmac follow ${id} shows the result`,
  )
  const request = { by: userInfo().username, why: 'interrupted', abort: false }
  try {
    return await cancelled(id, gateway, request)
  } catch (error) {
    const continues = `Deployment ${id} continues: ${errorMessage(error)} To follow it: tarmac follow ${id}; to undo: tarmac cancel ${id} --abort`
    const tooLate = error instanceof Problem && error.code === 'cancel-too-late'
    if (!tooLate || signal.reason !== 'SIGINT' || !process.stdin.isTTY || !(await wantsRollback()))
      return continues
    return await cancelled(id, gateway, { ...request, abort: true })
  }
}

/** Requests the cancel, and waits a little for the end. */
async function cancelled(
  id: string,
  gateway: Gateway,
  request: Parameters<Gateway['cancel']>[1],
): Promise<string> {
  const deadline = performance.now() + confirmMs
  let { state } = await gateway.cancel(id, request)
  while (!isFinal(state) && performance.now() < deadline) {
    await sleep(200)
    state = (await gateway.find(id, AbortSignal.timeout(confirmMs))).state
  }
  return isFinal(state)
    ? `Deployment ${id} is ${state}.`
    : `Deployment ${id} is being cancelled. To follow it: tarmac follow ${id}`
}

async function wantsRollback(): Promise<boolean> {
  // Not as a terminal: a second Ctrl-C must be a signal, too.
  using asking = createInterface({ input: process.stdin, output: process.stderr, terminal: false })
  const answer = await asking.question(
    'The deployment has changed machines. Roll them back (y), or let it continue (Enter)? ',
  )
  return /^y/i.test(answer)
}

/** Packs a folder, sends it, and follows the deployment to its end. Returns the exit code. */
export async function deploy(
  command: DeployCommand,
  gateway: Gateway,
  printer: Printer,
  signal: AbortSignal,
): Promise<number> {
  const folder = await realpath(command.folder).catch((cause: unknown) => {
    throw new Problem('option-invalid', `There is no folder ${command.folder}.`, { cause })
  })

  const { config, dockerfile, plan } = command.options
  const [entries, facts] = await Promise.all([
    listSource(folder, [config, dockerfile, plan]),
    gitFacts(folder, process.env),
  ])

  const files = entries.filter(({ type }) => type !== 'folder')
  if (files.length === 0)
    throw new Problem(
      'archive-empty',
      `There is nothing to send in ${folder}: no files, or all of them ignored.`,
    )

  const dotenv = files.find(({ path }) => basename(path) === '.env')
  if (dotenv)
    printer.note(
      `warning: ${dotenv.path} is sent with the source; list it in .gitignore if it holds secrets`,
    )

  const progress = printer.upload(files.length, entries)
  const body = packSource(folder, entries, progress.packed)
  const { app, secrets } = command
  const upload = { app, options: { ...command.options, ...facts }, secrets }

  const deployment = await gateway.upload(upload, body, progress.sent, signal)
  progress.done()
  const address = gateway.recordUrl(deployment.id)
  printer.accepted(deployment, address)

  if (command.detach) return printer.detached(deployment, address)
  const onInterrupt = (id: string) => leaveOrCancel(id, gateway, printer, signal)
  return followToEnd(deployment, gateway, printer, { signal, onInterrupt })
}
