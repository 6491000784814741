import { z } from 'zod'
import type { Answer, RegistryRequest } from './transport.ts'

/** An empty user name means that the password is an identity token, as in docker's config. */
export type Login = { username: string; password: string }

const Token = z.object({ token: z.string().nullish(), access_token: z.string().nullish() })

/** The header for basic authentication. Null: the login has no name and password. */
export function basicOf(login: Login | null): string | null {
  if (!login?.username) return null
  return `Basic ${Buffer.from(`${login.username}:${login.password}`).toString('base64')}`
}

/** What a registry's `WWW-Authenticate` header asks for, such as `realm` and `scope`. */
export function challengeOf(header: string): Record<string, string | undefined> {
  return Object.fromEntries(
    [...header.matchAll(/\b(\w+)="([^"]*)"/g)].map(([, key, value]) => [key, value]),
  )
}

/**
 * The token server that a challenge names. Null: none, or over a connection that is less secure than
 * the registry's own, where the login must not go.
 */
export function realmOf(
  { realm = '' }: Record<string, string | undefined>,
  base: string,
): URL | null {
  const url = URL.canParse(realm) ? new URL(realm) : null
  return url && (url.protocol === 'https:' || url.protocol === new URL(base).protocol) ? url : null
}

/** An identity token is exchanged with OAuth. A name and a password use basic authentication. */
export function tokenRequest(
  realm: URL,
  wanted: Record<string, string>,
  login: Login | null,
): RegistryRequest {
  if (login?.username === '') {
    const grant = {
      grant_type: 'refresh_token',
      client_id: 'tarmac',
      refresh_token: login.password,
    }
    const bytes = Buffer.from(new URLSearchParams({ ...wanted, ...grant }).toString())
    const content = { mediaType: 'application/x-www-form-urlencoded', bytes }
    return { method: 'POST', url: realm.href, authorization: null, content }
  }

  const { scope = '', ...others } = wanted
  for (const [name, value] of Object.entries(others)) realm.searchParams.set(name, value)
  // One parameter for each: distribution's specification of tokens.
  if (scope) realm.searchParams.delete('scope')
  for (const each of scope.split(' ').filter(Boolean)) realm.searchParams.append('scope', each)
  return { method: 'GET', url: realm.href, authorization: basicOf(login), content: null }
}

export function tokenOf(answer: Answer): string {
  const { token, access_token } = Token.parse(JSON.parse(answer.bytes.toString()))
  return token ?? access_token ?? ''
}

/** The token of an answer. Null: there is none. */
export function tokenIn(bytes: Buffer): string | null {
  try {
    return tokenOf({ status: 200, headers: {}, bytes }) || null
  } catch {
    return null
  }
}
