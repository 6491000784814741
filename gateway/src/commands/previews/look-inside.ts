import type { ExecAnswer, ExecRequest, PreviewLogs } from '#api/previews/preview-calls.ts'
import { execLimits } from '#api/previews/preview-calls.ts'
import { Problem } from '#api/problem.ts'
import { statusOf } from '#fly/fly-calls.ts'
import type { Machine, MachineRef } from '#fly/machine.ts'
import { logOfVersion } from '../../deploy/machines/program-output.ts'
import { start } from '../machines/machine-power.ts'
import { findPreview, over } from './find-preview.ts'
import { findResting, notReady, type PowerDeps } from './power.ts'

const callMs = 60_000

/** The last lines of the programs of a preview, in order of time. */
export async function readLogs(
  id: string,
  count: number,
  { fly, store }: PowerDeps,
): Promise<PreviewLogs> {
  const preview = await findPreview(store.previews, id)
  if (preview.endedAt !== null) throw over(preview)
  const signal = AbortSignal.timeout(callMs)
  const app = preview.flyApp
  if (!(await fly.app(app, signal))) return { lines: [] }

  const ofMachine = async (machine: Machine) => {
    const log = await fly.machineLog({ app, id: machine.id }, count, signal).catch(asReadable)
    return logOfVersion(log, machine).map(({ at, text }) => ({ machine: machine.id, at, text }))
  }
  const all = await Promise.all((await fly.machines(app, signal)).map(ofMachine))
  const lines = all.flat().toSorted((a, b) => (a.at ?? 0) - (b.at ?? 0))
  return { lines: lines.slice(-count).map((line) => ({ ...line, at: isoOf(line.at) })) }
}

const isoOf = (at: number | null) => (at === null ? null : new Date(at).toISOString())

function asReadable(error: unknown): never {
  if (!(error instanceof Problem) || error.code !== 'fly-denied') throw error
  const detail =
    "Fly does not let the gateway's token read logs: deploy tokens may not. Its operator can give the gateway a token of the organisation."
  throw new Problem('fly-denied', detail, { cause: error })
}

/**
 * Runs a command in a preview. One that Fly's proxy has stopped because it was idle is started
 * first, as a request would do.
 */
export async function runInside(
  by: string,
  id: string,
  { command, timeoutSeconds }: ExecRequest,
  { fly, store }: PowerDeps,
): Promise<ExecAnswer> {
  const preview = await findResting(store.previews, id, 'a command')
  const { state, flyApp: app } = preview
  if (state !== 'ready')
    throw notReady(preview, `Preview ${id} is ${state}. Start it first: tarmac preview start ${id}`)

  const signal = AbortSignal.timeout(callMs + (timeoutSeconds + 15) * 1000)
  const machine = (await fly.machines(app, signal))[0]
  if (!machine) throw new Problem('machine-not-found', `Preview ${id} has no machine on Fly.`)
  const ref = { app, id: machine.id }
  if (machine.state !== 'started') {
    const description = `tarmac: a command in preview ${id} by ${by}`
    await using lease = await fly.lease(ref, { description }, signal)
    await start({ fly, lease, signal })
  }

  const running = fly.withoutLease(ref).exec(command, timeoutSeconds, signal)
  const result = await running.catch((error: unknown) => {
    throw statusOf(error) === 408 ? tooLong(ref, timeoutSeconds, error) : error
  })
  const { stdout, stderr } = { stdout: result.stdout ?? '', stderr: result.stderr ?? '' }
  const { exit_code: code, exit_signal: ended } = result
  return {
    machine: ref.id,
    exitCode: code ?? 0,
    signal: ended || null,
    stdout: stdout.slice(0, execLimits.outputChars),
    stderr: stderr.slice(0, execLimits.outputChars),
    truncated: [
      ...(stdout.length > execLimits.outputChars ? (['stdout'] as const) : []),
      ...(stderr.length > execLimits.outputChars ? (['stderr'] as const) : []),
    ],
  }
}

const tooLong = ({ id }: MachineRef, seconds: number, cause: unknown): Problem =>
  new Problem(
    'time-limit',
    `The command has not ended within ${seconds} s, and may still run on machine ${id}. Give it more time (timeoutSeconds, at most ${execLimits.seconds}), or let it work in the background.`,
    { cause, facts: { machine: id } },
  )
