import type { PageRequest } from '../deployments/release-store.ts'
import { z } from 'zod'
import type { OwnQuotas } from '#api/callers/quotas.ts'
import { PreviewOf } from '#api/previews/preview.ts'
import { isObject } from '#api/is-object.ts'
import { Problem } from '#api/problem.ts'
import type { OwnersPolicy } from '../deployments/owners/owner-app-store.ts'
import type { SyncedLog } from './sync/log-sync.ts'
import { unpackJson } from '../deployments/packed-json.ts'
import { previewIdIn } from '../deployments/previews/preview-names.ts'
import type { QueueLimits } from '../deployments/queue.ts'
import { sizeLimits } from '../deployments/size-limits.ts'

/** The default, for tests that are not about limits. */
export const noLimits: QueueLimits = { builds: Infinity, appBuilds: Infinity, deploys: Infinity }

/** What tables with their own transactions need of the store. */
export type StoreTools = {
  /** ISO 8601, UTC: now plus `laterMs`. */
  time: (laterMs?: number) => string
  /**
   * Runs as a whole or not at all, also when the disk is full. Do not nest. It is on disk when this
   * returns; with `soon` a few milliseconds later, and a power cut before that undoes it.
   */
  transaction: <T>(action: () => T, sync?: 'now' | 'soon') => T
}

export type StoreSettings = {
  /** Milliseconds since 1970. */
  now: () => number
  /**
   * True if this gateway holds the volume alone (see `lockVolume`). Then no other runner has a
   * deployment at the start, whatever its lease says.
   */
  alone: boolean
  /** Called when the disk is full. Returns whether another attempt makes sense. */
  makeRoom: () => boolean
  /** Quotas of teams without a value of their own. Absent: no limit. */
  quotas: OwnQuotas
  owners: OwnersPolicy
  log: SyncedLog
}

/** Checks a row of a table, or JSON in it. Throws `database-unusable` if it is not as written. */
export function readAs<T>(schema: z.ZodType<T>, value: unknown): T {
  const read = schema.safeParse(value)
  if (read.success) return read.data
  const { path, message } = read.error.issues[0]!
  const detail = `A record of the gateway is damaged and cannot be read (${path.join('.')}: ${message}). The operator of the gateway can restore a backup (tarmac-gateway restore).`
  throw new Problem('database-unusable', detail, { cause: read.error })
}

/** Checks rows as they are read: no more of them than needed. */
export function* readRows<T>(schema: z.ZodType<T>, rows: Iterable<unknown>): Generator<T, void> {
  for (const row of rows) yield readAs(schema, row)
}

/** The rows of deployments, or of previews, that count for a page. */
export const seenRows = (
  rows: Iterable<Record<string, unknown>>,
  isSeen: PageRequest['isSeen'],
): Iterable<Record<string, unknown>> =>
  isSeen ? filtered(rows, (row) => isSeen(targetIn(row))) : rows

/** A preview's deployment concerns the app that the preview belongs to. */
export function targetIn({ app, owner, body }: Record<string, unknown>) {
  const own = { app: String(app), owner: String(owner) || null }
  if (previewIdIn(own.app) === null) return own
  const { data } = OfPreview.safeParse(parsedObject(String(body)))
  return data?.preview ?? own
}

const OfPreview = z.object({ preview: PreviewOf.nullable() })

export function* filtered<T>(rows: Iterable<T>, keeps: (row: T) => boolean): Generator<T, void> {
  for (const row of rows) if (keeps(row)) yield row
}

/**
 * Parses an object, packed or not. Null when it cannot be read: one damaged row must not affect the
 * others.
 */
export function parsedObject(text: string): object | null {
  try {
    const value: unknown = unpackJson(text)
    return isObject(value) ? value : null
  } catch {
    return null
  }
}

/**
 * Makes a page of a list, newest first, and the cursor of the next page. Pass one row more than
 * `limit`. The page is shorter when its rows are large; `rows` is read only as far as needed.
 */
export function pageOf<Row extends { body: string }>(
  rows: Iterable<Row>,
  limit: number,
  cursorOf: (row: Row) => string | number,
  sizeOf: (row: Row) => number = ({ body }) => body.length,
): { shown: Row[]; next: string | null } {
  const shown: Row[] = []
  let sizeBytes = 0
  for (const row of rows) {
    sizeBytes += sizeOf(row)
    const isFull = shown.length === limit || (shown.length > 0 && sizeBytes > sizeLimits.pageBytes)
    if (isFull) return { shown, next: String(cursorOf(shown.at(-1)!)) }
    shown.push(row)
  }
  return { shown, next: null }
}
