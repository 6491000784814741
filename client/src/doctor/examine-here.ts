import { statSync } from 'node:fs'
import { errorMessage } from '#api/error-code.ts'
import {
  failed,
  type Found,
  ok,
  type Probe,
  runProbes,
  unknown,
  warning,
} from '#api/doctor/run-probes.ts'
import type { Finding } from '#api/doctor/report.ts'
import { Problem } from '#api/problem.ts'
import { routes } from '#api/routes.ts'
import { guestSize, sizeText } from '#api/status/machine.ts'
import type { Machine } from '#fly/machine.ts'
import manifest from '../../../package.json' with { type: 'json' }
import { askGateway, isUnreachable } from '../builder/ask-gateway.ts'
import type { Builder } from '../builder/find-builder.ts'
import { lookAtFly } from '../builder/fly-machines.ts'
import { earlyAnswers } from './early-answers.ts'
import { wakes } from '../builder/read-status.ts'
import { tunnelTo } from '../tunnel.ts'

const group = 'this computer'

/** What this computer found about itself and its ways to the builder. */
export type Here = {
  findings: Finding[]
  /** Whether the gateway answers requests from here, with this token. */
  direct: boolean
  /** The machine as Fly has it. Null: not known, or there is none. */
  machine: Machine | null
}

/** Tries the side of the user: the file, the ways to the gateway, and the versions. */
export async function examineHere(
  builder: Builder,
  wake: boolean,
  signal: AbortSignal,
): Promise<Here> {
  const here: Here = { findings: [], direct: false, machine: null }
  const first = await runProbes(
    [
      { group, name: 'side file', run: () => sideFile(builder) },
      { group, name: 'Fly', run: (signal) => onFly(builder, here, signal) },
    ],
    signal,
  )
  const mayAsk = wake || mayAskGateway(builder, here)
  const gateway: Probe[] = [
    {
      group,
      name: 'gateway',
      run: (signal) => (mayAsk ? reach(builder, here, signal) : asleep(here)),
    },
  ]
  const found = await runProbes(gateway, signal)
  const early: Probe = {
    group,
    name: 'early answers',
    run: (signal) => earlyAnswers(builder, signal),
  }
  here.findings = [...first, ...found, ...(here.direct ? await runProbes([early], signal) : [])]
  return here
}

function sideFile({ sideFile, gateway }: Builder): Found {
  if (sideFile === null)
    return gateway
      ? ok('none is needed: the gateway is named by an option or TARMAC_GATEWAY')
      : unknown('this computer has no file of this builder', 'Copy it from where tarmac up ran.')
  // oxlint-disable-next-line no-bitwise -- the bits of a file's mode
  const mode = statSync(sideFile).mode & 0o777
  if (mode === 0o600) return ok(sideFile)
  return warning(`${sideFile} has the mode ${mode.toString(8)}`, `chmod 600 ${sideFile}`)
}

async function onFly({ app, fly }: Builder, here: Here, signal: AbortSignal): Promise<Found> {
  if (!fly)
    return unknown('there is no token of Fly here', 'Set FLY_API_TOKEN to look at the machine.')
  if (app === null) return unknown('the builder’s app is not known', 'Give --app NAME.')
  const { machine, machines } = await lookAtFly(fly, app, signal)
  here.machine = machine
  if (!machine) return failed(`${app} has no machine`, 'Run tarmac up.')

  const { id, state, region, config } = machine
  const size = guestSize(config?.guest)
  const detail = `${app}: machine ${id} is ${state}, region ${region}${size ? `, ${sizeText(size)}` : ''}`
  if (machines === 1) return ok(detail)
  return warning(`${detail}; there are ${machines} machines`, 'Run tarmac up: one is right.')
}

/** Not when a request would wake a stopped machine. */
function mayAskGateway(builder: Builder, { machine }: Here): boolean {
  if (machine) return machine.state === 'started'
  return !wakes(builder)
}

function asleep({ machine }: Here): Found {
  const next = 'Give --wake to start it.'
  return machine
    ? unknown(`not asked: its machine is ${machine.state}`, next)
    : unknown('not asked: a request would wake it, if it is stopped', next)
}

/** Whether the gateway answers here, takes the token, and is of the client's version. */
async function reach(builder: Builder, here: Here, signal: AbortSignal): Promise<Found> {
  const { app, gateway, token } = builder
  if (!gateway) return unknown('its address is not known here', 'Set TARMAC_GATEWAY.')
  const begunAt = performance.now()
  let version: unknown
  try {
    const call = { path: routes.status, withinMs: 8000 }
    const answer = await askGateway({ gateway, token }, call, signal)
    version =
      typeof answer === 'object' && answer !== null && 'version' in answer ? answer.version : null
  } catch (error) {
    if (!(error instanceof Problem)) throw error
    if (builder.identity && !isUnreachable(error))
      return failed(
        `${gateway.origin} does not know the caller`,
        builder.identity.explain(error).message,
      )
    if (error.code === 'unauthorized')
      return failed(
        `${gateway.origin} does not take the token`,
        'Set TARMAC_TOKEN to one of the tokens in its setting TARMAC_TOKENS.',
      )
    return failed(
      errorMessage(error),
      `Reach it by Tailscale, by fly wireguard, or by: ${tunnelTo(app ?? 'APP')}`,
    )
  }

  here.direct = true
  const detail = `${gateway.origin} answers in ${Math.round(performance.now() - begunAt)} ms; version ${String(version)}`
  if (version === manifest.version) return ok(`${detail}, as this client`)
  return warning(
    `${detail}, and this client is ${manifest.version}`,
    'Use the same version of both: tarmac upgrade, or install the client again.',
  )
}
