#!/usr/bin/env node
import { userInfo } from 'node:os'
import { asProblem, Problem } from '#api/problem.ts'
import manifest from '../../package.json' with { type: 'json' }
import { help, readCommandLine } from './command-line.ts'
import { deploy } from './deploy.ts'
import { followToEnd } from './follow-deployment.ts'
import { Gateway } from './gateway.ts'
import { jsonPrinter, peoplePrinter, type Printer } from './print.ts'

/** Runs `tarmac` with these arguments. Returns the exit code. */
async function main(argv: string[]): Promise<number> {
  const interrupt = new AbortController()
  const printer: Printer = argv.includes('--json')
    ? jsonPrinter()
    : peoplePrinter(process.stderr.isTTY)

  for (const name of ['SIGINT', 'SIGTERM'] as const)
    process.on(name, () => {
      if (interrupt.signal.aborted) process.exit(printer.interrupted('Left at once.'))
      interrupt.abort(name)
    })

  try {
    const command = readCommandLine(argv, process.env)
    if (command.name === 'help') return show(help)
    if (command.name === 'version') return show(manifest.version)

    const gateway = new Gateway(command.gateway, command.token)
    if (command.name === 'cancel') {
      const request = { by: userInfo().username, why: command.why, abort: command.abort }
      return await followToEnd(
        await gateway.cancel(command.id, request),
        gateway,
        printer,
        interrupt.signal,
      )
    }

    if (command.name === 'retry')
      return await followToEnd(
        await gateway.retry(command.id, command.reuseImage),
        gateway,
        printer,
        interrupt.signal,
      )

    if (command.name === 'rollback')
      return await followToEnd(
        await gateway.rollBack(command.app, command.query),
        gateway,
        printer,
        interrupt.signal,
      )

    if (command.name === 'deploy') return await deploy(command, gateway, printer, interrupt.signal)
    const found = await gateway.find(command.id, interrupt.signal)
    return await followToEnd(found, gateway, printer, interrupt.signal, { show: command.show })
  } catch (error) {
    if (interrupt.signal.aborted)
      return printer.interrupted('Stopped; the gateway has taken nothing.')
    const known = error instanceof Problem
    return printer.failed(
      known ? error : new Problem('internal', `The client failed: ${messageOf(error)}`),
    )
  }
}

function show(text: string): number {
  process.stdout.write(`${text}\n`)
  return 0
}

const messageOf = (error: unknown) =>
  error instanceof Error ? error.message : asProblem(error).message

process.stdout.on('error', () => process.exit(1)) // the reader of the output is gone
process.exitCode = await main(process.argv.slice(2))
