import type { JSONWebKeySet } from 'jose'
import { isObject } from '#api/is-object.ts'
import { readBody } from '#api/flow/read-body.ts'

const answerMs = 5000
const maxBytes = 256 * 1024

/**
 * Reads the public keys of an issuer (OpenID Connect Discovery 1.0, 4). Only an issuer that a rule
 * names is asked. It cannot send the gateway elsewhere: its keys are at its own origin, and a
 * redirect is an error. Throws when an answer is late, too large, or not what it should be.
 */
export async function readIssuer(issuer: string): Promise<JSONWebKeySet> {
  const signal = AbortSignal.timeout(answerMs)
  const discovery = await readJson(
    new URL(`${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`),
    signal,
  )
  if (discovery['issuer'] !== issuer)
    throw new Error(`its discovery names another issuer: ${shown(discovery['issuer'])}`)
  const keys = URL.parse(String(discovery['jwks_uri']))
  if (keys?.origin !== new URL(issuer).origin)
    throw new Error(`its keys are at another host: ${shown(discovery['jwks_uri'])}`)

  const answer = await readJson(keys, signal)
  const list = answer['keys']
  if (!Array.isArray(list) || !list.every(isObject)) throw new Error('its answer has no keys')
  return { keys: list }
}

async function readJson(url: URL, signal: AbortSignal): Promise<Record<string, unknown>> {
  const response = await fetch(url, {
    redirect: 'error',
    signal,
    headers: { accept: 'application/json' },
  })
  if (!response.ok) throw new Error(`${url.pathname} answers ${response.status}`)
  const text = await readBody(response.body ?? emptyBody(), maxBytes)
  const value: unknown = JSON.parse(text.toString('utf8'))
  if (!isObject(value)) throw new Error(`${url.pathname} is no JSON object`)
  return value
}

const emptyBody = () => new Blob([]).stream()
const shown = (value: unknown) => String(value).slice(0, 200)
