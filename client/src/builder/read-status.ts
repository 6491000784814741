import { errorMessage } from '#api/error-code.ts'
import { Problem } from '#api/problem.ts'
import { routes } from '#api/routes.ts'
import { GatewayStatus } from '#api/status/status.ts'
import type { Machine } from '#fly/machine.ts'
import { askGateway, isUnreachable } from './ask-gateway.ts'
import type { Builder } from './find-builder.ts'
import { lookAtFly, type OnFly, runInMachine } from './fly-machines.ts'

const directMs = 5000
const execSeconds = 20

export type BuilderState = {
  app: string | null
  /** Null: Fly was not asked, because there is no token of Fly here, or the app is not known. */
  onFly: OnFly | null
  status: GatewayStatus | null
  /** How the status was read, or why not; one sentence each. */
  ways: string[]
}

/**
 * Reads the state of a builder. It asks Fly first, where it can, because a request to the gateway
 * would wake a stopped machine. Where the gateway cannot be reached from here, it runs a command
 * inside the machine.
 */
export async function readBuilder(
  builder: Builder,
  wake: boolean,
  signal: AbortSignal,
): Promise<BuilderState> {
  const { app, fly } = builder
  const ways: string[] = []
  const onFly = fly && app ? await lookAtFly(fly, app, signal) : null
  if (onFly) ways.push(`Fly's Machines API was asked for the machine of ${app}.`)

  const state = onFly?.machine?.state
  if (onFly && state !== 'started' && !wake) {
    const what =
      state === undefined ? 'It has no machine.' : `Its machine is ${state}, and was not woken.`
    ways.push(what)
    return { app, onFly, status: null, ways }
  }
  if (!onFly && !wake && wakes(builder)) {
    ways.push(
      `The gateway at ${builder.gateway?.origin} was not asked: a request would wake it, if it is stopped. Give --wake, or set FLY_API_TOKEN${app ? '' : ' and give --app NAME'} to see whether it runs.`,
    )
    return { app, onFly, status: null, ways }
  }

  const status = await readStatus(builder, onFly?.machine ?? null, ways, signal)
  return { app, onFly, status, ways }
}

/**
 * Whether a request to the gateway goes through Fly's proxy, which starts stopped machines. A tunnel
 * leads there too.
 */
export const wakes = ({ gateway, isTunnel }: Builder): boolean =>
  isTunnel || /\.(?:flycast|fly\.dev)$/.test(gateway?.hostname ?? '')

async function readStatus(
  builder: Builder,
  machine: Machine | null,
  ways: string[],
  signal: AbortSignal,
): Promise<GatewayStatus | null> {
  const { app, gateway, token, fly } = builder
  if (gateway) {
    try {
      const call = { path: routes.status, withinMs: directMs }
      const status = GatewayStatus.parse(await askGateway({ gateway, token }, call, signal))
      ways.push(`The gateway at ${gateway.origin} was asked.`)
      return status
    } catch (error) {
      if (!isUnreachable(error)) throw error
      ways.push(`${errorMessage(error)}.`)
    }
  }
  if (!fly || !app || !machine) {
    if (!app) ways.push('To ask through Fly, set FLY_API_TOKEN and give --app NAME.')
    else if (fly) ways.push('There is no machine to ask through Fly.')
    else ways.push('There is no token of Fly here: set FLY_API_TOKEN.')
    return null
  }

  const run = { command: ['tarmac-gateway', 'status'], seconds: execSeconds }
  try {
    const stdout = await runInMachine(fly, { app, id: machine.id }, run, signal)
    const status = GatewayStatus.parse(JSON.parse(stdout))
    ways.push(`The gateway was asked by a command inside machine ${machine.id}.`)
    return status
  } catch (error) {
    if (!(error instanceof Problem) && !(error instanceof SyntaxError)) throw error
    ways.push(
      `A command inside machine ${machine.id} did not give its status: ${errorMessage(error)}`,
    )
    return null
  }
}
