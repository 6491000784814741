import { randomUUID } from 'node:crypto'
import { type Found, failed, ok, type Probe, unknown, warning } from '#api/doctor/run-probes.ts'
import type { Config } from '../config.ts'
import { speaksPlainHttp } from '../registry/plain-http.ts'
import type { DoctorChoice, DoctorParts } from './doctor-parts.ts'
import { digestOf } from '../registry/registry.ts'

const group = 'registry'
const callMs = 10_000
const manifestType = 'application/vnd.oci.image.manifest.v1+json'

/** Login, push and pull at the apps' registry. */
export function registryProbes(parts: DoctorParts, { app, push }: DoctorChoice): Probe[] {
  const registry = openRegistry(parts.config)
  const repository = app ?? parts.own?.app ?? null
  const inRepository = (run: (repository: string, signal: AbortSignal) => Promise<Found>) =>
    repository
      ? (signal: AbortSignal) => run(repository, signal)
      : () => unknown('no app is known whose repository could be tried', 'Give --app NAME.')

  return [
    { group, name: 'login', run: (signal) => login(registry, signal) },
    { group, name: 'push', run: inRepository((to, signal) => beginUpload(registry, to, signal)) },
    { group, name: 'list of tags', run: inRepository((of, signal) => tags(registry, of, signal)) },
    ...(push
      ? [
          {
            group,
            name: 'push and pull an image',
            withinMs: 60_000,
            run: inRepository((to, signal) => pushAndPull(registry, to, signal)),
          },
        ]
      : []),
  ]
}

type Registry = ReturnType<typeof openRegistry>

function openRegistry({ registry: host, secrets, plainHttp }: Config) {
  const base = `${speaksPlainHttp(host, plainHttp) ? 'http' : 'https'}://${host}/v2/`
  const authorization = `Basic ${Buffer.from(`x:${secrets.fly}`).toString('base64')}`
  const call = (
    method: string,
    path: string,
    more: { signal: AbortSignal; type?: string; body?: Uint8Array },
  ) => {
    const { signal, type, body } = more
    return fetch(new URL(path, base), {
      method,
      // Without an Accept some registries hide an OCI manifest (404).
      headers: {
        authorization,
        accept: `${manifestType}, */*`,
        ...(type && { 'content-type': type }),
      },
      ...(body && { body: new Uint8Array(body) }),
      signal: AbortSignal.any([signal, AbortSignal.timeout(callMs)]),
    })
  }
  return { host, call }
}

async function login({ host, call }: Registry, signal: AbortSignal): Promise<Found> {
  const { status } = await call('GET', '', { signal })
  if (status === 200) return ok(host)
  if (status !== 401 && status !== 403) return unknown(`${host} answered ${status} to GET /v2/`)
  return failed(`${host} does not take the token (${status})`, 'Correct TARMAC_FLY_TOKEN.')
}

/** Nothing needs it. Whether Fly's registry has it is not documented. Source: fly.md 12. */
async function tags({ call }: Registry, of: string, signal: AbortSignal): Promise<Found> {
  const { status } = await call('GET', `${of}/tags/list`, { signal })
  return ok(status === 200 ? 'the registry lists tags' : `the registry lists none (${status})`)
}

/** Begins an upload and cancels it: this needs the right to push, and leaves nothing. */
async function beginUpload(registry: Registry, to: string, signal: AbortSignal): Promise<Found> {
  const { host, call } = registry
  const begun = await call('POST', `${to}/blobs/uploads/`, { signal })
  const location = begun.headers.get('location')
  if (begun.status !== 202 || !location) return refusal(host, to, begun.status)
  const { status } = await call('DELETE', location, { signal })
  const end = status < 300 ? 'cancelled' : `left to expire (cancelling it gave ${status})`
  return ok(`the token may push to ${host}/${to}; an empty upload was begun and ${end}`)
}

function refusal(host: string, to: string, status: number): Found {
  if (status === 404)
    return failed(
      `${host} has no repository ${to} (404)`,
      'The app must exist on Fly, and the token must reach it.',
    )
  if (status === 401 || status === 403)
    return failed(
      `the token may not push to ${host}/${to} (${status})`,
      'Correct TARMAC_FLY_TOKEN.',
    )
  return unknown(`${host} answered ${status} to the begin of an upload to ${to}`)
}

/** Pushes an image without layers, reads it back, and removes it. */
async function pushAndPull(registry: Registry, to: string, signal: AbortSignal): Promise<Found> {
  const { host, call } = registry
  const begunAt = performance.now()
  const config = Buffer.from(
    JSON.stringify({ os: 'linux', architecture: 'amd64', doctor: randomUUID() }),
  )
  const digest = await putBlob(registry, to, config, signal)
  const manifest = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: manifestType,
      config: {
        mediaType: 'application/vnd.oci.image.config.v1+json',
        digest,
        size: config.length,
      },
      layers: [],
    }),
  )
  const at = `${to}/manifests/${digestOf(manifest)}`
  const put = await call('PUT', at, { signal, type: manifestType, body: manifest })
  if (put.status >= 300) return refusal(host, to, put.status)

  try {
    const got = await call('GET', at, { signal })
    const isSame = got.status === 200 && Buffer.from(await got.arrayBuffer()).equals(manifest)
    const ms = Math.round(performance.now() - begunAt)
    if (!isSame)
      return failed(
        `${host} took an image and does not give it back (${got.status})`,
        'Try again later.',
      )
    const removed = await call('DELETE', at, { signal })
    if (removed.status < 300)
      return ok(`${host}/${to}: an image of ${manifest.length} bytes, in ${ms} ms`)
    return warning(
      `${host}/${to}: pushed and pulled in ${ms} ms; the registry removes nothing (${removed.status})`,
      `An image of ${manifest.length} bytes without a tag stays there.`,
    )
  } finally {
    await call('DELETE', `${to}/blobs/${digest}`, { signal: AbortSignal.timeout(callMs) }).catch(
      () => null,
    )
  }
}

async function putBlob(registry: Registry, to: string, bytes: Buffer, signal: AbortSignal) {
  const { host, call } = registry
  const begun = await call('POST', `${to}/blobs/uploads/`, { signal })
  const location = begun.headers.get('location')
  if (!location) throw new Error(`${host} answered ${begun.status} to the begin of an upload`)
  const digest = digestOf(bytes)
  const end = new URL(location, `http://${host}`)
  const path =
    end.pathname + (end.search ? `${end.search}&` : '?') + `digest=${encodeURIComponent(digest)}`
  const type = 'application/octet-stream'
  const { status } = await call('PUT', path, { signal, type, body: bytes })
  if (status >= 300) throw new Error(`${host} answered ${status} to the end of an upload`)
  return digest
}
