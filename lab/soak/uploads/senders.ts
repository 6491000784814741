import { createHash } from 'node:crypto'
import { fill, routes } from '#api/routes.ts'
import type { Random } from '../random.ts'
import type { Ledger } from './ledger.ts'
import type { Answer, Line } from './line.ts'
import type { RandomSource } from './random-source.ts'

export type Sender = {
  app: string
  line: Line
  random: Random
  ledger: Ledger
  signal: AbortSignal
}

/** Answers after which the same request is sent again: the line, the gateway or its disk was busy. */
const again = new Set([0, 408, 429, 503, 507])
export const octets = 'application/offset+octet-stream'
const tus = { 'tus-resumable': '1.0.0' }
const encoded = (text: string) => Buffer.from(text).toString('base64')

/** Sends until the gateway says something final. Null: the soak has ended first. */
export async function untilFinal(
  { line, signal }: Pick<Sender, 'line' | 'signal'>,
  send: () => Promise<Answer>,
): Promise<Answer | null> {
  while (!signal.aborted) {
    const answer = await send()
    // A body that broke off may be answered as such.
    if (!again.has(answer.status) && answer.body?.code !== 'archive-truncated') return answer
    await line.pause()
  }
  return null
}

/** An archive as the body of the deployment. */
export async function sendDirect(sender: Sender, source: RandomSource): Promise<void> {
  const { app, line, random, ledger } = sender
  const key = { 'Idempotency-Key': `direct-${random.upTo(1e9)}` }
  const path = `${fill(routes.deployments, { app })}?deploy=false`
  const answer = await untilFinal(sender, () =>
    line.send({ method: 'POST', path, headers: key, body: source.archive }),
  )
  if (answer?.status === 202) ledger.promised(answer.body, { digest: source.digest, by: 'direct' })
  else if (answer) ledger.fault(`direct: ${answer.status} ${JSON.stringify(answer.body)}`)
}

/** A resumable upload, which is deployed, deleted or left to expire. */
export async function sendResumable(sender: Sender, source: RandomSource): Promise<void> {
  const { random, ledger } = sender
  const path = await upload(sender, source.archive)
  if (path === null) return
  const fate = random.fraction()
  if (fate < 0.1) return ledger.count('left to expire')
  if (fate < 0.2) return remove(sender, path)
  await deploySent(sender, { upload: path.split('/').at(-1) }, { ...source, by: 'resumable' })
}

/** Uploads all of it, however often the line breaks. Null: the soak has ended, or it was abandoned. */
export async function upload(sender: Sender, bytes: Buffer): Promise<string | null> {
  const { line, random, ledger, signal } = sender
  const begun = await begin(sender, bytes)
  if (begun === null) return null
  const { path } = begun
  let acknowledged = begun.offset
  while (acknowledged < bytes.length && !signal.aborted) {
    if (random.fraction() < 0.02) {
      ledger.count('abandoned')
      return null
    }
    const end = random.fraction() < 0.5 ? bytes.length : acknowledged + random.upTo(2 ** 20)
    const part = bytes.subarray(acknowledged, Math.min(end, bytes.length))
    const answer = await line.send({
      method: 'PATCH',
      path,
      headers: {
        ...tus,
        'content-type': octets,
        'upload-offset': String(acknowledged),
        ...checksumOf(random, part),
      },
      body: part,
    })
    if (answer.status !== 204 && answer.status !== 0) ledger.count(`PATCH ${answer.status}`)
    if (answer.status === 0) await line.pause()
    const offset = await offsetOf(sender, path)
    if (offset === null) return null
    if (answer.status === 204 && offset !== acknowledged + part.length)
      ledger.fault(`${path}: 204 for ${acknowledged}+${part.length}, and HEAD says ${offset}`)
    if (offset < acknowledged)
      ledger.fault(`${path}: the offset went back from ${acknowledged} to ${offset}`)
    if (answer.status === 0 && offset > acknowledged) ledger.count('resumed')
    acknowledged = offset
  }
  return signal.aborted ? null : path
}

/** Makes an upload. Its first bytes may be in the same request. */
async function begin(
  sender: Sender,
  bytes: Buffer,
): Promise<{ path: string; offset: number } | null> {
  const { app, line, random, ledger } = sender
  const first = random.fraction() < 0.3 ? bytes.subarray(0, random.upTo(bytes.length)) : null
  const headers = {
    ...tus,
    'upload-length': String(bytes.length),
    'upload-metadata': `app ${encoded(app)},filename ${encoded('a.tar')}`,
    ...(first && { 'content-type': octets, ...checksumOf(random, first) }),
  }
  const answer = await untilFinal(sender, () =>
    line.send({ method: 'POST', path: routes.uploads, headers, ...(first && { body: first }) }),
  )
  if (answer === null) return null
  const [path, offset] = [answer.headers['location'], Number(answer.headers['upload-offset'])]
  if (answer.status === 201 && typeof path === 'string') return { path, offset }
  ledger.fault(`POST ${routes.uploads}: ${answer.status} ${JSON.stringify(answer.body)}`)
  return null
}

const checksumOf = (random: Random, bytes: Buffer): Record<string, string> =>
  random.fraction() < 0.3
    ? { 'upload-checksum': `sha1 ${createHash('sha1').update(bytes).digest('base64')}` }
    : {}

async function offsetOf(sender: Sender, path: string): Promise<number | null> {
  const answer = await untilFinal(sender, () =>
    sender.line.send({ method: 'HEAD', path, headers: tus }),
  )
  if (answer === null) return null
  if (answer.status === 200) return Number(answer.headers['upload-offset'])
  sender.ledger.fault(`HEAD ${path}: ${answer.status}`)
  return null
}

async function remove(sender: Sender, path: string): Promise<void> {
  const answer = await untilFinal(sender, () =>
    sender.line.send({ method: 'DELETE', path, headers: tus }),
  )
  // After a broken line it may be gone already.
  if (answer && ![204, 404].includes(answer.status))
    sender.ledger.fault(`DELETE ${path}: ${answer.status}`)
  if (answer) sender.ledger.count('deleted')
}

/** Deploys what was sent before. The same key asks again after a broken line. */
export async function deploySent(
  sender: Sender,
  source: object,
  { digest, by }: { digest: string; by: string },
): Promise<void> {
  const { app, line, random, ledger } = sender
  const key = { 'Idempotency-Key': `sent-${random.upTo(1e9)}` }
  const path = fill(routes.deployments, { app })
  const answer = await untilFinal(sender, () =>
    line.json('POST', path, { source, deploy: false }, key),
  )
  if (answer?.status === 202) ledger.promised(answer.body, { digest, by })
  else if (answer)
    ledger.fault(`${by}: ${JSON.stringify(source)} ${answer.status} ${JSON.stringify(answer.body)}`)
}
