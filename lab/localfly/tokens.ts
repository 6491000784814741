import { timingSafeEqual } from 'node:crypto'
import type { DeployToken } from './state.ts'

/** The scope of a token: the whole organisation, or one app. */
export type Scope = 'org' | { app: string }

/**
 * The scope of an `Authorization` header (`Bearer …`, `FlyV1 …`, or Basic as at the registry), or
 * null.
 */
export function scopeOf(
  header: string | undefined,
  token: string,
  deployTokens: Map<string, DeployToken>,
): Scope | null {
  const given = bare(header?.startsWith('Basic ') ? fromBasic(header) : (header ?? ''))
  if (!given) return null
  if (isSame(given, bare(token))) return 'org'
  for (const [known, { app, until }] of deployTokens)
    if (isSame(given, bare(known)) && until > Date.now()) return { app }
  return null
}

const bare = (token: string): string => token.replace(/^(?:Bearer |FlyV1 )+/, '')

function fromBasic(header: string): string {
  const pair = Buffer.from(header.slice('Basic '.length), 'base64').toString()
  return pair.startsWith('x:') ? pair.slice(2) : ''
}

function isSame(a: string, b: string): boolean {
  return a.length === b.length && timingSafeEqual(Buffer.from(a), Buffer.from(b))
}
