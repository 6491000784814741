import { errorMessage } from '#api/error-code.ts'
import { Problem } from '#api/problem.ts'
import type { Process } from '#fly/answers.ts'
import { configOf, servedPorts, type Machine, type MachineConfig } from '#fly/machine.ts'
import { pause } from '#api/flow/retry.ts'
import type { Execution } from '../execution.ts'
import type { MachineStep } from '../progress.ts'
import { assertNotCrashed } from './failures.ts'

const askMs = 5000
const againMs = 1000
/** Somebody waits for a preview. Most listen soon; Fly is not asked so often for minutes. */
const previewAgainMs = 200
const soonMs = 10_000

type Look = {
  ports: number[]
  deadline: number
  silentDeadline?: number
  /** Called after each look at which a port is silent, while time is left. */
  onSilent: (machine: Machine, leftMs: number) => Promise<void>
}
/** A program that listens: its command, and its address as Fly writes it (`0.0.0.0:8080`). */
export type Listener = { command: string; address: string }

/**
 * Whether Fly's proxy reaches the ports of a machine's services. `silent`: a port has no listener,
 * and `text` says what listens instead. `unknown`: Fly does not say what listens.
 */
export type Reach = { is: 'reached' | 'silent' | 'unknown'; text: string }

/** The served ports that no check connects to. A check that passes proves its own port. */
export function unprovenPorts(config: MachineConfig): number[] {
  const proven = new Set([
    ...Object.values(config.checks ?? {}).map(({ port }) => port),
    ...(config.services ?? []).flatMap(({ internal_port, checks = [] }) =>
      checks.map(({ port }) => port ?? internal_port),
    ),
  ])
  return servedPorts(config).filter((port) => !proven.has(port))
}

/** What listens in a machine. Leaves out Fly's own program for SSH. */
export const listenersOf = (processes: Process[]): Listener[] =>
  processes.flatMap(({ command, listen_sockets: sockets }) =>
    command?.includes('/.fly/hallpass')
      ? []
      : (sockets ?? []).flatMap(({ address }) =>
          address ? [{ command: command?.trim() || 'a program', address }] : [],
        ),
  )

/**
 * Judges what Fly's `ps` answered. Like flyctl, it takes any address that is not loopback for
 * reachable, and takes an answer without any socket for no answer: an old init sends none.
 * Source: `warnAboutIncorrectListenAddress` in flyctl's `machines_deploymachinesapp.go`.
 */
export function judgeReach(config: MachineConfig, ports: number[], processes: Process[]): Reach {
  const listeners = listenersOf(processes)
  const hasSockets = processes.some(({ listen_sockets: sockets }) => sockets?.length)
  if (!hasSockets) return unknownReach(ports, 'Fly shows no program that listens')

  const open = new Set(listeners.filter(({ address }) => !isLoopback(address)).map(portOf))
  const silent = ports.filter((port) => !open.has(port))
  return silent.length === 0
    ? { is: 'reached', text: '' }
    : { is: 'silent', text: silentText(config, silent, listeners) }
}

export const unknownReach = (ports: number[], why: string): Reach => ({
  is: 'unknown',
  text: `It is not known whether users reach ${portsText(ports)}: ${why}. The app must listen on ${addresses(ports)}`,
})

function silentText(config: MachineConfig, ports: number[], listeners: Listener[]): string {
  const instead = [
    ...new Set(listeners.map(({ command, address }) => `${command.slice(0, 100)} on ${address}`)),
  ].slice(0, maxListed)
  const others =
    instead.length > 0 ? `What listens instead: ${instead.join(', ')}` : 'Nothing else listens'
  const wanted = config.env?.['PORT']
  const port =
    wanted !== undefined && !ports.includes(Number(wanted))
      ? `. The variable PORT is ${wanted}, and internal_port is ${ports.join(', ')}`
      : ''
  return `Users cannot reach it: no program listens on ${addresses(ports)}. ${others}${port}. The app must listen on ${addresses(ports)}`
}
const maxListed = 5

const addresses = (ports: number[]): string => ports.map((port) => `0.0.0.0:${port}`).join(', ')
const portsText = (ports: number[]): string =>
  `port${ports.length > 1 ? 's' : ''} ${ports.join(', ')}`

const portOf = ({ address }: Listener): number =>
  Number(address.slice(address.lastIndexOf(':') + 1))

/** `127.0.0.0/8` and `::1`, also as an IPv4 address in IPv6. */
function isLoopback(address: string): boolean {
  const host = address.slice(0, address.lastIndexOf(':')).replace(/^\[|\]$/g, '')
  return /^(?:::ffff:)?127\./i.test(host) || /^(?:0{1,4}:){7}0{0,3}1$|^::1$/.test(host)
}

/**
 * Asks Fly whether the ports of a started machine are reached. It asks again until the deadline,
 * on the monotonic clock, while a port is silent: an app may listen late. `silentDeadline`: until then,
 * once Fly has said that nothing listens there. Null: the machine does not
 * run now. Throws `deploy-failed` if the app crashed meanwhile.
 */
export async function askReach(
  execution: Execution,
  step: MachineStep,
  { ports, deadline, silentDeadline = deadline, onSilent }: Look,
): Promise<Reach | null> {
  const { fly } = execution.settings
  const ref = execution.refOf(step)
  const startedAt = performance.now()
  const pauseMs = () =>
    execution.job.preview && performance.now() - startedAt < soonMs ? previewAgainMs : againMs
  for (; ; await pause(pauseMs(), execution.signal)) {
    try {
      const machine = await fly.machine(ref, execution.signal)
      if (machine) assertNotCrashed(machine, {})
      if (machine?.state !== 'started') return null
      const signal = AbortSignal.any([execution.signal, AbortSignal.timeout(askMs)])
      const reach = judgeReach(configOf(machine), ports, await fly.processes(ref, signal))
      const until = reach.is === 'silent' ? silentDeadline : deadline
      if (reach.is === 'reached' || performance.now() >= until) return reach
      if (reach.is === 'silent') await onSilent(machine, until - performance.now())
    } catch (error) {
      execution.signal.throwIfAborted()
      if (error instanceof Problem && error.code === 'deploy-failed') throw error
      return unknownReach(ports, `Fly did not say what listens (${errorMessage(error)})`)
    }
  }
}

/** What listens in a started machine, for a progress line. Empty when its ports are reached. */
export async function listeningNow(
  execution: Execution,
  step: MachineStep,
  machine: Machine,
): Promise<string> {
  const config = configOf(machine)
  const ports = servedPorts(config)
  if (ports.length === 0 || machine.state !== 'started') return ''
  const signal = AbortSignal.any([execution.stopping, AbortSignal.timeout(askMs)])
  const processes = await execution.settings.fly
    .processes(execution.refOf(step), signal)
    .catch(() => [])
  const reach = judgeReach(config, ports, processes)
  return reach.is === 'silent' ? reach.text : ''
}
