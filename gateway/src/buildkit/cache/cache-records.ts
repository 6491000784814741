import { type Decoded, millis } from '../../llb/wire.ts'
import type { UsageRecord } from '../messages.ts'

/** One part of the build cache: a layer, a source, or the files of a cache mount. */
export type CacheRecord = {
  id: string
  /** A build holds it now, or holds a part that was made from it. */
  inUse: boolean
  sizeBytes: number
  createdMs: number
  lastUsedMs: number
  kind: 'mount' | 'source' | 'layer'
  /** The cache key of the app that a cache mount belongs to. Null: no mount, or one of nobody. */
  mountKey: string | null
  parents: readonly string[]
}

export function recordOf(usage: Decoded<typeof UsageRecord>): CacheRecord {
  const { id, inUse, sizeBytes, description, parents } = usage
  const createdMs = usage.createdAt ? millis(usage.createdAt) : 0
  const isMount = usage.type === 'exec.cachemount'
  return {
    id,
    inUse,
    sizeBytes,
    createdMs,
    lastUsedMs: Math.max(createdMs, usage.lastUsedAt ? millis(usage.lastUsedAt) : 0),
    kind: isMount ? 'mount' : description.startsWith('http url ') ? 'source' : 'layer',
    mountKey: isMount ? mountKeyOf(description) : null,
    parents,
  }
}

const idMark = ' with id "'

/**
 * The cache key at the beginning of a cache mount's id. The daemon describes a mount as `cached
 * mount /root/.npm from exec COMMAND with id "KEY/ID"`. Source: moby/buildkit
 * solver/llbsolver/mounts/mount.go. The command is the app's own text, but a quote in the id is
 * escaped, so the last mark is the daemon's.
 */
export function mountKeyOf(description: string): string | null {
  const at = description.lastIndexOf(idMark)
  if (at < 0) return null
  const id = description.slice(at + idMark.length, at + idMark.length + 100)
  return /^(\w+)[/-]/.exec(id)?.[1] ?? null
}
