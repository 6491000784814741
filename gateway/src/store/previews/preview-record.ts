import { z } from 'zod'
import { Preview, PreviewState } from '#api/previews/preview.ts'
import { parsedObject, readAs } from '../store-tools.ts'

export const PreviewRow = z.object({
  seq: z.number(),
  id: z.string(),
  app: z.string(),
  owner: z.string(),
  fly_app: z.string(),
  deployment: z.string(),
  state: PreviewState,
  created_at: z.string(),
  expires_at: z.string(),
  ended_at: z.string().nullable(),
  body: z.string(),
  fits: z.string().nullable(),
})
export type PreviewRow = z.infer<typeof PreviewRow>

/** What has no column of its own. */
export const PreviewBody = Preview.pick({
  stateSince: true,
  url: true,
  readyAt: true,
  template: true,
  triggeredBy: true,
  fromPool: true,
  ending: true,
  problem: true,
})
export type PreviewBody = z.infer<typeof PreviewBody>

export const bodyOf = ({ body }: PreviewRow): PreviewBody => readAs(PreviewBody, parsedObject(body))

export const toFound = (row: PreviewRow | null): Preview | null => row && toPreview(row)

export const toPreview = (row: PreviewRow): Preview => ({
  id: row.id,
  app: row.app,
  owner: row.owner,
  state: row.state,
  createdAt: row.created_at,
  expiresAt: row.expires_at,
  endedAt: row.ended_at,
  flyApp: row.fly_app,
  deployment: row.deployment,
  ...bodyOf(row),
})
