import { Problem } from '#api/problem.ts'
import { takeImage } from '../../build/take-image.ts'
import { resolveDesired } from '../../deploy/config/resolve-desired.ts'
import type { AnalyzeDeps } from '../analyze.ts'
import { ensureApp } from '../ensure-app.ts'
import type { Steps, TakeInput } from '../steps.ts'

type TakeDeps = AnalyzeDeps & Parameters<typeof takeImage>[2]

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
  const taken = await takeImage(input, { reference, isOfSource: false }, deps)
  const { port } = taken.image
  if (port === undefined || deployment.from) return { ...taken, desired }
  const text = `The image exposes port ${port}, so the app's service sends to that port.`
  emit({ type: 'note', text })
  return { ...taken, desired: await resolve({ ...deployment, image: taken.image }) }
}
