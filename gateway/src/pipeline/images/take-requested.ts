import { Problem } from '#api/problem.ts'
import { takeImage } from '../../build/take-image.ts'
import { resolveDesired } from '../../deploy/config/resolve-desired.ts'
import { ensureApp, type EnsureAppDeps } from '../ensure-app.ts'
import type { Steps, TakeInput } from '../steps.ts'

type TakeDeps = EnsureAppDeps & Parameters<typeof takeImage>[2] & { region: string }

/**
 * Takes the image of a deployment without a source. Checks first what can be known before the copy,
 * and makes the app, without which its registry has no repository.
 */
export async function takeRequested(input: TakeInput, deps: TakeDeps): ReturnType<Steps['take']> {
  const { deployment, emit, signal } = input
  const { id, number, app, options, requestedImage } = deployment
  const { deployer, store, region } = deps
  if (!requestedImage) throw new Problem('internal', 'This deployment names no image.')

  const desired = await resolveDesired(deployment, null, { releases: store.releases, region })
  const warnings = await deployer.preflight({ id, number, app, options, desired, signal })
  for (const text of [...desired.warnings, ...warnings]) emit({ type: 'warning', text })
  await ensureApp({ app, options, emit, signal }, Promise.resolve(), deps)

  const { reference } = requestedImage
  return { ...(await takeImage(input, { reference, isOfSource: false }, deps)), desired }
}
