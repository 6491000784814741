import { Problem } from '#api/problem.ts'
import type { Deployment } from '#api/deployment.ts'
import { statusOf } from '#fly/fly-calls.ts'
import type { MachinesApi } from '#fly/machines-api.ts'
import { takeImage } from '../../build/take-image.ts'
import { resolveDesired } from '../../deploy/config/resolve-desired.ts'
import type { AnalyzeDeps } from '../analyze.ts'
import { ensureApp } from '../ensure-app.ts'
import type { Steps, TakeInput } from '../steps.ts'

type TakeDeps = AnalyzeDeps & Parameters<typeof takeImage>[2] & { fly: Pick<MachinesApi, 'app'> }

/**
 * Takes the image of a deployment without a source. Checks first what can be known before the copy,
 * and makes the app, without which its registry has no repository.
 */
export async function takeRequested(input: TakeInput, deps: TakeDeps): ReturnType<Steps['take']> {
  const { deployment, emit, signal } = input
  const { id, number, app, flyApp, options, requestedImage } = deployment
  const { deployer, store } = deps
  const { releases, templates } = store
  if (!requestedImage) throw new Problem('internal', 'This deployment names no image.')

  const resolve = (of: typeof deployment) =>
    resolveDesired(of, null, { ...deps, releases, templates })
  const desired = await resolve(deployment)
  const preflight = { id, number, app: flyApp, recordedApp: app, options, desired, signal }
  const warnings = await deployer.preflight(preflight)
  for (const text of [...desired.warnings, ...warnings]) emit({ type: 'warning', text })
  await ensureApp({ ...deployment, emit, signal }, Promise.resolve(), deps)

  const { reference } = requestedImage
  const repository = await repositoryOf(deployment, deps, signal)
  const taken = await takeImage(input, { reference, isOfSource: false, repository }, deps)
  const { port } = taken.image
  if (port === undefined || deployment.from) return { ...taken, desired }
  const text = `The image exposes port ${port}, so the app's service sends to that port.`
  emit({ type: 'note', text })
  return { ...taken, desired: await resolve({ ...deployment, image: taken.image }) }
}

/**
 * Where a copied image goes. For a preview it is the repository of the app that it belongs to: apps of
 * an organisation run each other's images, so that all its previews need one copy. Fly's registry has
 * no repository without an app, so before that app exists it is the preview's own.
 */
async function repositoryOf(
  { app, preview }: Pick<Deployment, 'app' | 'preview'>,
  { fly }: Pick<TakeDeps, 'fly'>,
  signal: AbortSignal,
): Promise<string> {
  if (!preview) return app
  const found = await fly.app(preview.app, signal).catch((error: unknown) => {
    if (statusOf(error) === 403) return null // of another organisation, or out of the token's reach
    throw error
  })
  return found ? preview.app : app
}
