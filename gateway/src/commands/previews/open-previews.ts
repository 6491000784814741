import type { ImageSource } from '#api/image-source.ts'
import { parseOptions } from '#api/options.ts'
import { Problem } from '#api/problem.ts'
import { aliveStates, type NewPreview } from '#api/previews/preview.ts'
import { checkRuntimeSecrets } from '#api/runtime/secrets.ts'
import type { Admission } from '../../callers/admission.ts'
import type { DeploymentStore } from '../../deployments/store.ts'
import type { NewStoredPreview, PreviewLimits } from '../../deployments/previews/preview-store.ts'
import { flyAppOf, newPreviewId } from '../../deployments/previews/preview-names.ts'
import type { Vault } from '../../secrets/vault.ts'
import type { Drain } from '../drain.ts'
import type { Submissions } from '../submissions.ts'
import { seenBy } from '../access/seen-by.ts'
import { findTemplate, readTemplateName } from '../templates/open-templates.ts'
import { findPreview, over } from './find-preview.ts'
import { type LivingDeps, livingPreviews } from './living.ts'
import { markEnd } from './mark-end.ts'
import { readLogs, runInside } from './look-inside.ts'
import { changePower, type PowerDeps } from './power.ts'
import type { PreviewCommands } from './preview-commands.ts'

export type PreviewDeps = Pick<PowerDeps, 'fly'> & {
  store: Pick<DeploymentStore, 'templates' | 'refuseBusyLane'> & LivingDeps['store']
  /** See `markOf`. */
  previewMark: string
  prices: LivingDeps['prices']
  submissions: Pick<Submissions, 'deployExisting' | 'submit'>
  vault: Pick<Vault, 'fingerprintOf'>
  drain: Pick<Drain, 'whileOpen'>
  admission: Pick<Admission, 'isExempt'>
  previewLimits: PreviewLimits & { ttlMs: number; image: string }
}

/** See `PreviewCommands`. */
export function openPreviews(deps: PreviewDeps): PreviewCommands {
  const { store, submissions, vault, drain, fly, admission } = deps
  const { previews } = store

  return {
    create: drain.whileOpen(async (caller, request, parts) => {
      const { upload, secrets = new Map(), idempotencyKey } = parts
      if (secrets.size > 0) checkRuntimeSecrets(textsOf(secrets))
      const source = upload ? null : sourceOf(request, deps.previewLimits)
      const { app, options, preview } = await planOf(request, deps)
      const fingerprint = vault.fingerprintOf(secrets)
      const requestBody = { ...request, source, upload: upload?.digest, secrets: fingerprint }
      const asked = { app, options, preview, idempotencyKey, requestBody, secrets }
      const deployment = source
        ? await submissions.deployExisting(caller, source, asked)
        : await submissions.submit(caller, { ...asked, source: upload ?? null })
      return findPreview(previews, deployment.preview?.id ?? preview.id)
    }),
    async assertRoom(caller, request, { idempotencyKey }) {
      const announced = await planOf(request, deps)
      const exempt = admission.isExempt(caller)
      await store.refuseBusyLane({ ...announced, idempotencyKey, exempt })
    },
    find: (_caller, id) => findPreview(previews, id),
    list: (caller, filter, page) =>
      previews.list(filter, { ...page, isSeen: seenBy(caller, store.teams) }),
    living: (_caller, filter) => livingPreviews(filter, deps),
    async extend(_caller, id, ttlSeconds) {
      const end = endOf(ttlSeconds, deps.previewLimits.ttlMs)
      const extended = (await previews.setEnd(id, end)) ?? (await orOver(id))
      await markEnd(extended, fly)
      return extended
    },
    async destroy({ name }, id) {
      const ending = { why: 'asked', by: name } as const
      return (
        (await previews.move(id, aliveStates, 'destroying', { ending })) ??
        findPreview(previews, id)
      )
    },
    change: ({ name }, id, action) => changePower(name, id, action, { fly, store }),
    logs: (_caller, id, count) => readLogs(id, count, { fly, store }),
    exec: ({ name }, id, request) => runInside(name, id, request, { fly, store }),
  }

  async function orOver(id: string): Promise<never> {
    throw over(await findPreview(previews, id))
  }
}

type Limits = PreviewDeps['previewLimits']

/** The deployment that starts a preview: in a network of its own. */
async function planOf(
  request: NewPreview,
  { store, previewMark, previewLimits: { ttlMs, perOwner, all } }: PreviewDeps,
) {
  const { app, owner, source: _source, template, ttlSeconds, evict, ...own } = request
  const preview: NewStoredPreview = {
    id: newPreviewId(previewMark),
    app,
    owner,
    template: template === null ? null : await templateOf(app, template, store),
    expiresAt: endOf(ttlSeconds, ttlMs),
    evict: evict === 'oldest',
    limits: { perOwner, all },
  }
  const flyApp = flyAppOf(preview)
  const options = { ...parseOptions(own), network: flyApp, trigger: 'preview' }
  return { app: flyApp, options, preview }
}

async function templateOf(app: string, text: string, store: PreviewDeps['store']) {
  const { name, version } = await findTemplate(store, { app, ...readTemplateName(text) })
  return { name, version }
}

/** A release without an app is one of the preview's app, and not of the app on Fly that it gets. */
function sourceOf({ app, source }: NewPreview, { image }: Limits): ImageSource {
  if (source) return 'release' in source ? { app, ...source } : source
  if (image !== '') return { image }
  throw new Problem(
    'request-invalid',
    'A preview needs a source: an image, a deployment, a release, or an archive. The operator of the gateway can set TARMAC_PREVIEW_IMAGE as the default.',
  )
}

const textsOf = (secrets: ReadonlyMap<string, Uint8Array>) =>
  new Map(Array.from(secrets, ([name, value]) => [name, Buffer.from(value).toString()]))

/** The end of a lifetime that begins now, at most the gateway's. */
function endOf(seconds: number | null, mostMs: number): string {
  const ttlMs = seconds === null ? mostMs : seconds * 1000
  if (ttlMs <= mostMs) return new Date(Date.now() + ttlMs).toISOString()
  const detail = `A preview lives at most ${mostMs / 1000} s; ttlSeconds is ${seconds}. Ask for less, and extend it later. The operator of the gateway can raise TARMAC_PREVIEW_MINUTES.`
  throw new Problem('option-invalid', detail, {
    facts: { option: 'ttlSeconds', max: mostMs / 1000 },
  })
}
