import { Problem } from '#api/problem.ts'
import type { Volume } from '#fly/answers.ts'
import type { Machine, MachineRef } from '#fly/machine.ts'
import type { FlyCalls } from './find-builder.ts'

/** What Fly knows of a builder. `machines`: how many its app has; one is right. */
export type OnFly = { machine: Machine | null; machines: number; volume: Volume | null }

/** The machine of the builder's app, and the volume on it. */
export async function lookAtFly(fly: FlyCalls, app: string, signal: AbortSignal): Promise<OnFly> {
  const [machines, volumes] = await inOurWords(
    Promise.all([fly.machines.machines(app, signal), fly.machines.volumes(app, signal)]),
  )
  const machine = machines.find(({ state }) => state === 'started') ?? machines[0] ?? null
  const volume = volumes.find((each) => each.attached_machine_id === machine?.id) ?? volumes[0]
  return { machine, machines: machines.length, volume: volume ?? null }
}

/** Runs a command in a started machine. Returns what it printed, or throws with its last words. */
export async function runInMachine(
  fly: FlyCalls,
  ref: MachineRef,
  run: { command: string[]; seconds: number },
  signal: AbortSignal,
): Promise<string> {
  const said = await inOurWords(fly.builder.exec(ref, run, signal))
  if (said.stdout) return said.stdout
  const why = (said.stderr ?? '').trim() || 'it printed nothing'
  const detail = `${run.command.join(' ')} in machine ${ref.id} ended with exit code ${said.exit_code ?? 'unknown'}: ${why}`
  throw new Problem('fly-refused', detail)
}

/** The problems of `fly/` speak of the gateway's token; here it is the user's. */
async function inOurWords<T>(answer: Promise<T>): Promise<T> {
  try {
    return await answer
  } catch (error) {
    if (!(error instanceof Problem) || error.code !== 'fly-denied') throw error
    const detail = `Fly refused the token in FLY_API_TOKEN (${String(error.facts['fly'])}). Use one of the organisation: fly tokens create org ORG`
    throw new Problem('fly-denied', detail, { cause: error, facts: error.facts })
  }
}
