import { isObject } from '#api/is-object.ts'
import { Problem } from '#api/problem.ts'
import { errorMessage } from '#api/error-code.ts'
import { pause } from '#api/flow/retry.ts'
import { configOf, crashesOf, type Machine, type MachineRef } from '#fly/machine.ts'
import { askInside, parsed, type Answer } from './ask-inside.ts'
import type { FlyParts } from '../fly-parts.ts'
import { portIn } from './machine-config.ts'
import { hostLost, isLost, mostCrashes } from './plan.ts'

/** From the start of the machine until its gateway is ready. */
const readyMs = 180_000
const pauses = { leastMs: 250, mostMs: 3000 }
const logLines = 20

/**
 * Waits until the machine's checks pass and its gateway says that it is ready. It asks by a command
 * inside the machine: most computers reach no private network of Fly. Throws with the machine's own
 * last lines.
 */
export async function awaitReady(
  fly: FlyParts,
  ref: MachineRef,
  { isNew }: { isNew: boolean },
): Promise<void> {
  const deadline = performance.now() + readyMs
  let seen = ''
  /** Crashes before this run say nothing about it. */
  let earlier = isNew ? 0 : null
  let pauseMs: number = pauses.leastMs
  const note = (text: string) => {
    if (text !== seen) fly.report(`machine ${ref.id}: ${text}`)
    seen = text
  }

  for (;;) {
    const machine = await fly.machines.machine(ref, fly.signal)
    if (!machine)
      throw new Problem('builder-failed', `Machine ${ref.id} is gone. Run tarmac up again.`)
    if (isLost(machine)) throw hostLost(machine)
    const crashes = crashesOf(machine)
    earlier ??= crashes.length
    if (!isAlive(machine) || crashes.length - earlier >= mostCrashes)
      throw await crashed(fly, ref, `${machine.state}: ${crashes[0] ?? 'it was stopped'}`)

    const waits = await missing(fly, ref, machine)
    if (waits === null) return fly.report(`machine ${ref.id}: ready`)
    note(waits)
    if (performance.now() > deadline)
      throw await crashed(fly, ref, `not ready after ${readyMs / 1000} s: ${waits}`)
    await pause(pauseMs, fly.signal)
    pauseMs = Math.min(pauseMs * 2, pauses.mostMs)
  }
}

const isAlive = ({ state }: Machine): boolean =>
  ['started', 'starting', 'restarting', 'replacing', 'created'].includes(state)

/** What is missing until the builder is ready. Null: nothing. */
async function missing(fly: FlyParts, ref: MachineRef, machine: Machine): Promise<string | null> {
  if (machine.state !== 'started') return machine.state
  const port = portIn(configOf(machine))
  const answer = await askInside(fly, ref, { port, path: '/readyz' })
  if (answer && answer.status !== 200) return wordsOf(answer)

  const checks = machine.checks ?? []
  const bad = checks.find(({ status }) => status !== 'passing')
  if (bad) return `check ${bad.name}: ${bad.status}${bad.output ? ` (${bad.output})` : ''}`
  // Fly shows a check once it has run.
  return checks.length === 0 ? 'its checks have not run yet' : null
}

/** The gateway says in words why it is not ready (`detail` of its problem). */
function wordsOf({ status, body }: Answer): string {
  if (status === 0) return `its gateway does not answer yet (${body})`
  const read = parsed(body)
  const detail = isObject(read) ? read['detail'] : null
  if (typeof detail === 'string') return `its gateway is not ready: ${detail}`
  return `its gateway answers ${status}: ${body.slice(0, 300)}`
}

/** With the last lines that the machine's program printed. */
async function crashed(fly: FlyParts, ref: MachineRef, why: string): Promise<Problem> {
  const lines = await fly.machines
    .machineLog(ref, logLines, fly.signal)
    .then((all) => all.map(({ text }) => `  ${text}`))
    .catch((error: unknown) => [`  Fly does not give its log: ${errorMessage(error)}`])
  return new Problem(
    'builder-failed',
    `Machine ${ref.id} is ${why}. Its last lines:\n${lines.join('\n')}\nWhen the cause is removed, run tarmac up again. A setting is changed by --env NAME=VALUE, and removed by --env NAME=. All lines: fly logs --app ${ref.app}`,
  )
}
