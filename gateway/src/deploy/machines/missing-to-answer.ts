import type { Process } from '#fly/answers.ts'
import { configOf, exitsOf, exitWords, type Machine, servedPorts } from '#fly/machine.ts'
import { failingChecks } from './checks.ts'
import { judgeReach } from './reachability.ts'
import { startError } from './failures.ts'

/**
 * What a machine that was started again lacks to answer requests: empty if nothing, as far as Fly says.
 * `ended`: how its program has ended, or why Fly could not start it.
 */
export async function missingToAnswer(
  machine: Machine,
  processes: () => Promise<Process[]>,
): Promise<{ missing: string } | { ended: string }> {
  const [exit] = exitsOf(machine)
  if (machine.state === 'stopped' && exit) return { ended: exitWords(exit) }
  if (machine.state === 'failed')
    return { ended: `could not be started by Fly${startError(machine)}` }
  const failing = failingChecks(machine)
  if (failing.length > 0) return { missing: failing.join('; ') }
  if (machine.state !== 'started') return { missing: `Fly says ${machine.state}` }
  const ports = servedPorts(configOf(machine))
  if (ports.length === 0) return { missing: '' }
  const reach = judgeReach(configOf(machine), ports, await processes())
  return { missing: reach.is === 'silent' ? reach.text : '' }
}
