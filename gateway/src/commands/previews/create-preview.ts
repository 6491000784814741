import type { ImageSource } from '#api/image-source.ts'
import { type DeploymentOptions, parseOptions } from '#api/options.ts'
import type { NewPreview, Preview } from '#api/previews/preview.ts'
import { Problem } from '#api/problem.ts'
import type { Principal } from '../../callers/principal.ts'
import type { Submissions } from '../submissions.ts'
import { checkRuntimeSecrets } from '#api/runtime/secrets.ts'
import { flyAppOf, newPreviewId } from '../../deployments/previews/preview-names.ts'
import type { NewStoredPreview, PreviewLimits } from '../../deployments/previews/preview-store.ts'
import type { DeploymentStore } from '../../deployments/store.ts'
import type { Vault } from '../../secrets/vault.ts'
import { findTemplate, readTemplateName } from '../templates/open-templates.ts'
import type { Claims } from './claims.ts'
import { findPreview } from './find-preview.ts'
import type { PreviewParts } from './preview-commands.ts'

export type CreateDeps = {
  store: Pick<DeploymentStore, 'templates' | 'previews'>
  /** See `markOf`. */
  previewMark: string
  submissions: Pick<Submissions, 'deployExisting' | 'deploySent' | 'submit'>
  vault: Pick<Vault, 'fingerprintOf'>
  claims: Pick<Claims, 'start'>
  previewLimits: PreviewLimits & { ttlMs: number; image: string }
}

/**
 * Creates a preview, or takes one that waits in a pool. If that one does not start, it is destroyed,
 * and the request is as one that no pool fits.
 */
export async function createPreview(
  caller: Principal,
  request: NewPreview,
  parts: PreviewParts,
  deps: CreateDeps,
): Promise<Preview> {
  const made = await make(caller, request, { ...parts, mayClaim: true }, deps)
  if (!made.fromPool || made.state !== 'starting') return made
  return deps.claims
    .start(made)
    .catch(() => make(caller, request, { ...parts, mayClaim: false }, deps))
}

async function make(
  caller: Principal,
  request: NewPreview,
  parts: PreviewParts & { mayClaim: boolean },
  deps: CreateDeps,
): Promise<Preview> {
  const { submissions, vault, store } = deps
  const { upload, sent, secrets = new Map(), idempotencyKey, mayClaim } = parts
  if (secrets.size > 0) checkRuntimeSecrets(textsOf(secrets))
  const source = upload || sent ? null : sourceOf(request, deps.previewLimits)
  const { app, options, preview } = await planOf(request, deps)
  const isUsual = source && 'image' in source && secrets.size === 0 && !addsOptions(options)
  const stored = { ...preview, ...(mayClaim && isUsual && { pool: 'claim' as const }) }
  const fingerprint = vault.fingerprintOf(secrets)
  const archive = { upload: upload?.digest, sent }
  const requestBody = { ...request, source, ...archive, secrets: fingerprint }
  const asked = { app, options, preview: stored, idempotencyKey, requestBody, secrets }
  const submit = () => {
    if (source) return submissions.deployExisting(caller, source, asked)
    if (sent) return submissions.deploySent(caller, sent, asked)
    return submissions.submit(caller, { ...asked, source: upload ?? null })
  }
  const deployment = await submit()
  return findPreview(store.previews, deployment.preview?.id ?? preview.id)
}

/** The deployment that starts a preview: in a network of its own. */
export async function planOf(
  request: NewPreview,
  {
    store,
    previewMark,
    previewLimits: { ttlMs, perOwner, all },
  }: Pick<CreateDeps, 'store' | 'previewMark' | 'previewLimits'>,
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
  return { app: flyApp, options: previewOptionsOf(flyApp, own), preview }
}

/** The options of a deployment that makes a preview. */
export const previewOptionsOf = (
  flyApp: string,
  own: Record<string, unknown>,
): DeploymentOptions => ({ ...parseOptions(own), network: flyApp, trigger: 'preview' })

/** Whether a request says more than its region. Previews in pools were made without knowing it. */
function addsOptions(options: DeploymentOptions): boolean {
  const { network, region } = options
  return JSON.stringify(options) !== JSON.stringify(previewOptionsOf(network ?? '', { region }))
}

async function templateOf(app: string, text: string, store: CreateDeps['store']) {
  const { name, version } = await findTemplate(store, { app, ...readTemplateName(text) })
  return { name, version }
}

/** A release without an app is one of the preview's app, and not of the app on Fly that it gets. */
function sourceOf(
  { app, source }: NewPreview,
  { image }: CreateDeps['previewLimits'],
): ImageSource {
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
export function endOf(seconds: number | null, mostMs: number): string {
  const ttlMs = seconds === null ? mostMs : seconds * 1000
  if (ttlMs <= mostMs) return new Date(Date.now() + ttlMs).toISOString()
  const detail = `A preview lives at most ${mostMs / 1000} s; ttlSeconds is ${seconds}. Ask for less, and extend it later. The operator of the gateway can raise TARMAC_PREVIEW_MINUTES.`
  throw new Problem('option-invalid', detail, {
    facts: { option: 'ttlSeconds', max: mostMs / 1000 },
  })
}
