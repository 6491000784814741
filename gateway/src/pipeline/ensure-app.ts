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

/** Creates the app, and records that, unless it exists. Creates nothing before `wanted` resolves. */
export async function ensureApp(
  { app, options: { network, owner }, preview, emit, signal }: AppJob,
  wanted: Promise<unknown>,
  { deployer, store, ownerRoutes }: EnsureAppDeps,
): Promise<void> {
  // A preview is reached from the gateway's network, and itself reaches nothing there.
  const flycast = preview ? null : network
  // Owners are reached by their router alone: an address of the app would reach the machine of any.
  const isRouted = owner !== null && ownerRoutes.has(app)
  const own = { app: network, flycast: isRouted ? (false as const) : flycast }
  const made = await deployer.ensureApp(app, wanted, signal, own)
  if (!made) return
  await store.releases.recordCreatedApp(app, made.id ?? null)
  emit({ type: 'note', text: `Created the app ${app}, without public addresses.` })
}
