import { Problem } from '#api/problem.ts'
import type { Process } from '#fly/answers.ts'
import { configOf, exitsOf, exitWords, type Machine, servedPorts } from '#fly/machine.ts'
import { failingChecks } from './checks.ts'
import { judgeReach } from './reachability.ts'
import { startError } from './failures.ts'

/**
 * What a machine that was started again lacks to answer requests. Empty: nothing, as far as Fly says.
 * Throws `preview-not-ready` if its program has ended, or Fly could not start it.
 */
export async function missingToAnswer(
  machine: Machine,
  processes: () => Promise<Process[]>,
): Promise<string> {
  const [exit] = exitsOf(machine)
  if (machine.state === 'stopped' && exit) throw ended(machine, exitWords(exit))
  if (machine.state === 'failed')
    throw ended(machine, `could not be started by Fly${startError(machine)}`)
  const failing = failingChecks(machine)
  if (failing.length > 0) return failing.join('; ')
  if (machine.state !== 'started') return `Fly says ${machine.state}`
  const ports = servedPorts(configOf(machine))
  if (ports.length === 0) return ''
  const reach = judgeReach(configOf(machine), ports, await processes())
  return reach.is === 'silent' ? reach.text : ''
}

const ended = ({ id }: Machine, how: string): Problem =>
  new Problem(
    'preview-not-ready',
    `Its program was started, and ${how}. Its log may say why: tarmac preview logs.`,
    {
      facts: { machine: id },
    },
  )
