import { z } from 'zod'
import { AppName, OwnerName } from '../app.ts'
import { Caller } from '../callers/caller.ts'
import { ImageSource } from '../image-source.ts'
import { DeploymentOptions } from '../options.ts'
import { variables } from '../options/variables.ts'
import { SentSource } from '../sources/sent-source.ts'
import { ProblemBody } from '../problem/body.ts'

/**
 * `starting`: its deployment has not ended. `stopped` and `suspended`: it can be started again.
 * `destroying`: its app on Fly is being deleted. Of `destroyed` and `failed` nothing is left on Fly;
 * one that `failed` was never ready.
 */
export const PreviewState = z.enum([
  'starting',
  'ready',
  'stopped',
  'suspended',
  'destroying',
  'destroyed',
  'failed',
])
export type PreviewState = z.infer<typeof PreviewState>

/** States of a preview whose deployment went well, and which nothing deletes. */
export const settledStates = ['ready', 'stopped', 'suspended'] as const

/** States of a preview that has, or may soon have, a machine on Fly, and which nothing deletes. */
export const aliveStates = ['starting', ...settledStates] as const

/**
 * Why a preview ended. `asked`: somebody destroyed it. `expired`: its time was over. `evicted`: a
 * newer one of its owner took its place. `failed`: it was not ready in time, or its deployment failed.
 * `gone`: another program destroyed it on Fly.
 */
export const PreviewEnding = z.object({
  why: z.enum(['asked', 'expired', 'evicted', 'failed', 'gone']),
  /** The caller that asked for it. Null: the gateway itself. */
  by: z.string().nullable(),
})
export type PreviewEnding = z.infer<typeof PreviewEnding>

/** A template, and the version of it that a preview uses. */
export const TemplateRef = z.object({ name: z.string(), version: z.number() })
export type TemplateRef = z.infer<typeof TemplateRef>

/** What a deployment knows of the preview that it starts. `app` and `owner` are the preview's. */
export const PreviewOf = z.object({
  id: z.string(),
  app: z.string(),
  owner: z.string(),
  template: TemplateRef.nullable(),
  /** Its end when it was made. */
  expiresAt: z.string(),
})
export type PreviewOf = z.infer<typeof PreviewOf>

/** A short-lived machine with an owner. Times are ISO 8601, UTC. */
export const Preview = z.object({
  id: z.string(),
  /** The app that it belongs to, whose callers may use it. */
  app: z.string(),
  owner: z.string(),
  state: PreviewState,
  stateSince: z.string(),
  /** Its address, once it is ready. */
  url: z.string().nullable(),
  createdAt: z.string(),
  expiresAt: z.string(),
  /** When it was ready first. */
  readyAt: z.string().nullable(),
  endedAt: z.string().nullable(),
  /** The app on Fly, and the private network, that it has for itself. */
  flyApp: z.string(),
  /** The deployment that starts it. Its log says how far it is. */
  deployment: z.string(),
  template: TemplateRef.nullable(),
  triggeredBy: Caller.nullable(),
  /** Whether its machine was made before the request, and waited for it in a pool. */
  fromPool: z.boolean().default(false),
  ending: PreviewEnding.nullable(),
  /** Why it failed, or why it cannot be destroyed now. */
  problem: ProblemBody.nullable(),
})
export type Preview = z.infer<typeof Preview>

/** `GET /v1/previews`: newest first; `next` is the cursor of the next page. */
export const PreviewPage = z.object({ previews: z.array(Preview), next: z.string().nullable() })
export type PreviewPage = z.infer<typeof PreviewPage>

export const PreviewFilter = z.object({
  app: AppName.optional(),
  owner: OwnerName.optional(),
  /** `living`: all that have not ended. */
  state: z.enum([...PreviewState.options, 'living']).optional(),
})
export type PreviewFilter = z.infer<typeof PreviewFilter>

/** Null: the gateway's lifetime. */
const ttlSeconds = z.number().int().positive().nullable().default(null)

/** Options of deployments that a preview takes, beside `region` and `env`. */
export const previewOptions = DeploymentOptions.pick({
  region: true,
  build: true,
  config: true,
  dockerfile: true,
  plan: true,
  target: true,
  commit: true,
  branch: true,
  message: true,
  author: true,
  'ci-run': true,
})

/** What a preview is made of. Without `source` it is an archive, or the gateway's default image. */
export const NewPreview = z.strictObject({
  app: AppName,
  owner: OwnerName,
  source: ImageSource.optional(),
  /** `name`, or `name@version`; without a version the newest one. */
  template: z.string().max(100).nullable().default(null),
  ttlSeconds,
  env: variables.default({}),
  ...previewOptions.shape,
  /** What to do at the owner's limit. `oldest`: its oldest preview is destroyed. Null: refuse. */
  evict: z.enum(['oldest']).nullable().default(null),
})
export type NewPreview = z.infer<typeof NewPreview>

/** The body of `POST /v1/previews`. `secrets`: variables of its machine that the record never has. */
export const NewPreviewBody = NewPreview.extend({
  source: z.union([...ImageSource.options, SentSource]).optional(),
  secrets: z.record(z.string(), z.string()).default({}),
})

/** The body of `POST /v1/previews/{id}/extend`: the new end, from now on. */
export const Extension = z.strictObject({ ttlSeconds })
