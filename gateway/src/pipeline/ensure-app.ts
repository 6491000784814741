import type { DeploymentOptions } from '#api/options.ts'
import type { PreviewOf } from '#api/previews/preview.ts'
import type { Deployer } from '../deploy/deployer.ts'
import type { EventSink } from '../deployments/event-sink.ts'
import type { OwnerRoutes } from '../commands/router/owner-routes.ts'
import type { DeploymentStore } from '../deployments/store.ts'

export type EnsureAppDeps = {
  deployer: Deployer
  store: Pick<DeploymentStore, 'releases'>
  ownerRoutes: Pick<OwnerRoutes, 'has' | 'route'>
}

type AppJob = {
  app: string
  options: Pick<DeploymentOptions, 'network' | 'owner'>
  preview?: PreviewOf | null
  emit: EventSink
  signal: AbortSignal
}
type Networks = NonNullable<Parameters<Deployer['ensureApp']>[3]>

/**
 * Creates the app that has the image's repository, and records that, unless it exists. Creates nothing
 * before `wanted` resolves.
 */
export function ensureApp(
  job: AppJob,
  wanted: Promise<unknown>,
  deps: EnsureAppDeps,
): Promise<void> {
  const { network, owner } = job.options
  // A preview is reached from the gateway's network, and itself reaches nothing there.
  const flycast = job.preview ? null : network
  // Owners are reached by their router alone: an address of the app would reach the machine of any.
  const isRouted = owner !== null && deps.ownerRoutes.has(job.app)
  const networks = { app: network, flycast: isRouted ? (false as const) : flycast }
  return ensure(job, { wanted, networks }, deps)
}

/** The same for an owner's own app: in a network of its own, and reached from where `app` is. */
export function ensureOwnApp(job: AppJob & { flyApp: string }, deps: EnsureAppDeps): Promise<void> {
  const networks = { app: job.flyApp, flycast: job.options.network }
  return ensure({ ...job, app: job.flyApp }, { wanted: Promise.resolve(), networks }, deps)
}

async function ensure(
  { app, emit, signal }: AppJob,
  { wanted, networks }: { wanted: Promise<unknown>; networks: Networks },
  { deployer, store }: EnsureAppDeps,
): Promise<void> {
  const made = await deployer.ensureApp(app, wanted, signal, networks)
  if (!made) return
  await store.releases.recordCreatedApp(app, made.id ?? null)
  emit({ type: 'note', text: `Created the app ${app}, without public addresses.` })
}
