import { DeploymentOptions } from '#api/options.ts'
import { Problem } from '#api/problem.ts'
import type { NewPreview } from '#api/previews/preview.ts'
import type { DeploymentStore } from '../../deployments/store.ts'
import type { NewStoredPreview, PreviewLimits } from '../../deployments/previews/preview-store.ts'
import { flyAppOf, newPreviewId } from '../../deployments/previews/preview-names.ts'
import type { Submissions } from '../submissions.ts'
import { seenBy } from '../access/seen-by.ts'
import { findTemplate, readTemplateName } from '../templates/open-templates.ts'
import { findPreview, over } from './find-preview.ts'
import type { PreviewCommands } from './preview-commands.ts'

export type PreviewDeps = {
  store: Pick<DeploymentStore, 'previews' | 'templates' | 'teams'>
  submissions: Pick<Submissions, 'deployExisting'>
  /** See `markOf`. */
  previewMark: string
  previewLimits: PreviewLimits & { ttlMs: number; image: string }
}

/** See `PreviewCommands`. */
export function openPreviews({ store, submissions, ...deps }: PreviewDeps): PreviewCommands {
  const { previews } = store

  return {
    async create(caller, request, { idempotencyKey }) {
      const { app, owner, region, env } = request
      const { ttlMs: mostMs, image, ...limits } = deps.previewLimits
      const source = request.source ?? (image === '' ? null : { image })
      if (!source)
        throw new Problem(
          'request-invalid',
          'A preview needs a source: an image, a deployment, a release, or an archive. The operator of the gateway can set TARMAC_PREVIEW_IMAGE as the default.',
        )
      const preview: NewStoredPreview = {
        id: newPreviewId(deps.previewMark),
        app,
        owner,
        template: await templateOf(app, request.template),
        expiresAt: endOf(request.ttlSeconds, mostMs),
        evict: request.evict === 'oldest',
        limits,
      }
      const flyApp = flyAppOf(preview)
      const deployment = await submissions.deployExisting(caller, source, {
        app: flyApp,
        options: optionsOf({ region, env, flyApp }),
        idempotencyKey,
        requestBody: request,
        preview,
      })
      return findPreview(previews, deployment.preview?.id ?? preview.id)
    },
    find: (_caller, id) => findPreview(previews, id),
    list: (caller, filter, page) =>
      previews.list(filter, { ...page, isSeen: seenBy(caller, store.teams) }),
    async extend(_caller, id, ttlSeconds) {
      const end = endOf(ttlSeconds, deps.previewLimits.ttlMs)
      return (await previews.setEnd(id, end)) ?? orOver(id)
    },
    async destroy({ name }, id) {
      const ending = { why: 'asked', by: name } as const
      const alive = ['starting', 'ready', 'stopped', 'suspended'] as const
      return (await previews.move(id, alive, 'destroying', { ending })) ?? findPreview(previews, id)
    },
  }

  async function templateOf(app: string, text: string | null) {
    if (text === null) return null
    const { name, version } = await findTemplate(store, { app, ...readTemplateName(text) })
    return { name, version }
  }

  async function orOver(id: string): Promise<never> {
    throw over(await findPreview(previews, id))
  }
}

/** One machine, in a network of its own. */
const optionsOf = ({
  region,
  env,
  flyApp,
}: Pick<NewPreview, 'region' | 'env'> & { flyApp: string }) => ({
  ...DeploymentOptions.parse({}),
  region,
  env,
  network: flyApp,
  trigger: 'preview',
})

/** The end of a lifetime that begins now, at most the gateway's. */
function endOf(seconds: number | null, mostMs: number): string {
  const ttlMs = seconds === null ? mostMs : seconds * 1000
  if (ttlMs <= mostMs) return new Date(Date.now() + ttlMs).toISOString()
  const detail = `A preview lives at most ${mostMs / 1000} s; ttlSeconds is ${seconds}. Ask for less, and extend it later. The operator of the gateway can raise TARMAC_PREVIEW_MINUTES.`
  throw new Problem('option-invalid', detail, {
    facts: { option: 'ttlSeconds', max: mostMs / 1000 },
  })
}
