import { FlyError } from './fly-error.ts'
import type { FlyState, Machine, MachineState } from './state.ts'

const resting: MachineState[] = ['started', 'stopped', 'suspended', 'failed', 'destroyed']
const askable = new Set([...resting, 'settled'])

export type Wait = {
  states: string[]
  version: string | undefined
  afterEvent: string
  timeoutSeconds: number
}

/** Reads a `wait` by Fly's rules: states may repeat or be a comma list, 1 to 60 seconds. */
export function readWait(query: URLSearchParams): Wait {
  const states = query.getAll('state').flatMap((state) => state.split(','))
  const unknown = states.find((state) => !askable.has(state))
  if (unknown !== undefined)
    throw new FlyError(400, `invalid_argument: invalid machine state: '${unknown}'`)
  const timeoutSeconds = Number(query.get('timeout') ?? 60)
  if (!(timeoutSeconds >= 1 && timeoutSeconds <= 60)) {
    const rule = 'value must be inside range [1s, 1m0s]'
    throw new FlyError(400, `invalid_argument: invalid WaitMachineRequest.Timeout: ${rule}`)
  }
  return {
    states: states.length > 0 ? states : ['started'],
    version: query.get('version') ?? query.get('instance_id') ?? undefined,
    afterEvent: query.get('from_event_id') ?? '',
    timeoutSeconds,
  }
}

/** Answers when the machine is in the requested state, or 408. */
export async function waitFor(state: FlyState, machine: Machine, wait: Wait, signal: AbortSignal) {
  const deadline = AbortSignal.any([signal, AbortSignal.timeout(wait.timeoutSeconds * 1000)])
  while (!isReached(machine, wait)) {
    try {
      await state.changed(deadline)
    } catch {
      const text = `machine failed to reach desired state, ${wait.states.join(', ')}, currently ${machine.state}`
      throw new FlyError(408, `deadline_exceeded: ${text}`)
    }
  }
  if (machine.state === 'destroyed') return { ok: true, state: machine.state }
  return {
    ok: true,
    state: machine.state,
    version: machine.instance_id,
    event_id: machine.events[0]?.id ?? '',
  }
}

export function isReached(machine: Machine, wait: Wait): boolean {
  if (wait.version !== undefined && wait.version !== machine.instance_id) return false
  if (wait.afterEvent && (machine.events[0]?.id ?? '') <= wait.afterEvent) return false
  return wait.states.some((state) =>
    state === 'settled' ? resting.includes(machine.state) : state === machine.state,
  )
}
