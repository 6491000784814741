#!/usr/bin/env node
import { readFileSync } from 'node:fs'
import { errorMessage } from '#api/error-code.ts'
import { Problem } from '#api/problem.ts'
import { problems } from '#api/problem/codes.ts'
import { routes } from '#api/routes.ts'
import { visibleJson } from '#api/text/visible-text.ts'
import { type Config, ConfigError, readConfig } from './config.ts'
import { gatewayVersion } from './host/gateway-version.ts'
import { serveFirst } from './host/priority.ts'
import { usePrivileged } from './host/privileged/ask.ts'
import { backup, restore } from './store/backup.ts'
import { sbomFile, treeRoot } from './versions/versions.ts'

const usage = `tarmac-gateway                start, and serve until a signal, or until idle (TARMAC_IDLE_STOP); a second signal ends it at once
tarmac-gateway backup FILE    copy the records into a new file, also while a gateway runs
tarmac-gateway restore FILE   put the records of this file in place; the earlier ones are kept beside them
tarmac-gateway verify-audit   check the audit trail, also while a gateway runs. Exit code 0: whole, 3: broken,
                              4: its end is cut, 5: its head file is missing; --json: print the verdict as JSON
tarmac-gateway fsck           check the kept sources: every stored file, and every tree, also while a gateway runs.
                              Exit code 0: whole, 3: faults, 4: trees were set aside; --repair: make whole what can be;
                              --json: print the report as JSON
tarmac-gateway doctor         try what only this machine and Fly can settle, and say what to do; exit code 1: something failed
                              --json   --bundle FILE: write a support file   --app NAME: try this app's repository
                              --push: push a tiny image to it too, and remove it
tarmac-gateway status         print the status of the gateway that runs on this machine (JSON)
tarmac-gateway sbom           print the list of packages in this image (CycloneDX, JSON)
tarmac-gateway --version      print the version
tarmac-gateway --help         print this`

/** The commands with a file, and without one. Each returns what it prints. */
const withFile: Record<string, (file: string) => string> = {
  backup(file) {
    const { data } = asGateway()
    backup(data, file)
    return `The records of ${data} are in ${file}.`
  },
  restore(file) {
    const { previous } = restore(asGateway().data, file)
    return `The records of ${file} are restored${previous ? `; the previous records are in ${previous}` : ''}.`
  },
}
const alone: Record<string, () => Promise<string> | string> = {
  sbom: readSbom,
  status: readStatus,
  help: () => usage,
  '--version': gatewayVersion,
}

/** The command `tarmac-gateway`. Exits with 2 for a wrong use or setting, with 1 for a Problem. */
const args = process.argv.slice(2)
const isHelp = args.some((arg) => arg === '--help' || arg === '-h')
const [command, file, ...rest] = isHelp ? ['help'] : args
process.stdout.on('error', () => process.exit(1)) // the reader of the output is gone
if (command === 'doctor') await doctor(args.slice(1))
try {
  if (command === 'verify-audit') await verifyAudit(process.argv.slice(3))
  if (command === 'fsck') await checkSources(process.argv.slice(3))
  if (command === undefined) await serve()
  const run = file === undefined ? alone[command!] : withFile[command!]?.bind(null, file)
  if (run === undefined || rest.length > 0 || file?.startsWith('-'))
    end(`tarmac-gateway ${args.join(' ')}: there is no such command.\n\n${usage}`, 2)
  // Without an exit, which would cut what a pipe has not taken yet.
  process.stdout.write(`${(await run()).trimEnd()}\n`)
} catch (error) {
  if (error instanceof ConfigError) end(error.message, 2)
  if (error instanceof Problem) {
    // 2: to start again would change nothing, so `keep-running.sh` does not.
    const code = command === undefined && !problems[error.code].retry ? 2 : 1
    end([error.message, error.cause].filter(Boolean).join('\n'), code)
  }
  if (command !== undefined) end(`tarmac-gateway ${args.join(' ')}: ${errorMessage(error)}`, 1)
  throw error
}

