import type { Address, Certificate, DriftReport } from '#api/drift/report.ts'
import { asProblem, Problem } from '#api/problem.ts'
import type { Unknown } from '#api/status/part.ts'
import type { CertificateSummary, ExposureApi } from '#fly/exposure/exposure-api.ts'
import type { Machine } from '#fly/machine.ts'
import type { MachinesApi } from '#fly/machines-api.ts'
import { machineDrift } from '../deploy/machines/drift.ts'
import { isPublic } from '../deploy/public-ips.ts'
import { noteCrashes } from '../deploy/release-health/note-crashes.ts'
import type { NewestRelease } from '../deployments/release-store.ts'
import type { DeploymentStore } from '../deployments/store.ts'
import type { Logger } from '../log.ts'
import type { OwnNetwork } from './addresses.ts'
import { certificateOf } from './certificates.ts'

export type GatherDeps = {
  fly: Pick<MachinesApi, 'app' | 'ipAssignments' | 'machines'>
  exposure: Pick<ExposureApi, 'certificates' | 'certificate' | 'networks'>
  store: Pick<DeploymentStore, 'releases' | 'find' | 'status' | 'ownerApps'>
  log: Pick<Logger, 'warn'>
  now: () => number
}

/** What Fly has of an app now, and how its machines differ from their releases. */
export type Gathered = {
  flyId: string | null
  /** The app of its records: another one if it is an owner's own app. */
  recordedApp: string
  /** The network on which its addresses should be. */
  own: OwnNetwork
  report: Omit<DriftReport, 'findings'>
}

/**
 * Asks Fly for everything that a drift report covers. `details`: how many certificates are read in
 * detail, at one a second. Throws `app-not-found`.
 */
export async function gather(
  app: string,
  deps: GatherDeps,
  details: number,
  signal: AbortSignal,
): Promise<Gathered> {
  const { fly, store, log } = deps
  const { releases } = store
  const found = await fly.app(app, signal)
  if (!found) throw new Problem('app-not-found', `There is no app ${app} on Fly.`)

  const wasDeploying = await isDeploying(app, store)
  const flyId = found.id ?? null
  const [ips, machines, certificates, newest, made] = await Promise.all([
    addressesOf(app, deps, signal),
    fly.machines(app, signal),
    certificatesOf(app, deps, details, signal),
    newestOn(app, releases),
    releases.isOwnApp(app, flyId),
  ])
  await noteCrashes(app, machines, { releases, log })
  const now = await releases.newestOn(app)
  const network = found.network ?? null
  const organization = found.organization?.slug ?? null
  const owned = store.ownerApps.targetOf(app)
  const report = {
    app,
    made,
    ips,
    network,
    certificates,
    // It may have begun while Fly was asked.
    deploying: wasDeploying || (await isDeploying(app, store)),
    ...machineDrift(machines, newest),
    degraded: now.flatMap(({ owner, number, deployment, crashes }) => {
      const open = crashes.filter(({ endedAt }) => endedAt === null)
      return open.length > 0 ? [{ owner, release: number, deployment, crashes: open }] : []
    }),
    missing: (await Promise.all(now.map((each) => missingOf(each, machines, store)))).flat(),
  }
  // An owner's own app is alone in its network, and reached from another one by its address.
  const own = { name: owned ? null : network, organization }
  return { flyId, recordedApp: owned?.app ?? app, own, report }
}

/** The newest releases of the targets whose machines are in this app on Fly, with their configs. */
async function newestOn(flyApp: string, releases: DeploymentStore['releases']) {
  const facts = await releases.newestOn(flyApp)
  const all = await Promise.all(facts.map(({ app, owner }) => releases.find(app, owner)))
  return all.filter((each) => each !== null)
}

const changing = new Set<string>(['deploying', 'verifying'])

/** Whether a deployment may be changing the app's machines. */
async function isDeploying(
  app: string,
  store: Pick<DeploymentStore, 'status' | 'ownerApps'>,
): Promise<boolean> {
  const all = await store.status.unfinishedByTarget()
  const isHere = (target: { app: string; owner: string }) =>
    store.ownerApps.flyAppOf({ ...target, owner: target.owner || null }) === app
  return all.some((each) => changing.has(each.state) && isHere(each))
}

/** The addresses of an app. Only Fly's web API knows the network of a Flycast address. */
async function addressesOf(
  app: string,
  { fly, exposure }: Pick<GatherDeps, 'fly' | 'exposure'>,
  signal: AbortSignal,
): Promise<Address[]> {
  const ips = await fly.ipAssignments(app, signal)
  const hasFlycast = ips.some(({ ip }) => !isPublic(ip))
  const networks = hasFlycast
    ? await exposure.networks(app, signal).catch(whyUnknown(signal))
    : new Map()
  return ips.map(({ ip }) => {
    if (isPublic(ip)) return { ip, public: true, network: null }
    const network = networks instanceof Map ? networks.get(ip) : networks
    return { ip, public: false, network: network ?? { unknown: 'Fly does not say it.' } }
  })
}

/** The hostnames of an app, those without a certificate first. */
async function certificatesOf(
  app: string,
  { exposure, now }: Pick<GatherDeps, 'exposure' | 'now'>,
  details: number,
  signal: AbortSignal,
): Promise<Certificate[] | Unknown> {
  const summaries = await exposure.certificates(app, signal).catch(whyUnknown(signal))
  if (!Array.isArray(summaries)) return summaries
  const ordered: CertificateSummary[] = summaries.toSorted(
    (a, b) =>
      Number(a.configured ?? false) - Number(b.configured ?? false) ||
      a.hostname.localeCompare(b.hostname),
  )
  return Promise.all(
    ordered.map(async (summary, at) => {
      const asked = at < details ? exposure.certificate(app, summary.hostname, signal) : null
      // Unread is no reason to lose the others.
      const detail = (await asked?.catch(whyUnknown(signal))) ?? null
      return certificateOf(summary, detail && 'unknown' in detail ? null : detail, now())
    }),
  )
}

/** A part that Fly did not give is unknown. The whole report fails only when its time is over. */
function whyUnknown(signal: AbortSignal): (error: unknown) => Unknown {
  return (error) => {
    signal.throwIfAborted()
    return { unknown: asProblem(error).message }
  }
}

/** The machines on which a release was verified and that are gone. */
async function missingOf(
  { owner, number, deployment }: NewestRelease,
  machines: Machine[],
  store: Pick<DeploymentStore, 'find'>,
): Promise<DriftReport['missing']> {
  const made = await store.find(deployment)
  const verified = made?.machines.filter(({ outcome }) => outcome === 'verified') ?? []
  return verified
    .filter(({ id }) => !machines.some((machine) => machine.id === id))
    .map(({ id }) => ({ machine: id, owner, release: number }))
}
