import { createHash } from 'node:crypto'
import type { MirrorProbe } from '#api/status/mirror.ts'
import { errorMessage } from '#api/error-code.ts'
import { poll } from '#api/flow/retry.ts'
import type { Registry } from '../registry/registry.ts'
import type { MirrorAddress } from './forward.ts'
import type { MirrorPush } from './mirror-push.ts'

export type ProbeDeps = {
  mirror: MirrorAddress
  registry: Pick<Registry, 'find'>
  /** Opens a push to the repository of the gateway's own app. Null: the app is not known. */
  begin: (() => MirrorPush) | null
  /** How long the registry may take to get a copy. */
  copyMs: number
}

const callMs = 10_000
const lookMs = 500
const manifestType = 'application/vnd.oci.image.manifest.v1+json'
const configType = 'application/vnd.oci.image.config.v1+json'

type Found = Omit<MirrorProbe, 'at' | 'ok' | 'detail'>

/**
 * Tests the mirror: with and without login, then with a tiny image of the gateway's own app, which
 * must be readable at the mirror and reach the registry. Never throws, except for an abort.
 */
export async function probeMirror(deps: ProbeDeps, signal: AbortSignal): Promise<MirrorProbe> {
  const found: Found = { anonymous: null, withLogin: null, pushMs: null, copyMs: null }
  const at = new Date().toISOString()
  try {
    const detail = await probe(deps, found, signal)
    return { at, ok: true, detail, ...found }
  } catch (error) {
    signal.throwIfAborted()
    return { at, ok: false, detail: errorMessage(error), ...found }
  }
}

async function probe(deps: ProbeDeps, found: Found, signal: AbortSignal): Promise<string> {
  const { origin, registry, authorization } = deps.mirror
  const url = `${origin}/v2/?ns=${encodeURIComponent(registry)}`
  const ping = async (headers: Record<string, string>) =>
    (await call(url, { headers, redirect: 'manual' }, signal)).status
  found.anonymous = await ping({})
  found.withLogin = await ping({ authorization: authorization() })
  if (found.withLogin !== 200)
    throw new Error(`The mirror answered ${found.withLogin} to the gateway’s login.`)
  if (![200, 401].includes(found.anonymous))
    throw new Error(`The mirror answered ${found.anonymous} to a request without login.`)

  if (!deps.begin)
    return 'The mirror accepts the login. No push was tried, because the gateway’s own app is not known.'
  using push = deps.begin()
  const digest = await pushTiny(push, found, signal)
  const copied = await awaitCopy(deps, push.app, digest, signal)
  if (copied === null)
    throw new Error(
      `The mirror did not copy a test image to ${registry} within ${deps.copyMs / 1000} s.`,
    )
  found.copyMs = copied
  return 'A test image went through the mirror to the registry.'
}

/** Pushes an image without layers through the proxy, as the build daemon does, and reads it back. */
async function pushTiny(push: MirrorPush, found: Found, signal: AbortSignal): Promise<string> {
  const { host, app, login } = push
  const authorization = `Basic ${btoa(`${login.user}:${login.secret}`)}`
  const base = `http://${host}/v2/${app}`
  const send = async (method: string, url: string, more: { type?: string; body?: string } = {}) => {
    const { type = 'application/octet-stream', body = null } = more
    const headers = { authorization, accept: manifestType, 'content-type': type }
    const answer = await call(url, { method, headers, body }, signal)
    if (answer.ok) return answer
    throw new Error(
      push.failure ? `The mirror ${push.failure.message}.` : `The proxy answered ${answer.status}.`,
    )
  }

  const from = performance.now()
  const config = JSON.stringify({ created: new Date().toISOString(), os: 'linux' })
  const started = await send('POST', `${base}/blobs/uploads/`)
  const upload = new URL(started.headers.get('location') ?? '', base)
  upload.searchParams.set('digest', digestOf(config))
  await send('PUT', upload.href, { body: config })

  const manifest = JSON.stringify({
    schemaVersion: 2,
    mediaType: manifestType,
    config: { mediaType: configType, digest: digestOf(config), size: config.length },
    layers: [],
  })
  await send('PUT', `${base}/manifests/tarmac-probe`, { type: manifestType, body: manifest })
  found.pushMs = Math.round(performance.now() - from)

  const digest = digestOf(manifest)
  const back = await (await send('GET', `${base}/manifests/${digest}`)).text()
  if (back !== manifest)
    throw new Error('The mirror returned another image than the one that it was sent.')
  return digest
}

/**
 * Waits until the registry has an image of the app. Returns the time in milliseconds; null: it did
 * not come. Throws what the registry says when it fails.
 */
export async function awaitCopy(
  { registry, copyMs }: Pick<ProbeDeps, 'registry' | 'copyMs'>,
  app: string,
  digest: string,
  signal: AbortSignal,
): Promise<number | null> {
  const from = performance.now()
  const look = async () => ((await registry.find(app, digest, signal)) === digest ? true : null)
  const found = await poll(look, { everyMs: lookMs, forMs: copyMs }, signal)
  return found && Math.round(performance.now() - from)
}

function call(url: string, request: RequestInit, signal: AbortSignal): Promise<Response> {
  const limited = AbortSignal.any([signal, AbortSignal.timeout(callMs)])
  return fetch(url, { ...request, signal: limited }).catch((error: unknown) => {
    signal.throwIfAborted()
    const { cause } = error instanceof Error ? error : { cause: null }
    throw new Error(`The mirror cannot be reached (${errorMessage(cause ?? error)}).`, {
      cause: error,
    })
  })
}

const digestOf = (text: string) => `sha256:${createHash('sha256').update(text).digest('hex')}`