async function doctor(args: string[]): Promise<never> {
  const { readArguments, runDoctor } = await import('./doctor/run-doctor.ts')
  try {
    const { text, code } = await runDoctor(readConfig(process.env), readArguments(args))
    process.stdout.write(`${text}\n`)
    process.exit(code)
  } catch (error) {
    if (error instanceof ConfigError) end(error.message, 2)
    end(`${errorMessage(error)}\n\n${usage}`, 2)
  }
}

async function verifyAudit(args: string[]): Promise<never> {
  const isJson = args[0] === '--json'
  if (args.length > Number(isJson))
    end(`The usage is: tarmac-gateway verify-audit [--json].\n\n${usage}`, 2)
  const { trailExitCodes, verdictText, verifyVolume } =
    await import('./store/audit/verify-volume.ts')
  const verdict = await verifyVolume(asGateway().data)
  process.stdout.write(`${isJson ? visibleJson(verdict) : verdictText(verdict)}\n`)
  process.exit(trailExitCodes[verdict.state])
}

async function checkSources(args: string[]): Promise<never> {
  const options = new Set(args)
  if (args.some((arg) => !['--repair', '--json'].includes(arg)) || options.size < args.length)
    end(`The usage is: tarmac-gateway fsck [--repair] [--json].\n\n${usage}`, 2)
  const { fsck, fsckExitCode, fsckText } = await import('./sources/fsck/fsck.ts')
  const report = fsck(asGateway().data, { repair: options.has('--repair') })
  const text = options.has('--json') ? visibleJson(report) : fsckText(report)
  await new Promise<unknown>((written) => process.stdout.write(`${text}\n`, written))
  process.exit(fsckExitCode(report))
}

async function serve(): Promise<never> {
  const config = readConfig(process.env)
  if (config.uid !== 0 && process.getuid?.() === 0) {
    const { runPrivileged } = await import('./privileged/run.ts')
    process.exit(await runPrivileged(config, process.env))
  }
  usePrivileged(config.privileged)
  serveFirst()
  const { startGateway } = await import('./gateway.ts') // here, because a backup does not need it
  const stop = new AbortController()
  const onSignal = () => {
    if (stop.signal.aborted) process.exit(130)
    stop.abort()
  }

  let isRestart = true
  while (isRestart && !stop.signal.aborted) {
    const gateway = await startGateway(config)
    for (const name of ['SIGINT', 'SIGTERM']) process.removeAllListeners(name).on(name, onSignal)
    const { restart } = gateway
    await gateway.untilIdle(AbortSignal.any([stop.signal, restart]))
    isRestart = restart.aborted
    await gateway[Symbol.asyncDispose]()
  }
  process.exit(0)
}

/** As `GET /v1/status`, for a caller that reaches no port of the machine. */
async function readStatus(): Promise<string> {
  const { askOwnGateway } = await import('./doctor/ask-own-gateway.ts')
  return visibleJson(await askOwnGateway(readConfig(process.env), routes.status, null))
}

/** Root's files on the volume would be closed to the gateway, so root becomes the gateway's user. */
function asGateway(): Config {
  const config = readConfig(process.env)
  if (config.uid !== 0 && process.getuid?.() === 0) {
    process.setgroups?.([])
    process.setgid?.(config.uid)
    process.setuid?.(config.uid)
  }
  return config
}

/** The image has it as a file, which its build made. Elsewhere it is made now. */
async function readSbom(): Promise<string> {
  try {
    return readFileSync(sbomFile, 'utf8')
  } catch {
    const { partsOf, sbomOf } = await import('./sbom/sbom.ts')
    return sbomOf(partsOf(treeRoot, gatewayVersion()))
  }
}

function end(text: string, code: number): never {
  process.stderr.write(`${text}\n`)
  process.exit(code)
}
