import type { ImageFacts } from '#api/deployment.ts'
import type { Pool } from '#api/previews/pool.ts'
import type { TemplateRef } from '#api/previews/preview.ts'
import { asProblem, Problem } from '#api/problem.ts'
import { type Principal, operator } from '../../callers/principal.ts'
import { previewOptionsOf } from '../../commands/previews/create-preview.ts'
import type { Submissions } from '../../commands/submissions.ts'
import { type LogStore, untilEnd } from '../../deployments/follow.ts'
import { flyAppOf, newPreviewId } from '../../deployments/previews/preview-names.ts'
import type { DeploymentStore } from '../../deployments/store.ts'
import { entryMs } from './next-step.ts'

export type FillDeps = {
  store: LogStore & Pick<DeploymentStore, 'previews'>
  submissions: Pick<Submissions, 'deployExisting'>
  /** See `markOf`. */
  mark: string
}

/** Quotas hold for it as for callers: what waits in a pool has machines of its team. */
const keeper: Principal = { ...operator, kind: 'gateway', name: 'pool', scopes: ['preview'] }

/** Makes one entry of a pool: a preview without an owner. Throws why it was never ready. */
export async function fillPool(
  { app, region }: Pool,
  { template, image }: { template: TemplateRef; image: ImageFacts },
  { store, submissions, mark }: FillDeps,
  signal: AbortSignal,
): Promise<void> {
  const id = newPreviewId(mark)
  const flyApp = flyAppOf({ id, app })
  const source = { image: image.reference }
  const deployment = await submissions.deployExisting(keeper, source, {
    app: flyApp,
    options: previewOptionsOf(flyApp, { region }),
    idempotencyKey: null,
    preview: {
      id,
      app,
      owner: '',
      template,
      expiresAt: new Date(Date.now() + entryMs).toISOString(),
      evict: false,
      limits: { perOwner: 0, all: 0 },
      pool: 'entry',
    },
  })
  const ended = await untilEnd(store, deployment.id, signal)
  signal.throwIfAborted()
  if (ended?.state === 'live') return
  throw ended?.problem
    ? Problem.from(ended.problem)
    : asProblem(new Error(`The deployment ${deployment.id} is ${ended?.state ?? 'gone'}.`))
}
