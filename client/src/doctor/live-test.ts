import { randomBytes, randomUUID } from 'node:crypto'
import { DeploymentState, isFinal } from '#api/deployment.ts'
import { pause } from '#api/flow/retry.ts'
import { errorMessage } from '#api/error-code.ts'
import { failed, type Found, ok } from '#api/doctor/run-probes.ts'
import type { Finding } from '#api/doctor/report.ts'
import { readOptions } from '#api/options.ts'
import { Problem } from '#api/problem.ts'
import { fill, routes } from '#api/routes.ts'
import type { DeploymentRecord } from '../answers.ts'
import { askGateway } from '../builder/ask-gateway.ts'
import type { Builder } from '../builder/find-builder.ts'
import { Gateway } from '../gateway.ts'
import type { Printer } from '../print.ts'
import { uploadDeployment } from '../sending/upload.ts'
import { askForPage, LiveSteps } from './live-steps.ts'
import { liveSource } from './live-source.ts'
import { loadTest, type LoadTimes } from './load-test.ts'

const deleteMs = 120_000
const lookMs = 500

/** How long each part took, in milliseconds. */
export type LiveTimes = {
  phases: Record<string, number>
  load: LoadTimes | null
}

/**
 * Does a whole deployment of a tiny app of its own: upload, build, push, machine, ready, request,
 * and removal. With `machines` it then makes so many machines at once. The app is removed in any
 * case.
 */
export async function liveTest(
  { gateway: address, token }: Builder,
  machines: number,
  printer: Pick<Printer, 'note'>,
  signal: AbortSignal,
): Promise<{ findings: Finding[]; times: LiveTimes }> {
  if (!address) throw new Problem('option-invalid', 'The live test needs the gateway’s address.')
  const app = `tarmac-doctor-${randomBytes(4).toString('hex')}`
  const times: LiveTimes = { phases: {}, load: null }
  const steps = new LiveSteps('live test', signal)
  const at = { gateway: address, token }

  printer.note(`live test: deploying a tiny app, ${app}; it is removed at the end`)
  const ended: DeploymentRecord[] = []
  try {
    await steps.run('deploy', async () => {
      ended.push(await deployTiny(new Gateway(address, token), app, times.phases, signal))
      return verdictOf(ended[0]!)
    })
    const live = ended.find(({ state }) => state === 'live')
    if (live) await steps.run('request', () => request(live.url, times.phases, signal))
    if (live && machines > 0)
      await steps.run('load', async () => {
        printer.note(`live test: making ${machines} machines at once`)
        times.load = await loadTest(at, { app, deployment: live.id, machines }, signal)
        return verdictOfLoad(times.load)
      })
  } finally {
    await steps.run('removal', () => remove(at, app, times.phases))
  }
  return { findings: steps.findings, times }
}

/** Notes how long the deployment was in each state. */
async function deployTiny(
  gateway: Gateway,
  app: string,
  phases: Record<string, number>,
  signal: AbortSignal,
): Promise<DeploymentRecord> {
  const { options } = readOptions([
    ['deploy', 'true'],
    ['trigger', 'cli'],
  ])
  const asked = { app, options, secrets: new Map<string, string>(), key: randomUUID() }
  const begunAt = performance.now()
  const { id } = await uploadDeployment(gateway, asked, liveSource(), signal)
  phases['upload'] = Math.round(performance.now() - begunAt)

  let last: { state: DeploymentState; atMs: number } | null = null
  for await (const message of gateway.events(id, 0, 'state', signal)) {
    if (!('seq' in message) || message.type !== 'state') continue
    const atMs = Date.parse(message.at)
    if (last) phases[last.state] = (phases[last.state] ?? 0) + (atMs - last.atMs)
    last = { state: message.state, atMs }
    if (isFinal(message.state)) break
  }
  // The stream may have broken early. Only the record is the verdict.
  for (;;) {
    const record = await gateway.find(id, signal)
    if (isFinal(record.state)) return record
    await pause(lookMs, signal)
  }
}

function verdictOf({ state, id, problem }: DeploymentRecord): Found {
  if (state === 'live') return ok(`deployment ${id} is live: its machine runs and its port answers`)
  return failed(
    `deployment ${id} ended as ${state}: ${problem?.detail ?? 'without a reason'}`,
    `tarmac follow ${id}`,
  )
}

const verdictOfLoad = ({ machines, failed: bad }: LoadTimes): Found =>
  bad === 0
    ? ok(`${machines} machines, each with its own deployment`)
    : failed(`${bad} of ${machines} deployments did not become live`, 'Look at their logs.')

/** From here, which often cannot reach the private network. The gateway has tried the port itself. */
async function request(
  url: string | null,
  phases: Record<string, number>,
  signal: AbortSignal,
): Promise<Found> {
  if (url === null) return ok('the app has no address; the gateway has seen its port answer')
  const begunAt = performance.now()
  return askForPage(url, signal, () => {
    phases['request'] = Math.round(performance.now() - begunAt)
  })
}

/** Also after an interrupt: cancels what still runs, and deletes the app with its machines. */
async function remove(
  at: { gateway: URL; token: string },
  app: string,
  phases: Record<string, number>,
): Promise<Found> {
  const begunAt = performance.now()
  const signal = AbortSignal.timeout(deleteMs)
  const path = `${fill(routes.app, { app })}?confirm=${app}`
  for (;;) {
    try {
      await askGateway(at, { path, method: 'DELETE', withinMs: deleteMs }, signal)
      phases['removal'] = Math.round(performance.now() - begunAt)
      return ok(`${app} and its machines are gone`)
    } catch (error) {
      const busy =
        error instanceof Problem && error.code === 'app-busy' ? error.facts['deployment'] : null
      if (error instanceof Problem && error.code === 'app-not-found')
        return ok(`${app} was not made`)
      if (typeof busy !== 'string')
        return failed(`${app} is still there: ${errorMessage(error)}`, `fly apps destroy ${app}`)
      const cancel = `${fill(routes.cancel, { id: busy })}?abort=true`
      await askGateway(at, { path: cancel, body: {}, withinMs: 10_000 }, signal).catch(() => null)
      await pause(lookMs, signal)
    }
  }
}

const phaseNames = [
  'upload',
  ...DeploymentState.options.filter((state) => !isFinal(state)),
  'request',
  'removal',
]

const seconds = (ms: number) => `${(ms / 1000).toFixed(2)} s`

/** The times of a live test, for people. */
export function renderLive({ phases, load }: LiveTimes): string {
  const parts = phaseNames.flatMap((name) =>
    phases[name] === undefined ? [] : [`${name} ${seconds(phases[name])}`],
  )
  const lines = [`times: ${parts.join(', ')}`]
  if (load)
    lines.push(
      `load: ${load.machines} machines in ${seconds(load.wallMs)}; from request to live: ` +
        `median ${seconds(load.p50Ms)}, p90 ${seconds(load.p90Ms)}, p99 ${seconds(load.p99Ms)}, slowest ${seconds(load.maxMs)}`,
    )
  return `${lines.join('\n')}\n`
}
