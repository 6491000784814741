#!/usr/bin/env node
import { errorMessage } from '#api/error-code.ts'
import { Problem } from '#api/problem.ts'
import manifest from '../../package.json' with { type: 'json' }
import { audit } from './audit/audit.ts'
import type { DeploymentRecord } from './answers.ts'
import { cache } from './cache/cache.ts'
import { operate } from './builder/operate.ts'
import { cancel } from './cancel.ts'
import {
  type Command,
  type FollowCommand,
  readCommandLine,
  type RetryCommand,
  type RollbackCommand,
} from './command-line.ts'
import { drift } from './drift/drift.ts'
import { deploy } from './deploy/deploy.ts'
import { downloadSource } from './files/source.ts'
import { followToEnd } from './follow-deployment.ts'
import { Gateway } from './gateway.ts'
import { audOf, type JobIdentity, jobIdentity } from './identity/job-identity.ts'
import { registries } from './registries/registries.ts'
import { identifyBuilder } from './identity/identify-builder.ts'
import { rules } from './rule/rule.ts'
import { templates } from './template/template.ts'
import { router } from './router/router.ts'
import { machines } from './machines/machines.ts'
import { pools } from './preview/pool.ts'
import { owners } from './owners/owners.ts'
import { previews } from './preview/previews.ts'
import { overview } from './overview/overview.ts'
import { queue } from './queue/queue.ts'
import { help, helpOf } from './help.ts'
import { deployImage } from './image/image.ts'
import { teams } from './teams/teams.ts'
import { token } from './token/token.ts'
import { runRuntime } from './runtime/run-runtime.ts'
import { upkeep } from './upkeep/upkeep.ts'
import { whoami } from './whoami/whoami.ts'
import { jsonPrinter, peoplePrinter, type Printer } from './print.ts'

/** How to print. After `--` come the arguments of another program. */
function printerFor(argv: string[]): Printer {
  const own = argv.includes('--') ? argv.slice(0, argv.indexOf('--')) : argv
  return own.includes('--json') ? jsonPrinter() : peoplePrinter(process.stderr.isTTY)
}

/** Runs `tarmac` with these arguments. Returns the exit code. */
async function main(argv: string[]): Promise<number> {
  const interrupt = new AbortController()
  const printer = printerFor(argv)
  onSignals(interrupt, printer)
  let identity: JobIdentity | null = null
  try {
    const command = readCommandLine(argv, process.env)
    if ('gateway' in command && command.token === '') {
      identity = jobIdentity(process.env, audOf(command.gateway, process.env))
      command.token = (await identity?.token()) ?? ''
    }
    if (command.name === 'help') return show(command.of === null ? help : helpOf(command.of))
    if (command.name === 'version') return show(manifest.version)

    if ('builder' in command) {
      command.builder = await identifyBuilder(command.builder, process.env, printer.note)
      identity = command.builder.identity ?? null
      return await operate(command, printer, interrupt.signal)
    }
    if (command.name === 'backup' || command.name === 'restore')
      return await upkeep(command, printer, interrupt.signal)
    if (command.name === 'rule') return await rules(command, printer, interrupt.signal)
    if (command.name === 'registries') return await registries(command, printer, interrupt.signal)
    if (command.name === 'team') return await teams(command, printer, interrupt.signal)
    if (command.name === 'up' || command.name === 'down' || command.name === 'upgrade') {
      // Loaded only here: no other command needs Fly's API.
      const { onFly } = await import('./up/on-fly.ts')
      return await onFly(command, process.env, printer, interrupt.signal)
    }

    if (command.name === 'token') return await token(command, printer, interrupt.signal)
    const gateway = new Gateway(command.gateway, identity ?? command.token)
    const { signal } = interrupt
    if (command.name === 'deploy') return await deploy(command, gateway, printer, signal)
    if ('source' in command) return await deployImage(command, gateway, printer, signal)
    if (command.name === 'cancel') return await cancel(command, gateway, printer, signal)
    if (command.name === 'audit') return await audit(command, gateway, printer, signal)
    if ('verb' in command) return await runRuntime(command, { gateway, printer, signal })
    if (command.name === 'cache') return await cache(command, gateway, printer, signal)
    if (command.name === 'whoami') return await whoami(command.gateway, gateway, printer, signal)
    if (command.name === 'source') return await downloadSource(command, gateway, printer, signal)
    if (command.name === 'drift') return await drift(command, gateway, printer, signal)
    if (isOfMachines(command)) return await onMachines(command, { gateway, printer, signal })
    if (command.name === 'overview') return await overview(command, gateway, printer, signal)
    if (command.name === 'queue') return await queue(command.request, { gateway, printer, signal })
    const options = { signal, ...(command.name === 'follow' && { show: command.show }) }
    return await followToEnd(await start(command, gateway, signal), gateway, printer, options)
  } catch (error) {
    if (interrupt.signal.aborted) return printer.interrupted({ text: 'Stopped.' })
    const known = error instanceof Problem
    return printer.failed(
      known
        ? (identity?.explain(error) ?? error)
        : new Problem('internal', `The client failed: ${errorMessage(error)}`),
    )
  }
}

type MachinesCommand = Extract<Command, { name: (typeof ofMachines)[number] }>
const ofMachines = ['machines', 'owner', 'router', 'preview', 'pool', 'template'] as const
const isOfMachines = (command: Command): command is MachinesCommand =>
  ofMachines.some((name) => name === command.name)

/** Commands about machines, and about what makes them. */
function onMachines(
  command: MachinesCommand,
  calling: { gateway: Gateway; printer: Printer; signal: AbortSignal },
): Promise<number> {
  const { gateway, printer, signal } = calling
  switch (command.name) {
    case 'machines':
      return machines(command, gateway, printer, signal)
    case 'owner':
      return owners(command.request, calling)
    case 'router':
      return router(command, gateway, printer, signal)
    case 'preview':
      return previews(command, calling)
    case 'pool':
      return pools(command.request, calling)
    case 'template':
      return templates(command.request, gateway, printer, signal)
  }
}

/** The first signal interrupts the command, the second ends the program. */
function onSignals(interrupt: AbortController, printer: Printer): void {
  for (const name of ['SIGINT', 'SIGTERM'] as const)
    process.on(name, () => {
      if (interrupt.signal.aborted) process.exit(printer.interrupted({ text: 'Exited at once.' }))
      interrupt.abort(name)
    })
}

/** Sends the request of a command. Returns the deployment to follow. */
function start(
  command: FollowCommand | RetryCommand | RollbackCommand,
  gateway: Gateway,
  signal: AbortSignal,
): Promise<DeploymentRecord> {
  switch (command.name) {
    case 'follow':
      return gateway.find(command.id, signal)
    case 'retry':
      return gateway.retry(command.id, command.how)
    case 'rollback':
      return gateway.rollBack(command.app, command.query)
  }
}

function show(text: string): number {
  process.stdout.write(`${text}\n`)
  return 0
}

process.stdout.on('error', () => process.exit(1)) // the reader of the output is gone
process.exitCode = await main(process.argv.slice(2))
