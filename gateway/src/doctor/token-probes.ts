import { failed, type Found, ok, type Probe, unknown, warning } from '#api/doctor/run-probes.ts'
import { someOf } from '#api/text/some-of.ts'
import { FlyAccess } from '#fly/fly-access.ts'
import { isUnavailable, statusOf } from '#fly/fly-calls.ts'
import { type DoctorParts, notOnFly } from './doctor-parts.ts'

const group = 'Fly token'

/** What the gateway's token may do. None of these calls has an effect. */
export function tokenProbes(parts: DoctorParts): Probe[] {
  const { org } = parts.config.deployer
  const next = `Make a token with: fly tokens create org ${org}, and set TARMAC_FLY_TOKEN to it.`
  return [
    { group, name: 'valid', run: (signal) => valid(parts, next, signal) },
    { group, name: 'organisation', run: () => reachesOrg(parts, next) },
    { group, name: 'make apps', run: (signal) => makesApps(parts, next, signal) },
    { group, name: 'read logs', run: (signal) => readsLogs(parts, next, signal) },
  ]
}

async function valid(
  { config, tokens }: DoctorParts,
  next: string,
  signal: AbortSignal,
): Promise<Found> {
  if (config.secrets.fly === '') return failed('TARMAC_FLY_TOKEN is not set', next)
  try {
    const known = await tokens.tokens(signal)
    const orgs = [...new Set(known.map(({ org_slug }) => org_slug ?? '?'))].join(', ')
    const apps = known.flatMap(({ apps }) => apps ?? [])
    const named = apps.length > 0 ? `, apps: ${someOf(apps, 5)}` : ''
    return ok(`organisation ${orgs || 'not named'}${named}`)
  } catch (error) {
    if (![401, 403].includes(statusOf(error) ?? 0)) throw error
    return failed('Fly does not take the token in TARMAC_FLY_TOKEN', next)
  }
}

async function reachesOrg({ config, fly }: DoctorParts, next: string): Promise<Found> {
  const { ok: isOk, isRefused, detail } = await new FlyAccess(fly, config.deployer.org).look()
  if (isOk) return ok(detail)
  return isRefused ? failed(detail, next) : unknown(detail)
}

async function makesApps(
  { config, tokens }: DoctorParts,
  next: string,
  signal: AbortSignal,
): Promise<Found> {
  const { org } = config.deployer
  const may = await tokens.mayMakeApps(org, signal)
  if (may === null) return unknown(`Fly did not say whether the token may make apps in ${org}`)
  if (may) return ok(`in ${org}`)
  return warning(`the token may make no apps in ${org}: deploys to apps that exist work`, next)
}

async function readsLogs(
  { fly, own }: DoctorParts,
  next: string,
  signal: AbortSignal,
): Promise<Found> {
  if (!own) return unknown(notOnFly)
  try {
    await fly.machineLog(own, 1, signal)
    return ok('of the gateway’s own machine')
  } catch (error) {
    if (isUnavailable(error)) throw error
    return warning(
      'the token reads no logs, so a failed deploy cannot show what the app printed',
      next,
    )
  }
}
