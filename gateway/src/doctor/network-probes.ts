import { lookup } from 'node:dns/promises'
import { request } from 'node:http'
import { text } from 'node:stream/consumers'
import { errorCode, errorMessage } from '#api/error-code.ts'
import { failed, type Found, ok, type Probe, unknown, warning } from '#api/doctor/run-probes.ts'
import { Problem } from '#api/problem.ts'
import { triedFromStep, verifyIsolation } from '../isolation/probe.ts'
import { type DoctorParts, notOnFly } from './doctor-parts.ts'

const group = 'network'
const ownApi = '/.fly/api'
/** Fly's API inside a machine, and the DNS server of its private network. Source: fly.md 6. */
const internal = { host: '_api.internal', port: 4280 }
const internalDns = { host: 'fdaa::3', port: 53 }
const clockMs = { warning: 30_000, failed: 300_000 }

/** Names, the clock, Fly's private parts, and the isolation of build steps. */
export function networkProbes(parts: DoctorParts): Probe[] {
  const { config, own } = parts
  const hosts = new Set([new URL(config.fly.api).hostname, hostOf(config.registry)])
  const onFly = (run: () => Promise<Found>) => () => (own ? run() : unknown(notOnFly))
  return [
    ...[...hosts].map((host) => ({ group, name: `DNS of ${host}`, run: () => resolves(host) })),
    { group, name: 'clock', run: (signal) => clock(config.fly.api, signal) },
    { group, name: 'DNS of _api.internal', run: onFly(() => resolves(internal.host)) },
    { group, name: 'Fly’s internal API', run: onFly(internalApi) },
    { group, name: 'Docker Hub mirror', run: onFly(hubMirror) },
    { group, name: ownApi, run: () => socketApi(parts) },
    { group, name: 'Flycast', run: (signal) => flycast(parts, signal) },
    {
      group,
      name: 'isolation of build steps',
      withinMs: 60_000,
      run: (signal) => isolation(parts, signal),
    },
    {
      group,
      name: 'private network from build steps',
      withinMs: 60_000,
      run: (signal) => privateNetwork(parts, signal),
    },
  ]
}

const hostOf = (registry: string): string => registry.replace(/:\d+$/, '')

async function resolves(host: string): Promise<Found> {
  try {
    return ok((await lookup(host)).address)
  } catch (error) {
    return failed(
      `${host} has no address (${errorCode(error) ?? errorMessage(error)})`,
      'Look at /etc/resolv.conf of this machine.',
    )
  }
}

/** Compares the clock with the `Date` of Fly's answers, which has whole seconds. */
export async function clock(api: string, signal: AbortSignal): Promise<Found> {
  const sentAt = Date.now()
  const { headers } = await fetch(api, { redirect: 'manual', signal })
  const theirs = Date.parse(headers.get('date') ?? '')
  if (Number.isNaN(theirs)) return unknown('Fly’s API sends no date')

  const offMs = Math.round((sentAt + Date.now()) / 2 - (theirs + 500))
  const detail = `${Math.abs(Math.round(offMs / 1000))} s ${offMs < 0 ? 'behind' : 'ahead of'} Fly’s API`
  const next = 'Set the clock of this machine: tokens and certificates depend on it.'
  if (Math.abs(offMs) > clockMs.failed) return failed(detail, next)
  return Math.abs(offMs) > clockMs.warning ? warning(detail, next) : ok(detail)
}

/** Source: flyctl's doctor takes 404 for `GET /` as the sign that the API is reached. */
async function internalApi(): Promise<Found> {
  const url = `http://${internal.host}:${internal.port}/`
  const { status } = await fetch(url, { signal: AbortSignal.timeout(5000) })
  return status === 404 ? ok(url) : warning(`${url} answered ${status}`, 'Expected: 404.')
}

/** Fly's own builders use it. Whether customers may is not documented. Source: fly.md 5.5. */
async function hubMirror(): Promise<Found> {
  const url = 'https://docker-hub-mirror.fly.io/v2/'
  const answer = await fetch(url, { signal: AbortSignal.timeout(5000) }).catch(errorMessage)
  if (typeof answer === 'string') return unknown(`${url}: ${answer}`)
  return ok(`${url} answers ${answer.status}; to use it, set TARMAC_MIRRORS`)
}

/**
 * What Fly's socket answers without a token. It only reads: whether the socket also stops or changes
 * the machine cannot be tried without doing so.
 */
async function socketApi({ own }: DoctorParts): Promise<Found> {
  if (!own) return unknown(notOnFly)
  const path = `/v1/apps/${own.app}/machines/${own.id}`
  const status = await new Promise<number>((resolve, reject) => {
    const call = request({ socketPath: ownApi, path, timeout: 5000 }, (answer) => {
      text(answer).then(() => resolve(answer.statusCode ?? 0), reject)
    })
    call.on('timeout', () => call.destroy(new Error('it does not answer')))
    call.on('error', reject).end()
  })
  return ok(`answers; reading the own machine without a token gives ${status}`)
}

const isPrivate = ({ ip }: { ip: string }) => /^fd/i.test(ip)

/** Whether Fly's proxy leads from the own Flycast name to this gateway. */
export async function flycast({ fly, own }: DoctorParts, signal: AbortSignal): Promise<Found> {
  if (!own) return unknown(notOnFly)
  const ips = await fly.ipAssignments(own.app, signal)
  const open = ips.filter((ip) => !isPrivate(ip)).map(({ ip }) => ip)
  if (open.length > 0)
    return warning(
      `${own.app} has public addresses: ${open.join(', ')}`,
      `Release them: fly ips release ADDRESS --app ${own.app}`,
    )
  if (!ips.some(isPrivate))
    return failed(
      `${own.app} has no Flycast address`,
      `Run tarmac up, or: fly ips allocate-v6 --private --app ${own.app}`,
    )
  // At the port of the service, where Fly's proxy listens, and not at that of the machine.
  const url = `http://${own.app}.flycast/healthz`
  const answer = await fetch(url, { signal }).catch((error: unknown) =>
    errorMessage(error instanceof Error && error.cause ? error.cause : error),
  )
  if (typeof answer !== 'string' && answer.ok) return ok(url)
  const why = typeof answer === 'string' ? answer : `status ${answer.status}`
  return failed(`${url}: ${why}`, 'Run tarmac up, which mends the service of the machine.')
}

async function isolation({ config, buildkit }: DoctorParts, signal: AbortSignal): Promise<Found> {
  if (!buildkit) return unknown('no build daemon could be asked', 'Start the gateway.')
  const ports = [config.http.port, config.buildkit.contextPort]
  try {
    return ok(await verifyIsolation(buildkit, { ...config.buildNetwork, ports }, signal))
  } catch (error) {
    if (!(error instanceof Problem) || error.code !== 'not-ready') throw error
    return failed(error.message, 'The gateway starts no builds until this is mended.')
  }
}

async function privateNetwork({ own, buildkit }: DoctorParts, signal: AbortSignal): Promise<Found> {
  if (!own) return unknown(notOnFly)
  if (!buildkit) return unknown('no build daemon could be asked', 'Start the gateway.')
  const { reached } = await triedFromStep(buildkit, [internal, internalDns], signal)
  if (reached.length === 0)
    return ok(`a build step reaches neither ${internal.host} nor the DNS of 6PN`)
  const named = reached.map(({ host, port }) => `${host} port ${port}`).join(', ')
  return failed(
    `a build step reaches ${named}`,
    'Look at TARMAC_BUILD_BRIDGE and TARMAC_BUILD_ALLOW.',
  )
}
