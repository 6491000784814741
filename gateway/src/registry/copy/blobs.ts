import { createHash } from 'node:crypto'
import { Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { Blob } from './find-image.ts'
import { missingBlob } from './find-image.ts'
import type { Answer, RegistrySession } from './session.ts'

/** A repository at a registry. */
export type Repository = { session: RegistrySession; repository: string }

const octets = { 'content-type': 'application/octet-stream' }

/** Whether a repository has a blob of this size. */
export async function hasBlob(
  { session, repository }: Repository,
  { digest, size }: Blob,
  signal: AbortSignal,
): Promise<boolean> {
  const request = { method: 'HEAD', url: `/v2/${repository}/blobs/${digest}` } as const
  const { statusCode, headers } = await session.ask(
    { ...request, scopes: [`repository:${repository}:pull`] },
    signal,
  )
  return statusCode === 200 && Number(headers['content-length'] ?? size) === size
}

/**
 * Gives a repository a blob that another one of the same registry has, without sending it. Null: it
 * is there now. Otherwise the address of the upload that the registry began instead.
 */
export async function mountBlob(
  to: Repository,
  from: string,
  { digest }: Blob,
  signal: AbortSignal,
): Promise<string | null> {
  const query = new URLSearchParams({ mount: digest, from })
  return begin(to, `?${query.toString()}`, [`repository:${from}:pull`], signal)
}

/** Begins an upload, and returns its address. */
export async function beginUpload(to: Repository, signal: AbortSignal): Promise<string> {
  const location = await begin(to, '', [], signal)
  if (location !== null) return location
  throw to.session.refusals.unavailable('it began no upload')
}

async function begin(
  { session, repository }: Repository,
  query: string,
  scopes: string[],
  signal: AbortSignal,
): Promise<string | null> {
  const { statusCode, headers } = await session.ask(
    {
      method: 'POST',
      url: `/v2/${repository}/blobs/uploads/${query}`,
      scopes: [`repository:${repository}:pull,push`, ...scopes],
    },
    signal,
  )
  if (statusCode === 201 && query !== '') return null
  const location = String(headers['location'] ?? '')
  if (statusCode === 202 && location !== '') return location
  throw session.refusals.unavailable(`it answered ${statusCode} to an upload to ${repository}`)
}

/** Sends a small blob. */
export async function putBlob(
  to: Repository,
  { digest }: Blob,
  bytes: Buffer,
  signal: AbortSignal,
): Promise<void> {
  await to.session.retried(async () => {
    const location = await beginUpload(to, signal)
    const answer = await to.session.send(uploadOf(to, location, digest, bytes), signal)
    await assertStored(to, answer)
  }, signal)
}

/**
 * Streams a blob from one registry to another, and checks its size and digest on the way: a wrong
 * blob never ends its upload. `location`: an upload that has begun. `image` is for messages.
 */
export async function streamBlob(
  { from, to, image }: { from: Repository; to: Repository; image: string },
  blob: Blob,
  { location, counted }: { location: string | null; counted: (bytes: number) => void },
  signal: AbortSignal,
): Promise<void> {
  const { digest, size } = blob
  const upload = location ?? (await beginUpload(to, signal))
  const source = await from.session.send(
    {
      method: 'GET',
      url: `/v2/${from.repository}/blobs/${digest}`,
      scopes: [`repository:${from.repository}:pull`],
    },
    signal,
  )
  if (source.statusCode !== 200) {
    await source.body.dump()
    if (source.statusCode === 404) throw missingBlob(image, digest)
    throw from.session.refusals.unavailable(`it answered ${source.statusCode} for ${digest}`)
  }

  const checked = checking(blob, counted)
  // What breaks first is the cause; the other side only sees that the stream ended.
  let failure: unknown = null
  const piped = pipeline(source.body, checked, { end: true }).catch((error: unknown) => {
    failure ??= error
  })
  try {
    const request = uploadOf(to, upload, digest, checked)
    const headers = { ...request.headers, 'content-length': String(size) }
    const answer = await to.session.send({ ...request, headers }, signal)
    await assertStored(to, answer)
  } catch (error) {
    checked.destroy()
    await piped
    signal.throwIfAborted()
    if (failure instanceof WrongBlob) throw from.session.refusals.unavailable(failure.message)
    if (failure !== null && !isEarlyEnd(failure)) throw from.session.refusals.failed(failure)
    throw error
  }
  await piped
}

/** The reader of the stream, the upload, stopped before its end: the upload's own error says why. */
const isEarlyEnd = (error: unknown) =>
  error instanceof Error && 'code' in error && error.code === 'ERR_STREAM_PREMATURE_CLOSE'

const uploadOf = (
  { session: _session, repository }: Repository,
  location: string,
  digest: string,
  body: Buffer | Transform,
) => ({
  method: 'PUT' as const,
  url: withDigest(location, digest),
  scopes: [`repository:${repository}:pull,push`],
  headers: octets,
  body,
})

/** The address is the registry's own, with what it needs in its query. */
const withDigest = (location: string, digest: string) =>
  `${location}${location.includes('?') ? '&' : '?'}digest=${encodeURIComponent(digest)}`

async function assertStored({ session }: Repository, { statusCode, body }: Answer): Promise<void> {
  await body.dump()
  if (statusCode !== 201 && statusCode !== 204)
    throw session.refusals.unavailable(`it answered ${statusCode} to the end of an upload`)
}

class WrongBlob extends Error {}

/** Passes on a blob. Fails before its last bytes are out if its size or digest is wrong. */
function checking({ digest, size }: Blob, counted: (bytes: number) => void): Transform {
  const hash = createHash('sha256')
  let sizeBytes = 0
  let last: Buffer | null = null
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      sizeBytes += chunk.length
      if (sizeBytes > size) return done(new WrongBlob(`${digest} is larger than its ${size} bytes`))
      hash.update(chunk)
      counted(chunk.length)
      const before = last
      last = chunk
      done(null, before)
    },
    flush(done) {
      if (sizeBytes !== size)
        return done(new WrongBlob(`${digest} ended after ${sizeBytes} of ${size} bytes`))
      const found = `sha256:${hash.digest('hex')}`
      if (found !== digest) return done(new WrongBlob(`for ${digest} it sent ${found}`))
      done(null, last)
    },
  })
}
