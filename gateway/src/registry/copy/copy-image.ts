import { inMb } from '#api/text/in-mb.ts'
import type { EventSink } from '../../deployments/event-sink.ts'
import { hasBlob, mountBlob, putBlob, type Repository, streamBlob } from './blobs.ts'
import type { Blob, FoundImage } from './find-image.ts'

/** Blobs that are copied at once. Each has a few buffers in memory. */
const atOnce = 3
const progressMs = 5000

type Job = {
  from: Repository
  to: Repository
  /** For messages. */
  name: string
  found: FoundImage
  emit: EventSink
}

/**
 * Copies the blobs of an image that the other repository lacks. Run again, it continues from what
 * is there. Throws `image-unusable`, and what the sessions throw.
 */
export async function copyBlobs(job: Job, signal: AbortSignal): Promise<void> {
  const { to, found, emit } = job
  const begun = performance.now()
  const blobs = distinct([found.config, ...found.layers])
  const missing = await withoutThose(blobs, (blob) => hasBlob(to, blob, signal))
  const there = blobs.length - missing.length
  const progress = new Progress(missing, emit)

  // One failure stops the others, so that nothing runs on when a retry begins.
  const failed = new AbortController()
  const both = AbortSignal.any([signal, failed.signal])
  const queue = missing.values()
  const work = async () => {
    for (const blob of queue) await copyBlob(job, blob, progress, both)
  }
  const workers = Array.from({ length: atOnce }, () =>
    work().catch((error: unknown) => {
      failed.abort(error)
      throw error
    }),
  )
  const ends = await Promise.allSettled(workers)
  if (ends.some(({ status }) => status === 'rejected')) throw failed.signal.reason

  const seconds = ((performance.now() - begun) / 1000).toFixed(1)
  const { mounted, sent, sentBytes } = progress
  const text = [
    `Copied ${sent} of ${blobs.length} parts, ${mb(sentBytes)}, in ${seconds} s`,
    ...(mounted > 0 ? [`${mounted} taken over within the registry`] : []),
    ...(there > 0 ? [`${there} were there`] : []),
  ].join('; ')
  emit({ type: 'note', text: `${text}.` })
}

async function copyBlob(
  { from, to, name, found }: Job,
  blob: Blob,
  progress: Progress,
  signal: AbortSignal,
): Promise<void> {
  const isSame = from.session === to.session
  let location: string | null = null
  if (isSame) {
    location = await mountBlob(to, from.repository, blob, signal)
    if (location === null) return progress.noteMounted(blob)
  }
  if (blob.digest === found.config.digest) {
    await putBlob(to, blob, found.configBytes, signal)
    return progress.noteSent(blob)
  }
  await to.session.retried(async () => {
    progress.begin(blob)
    const counted = (bytes: number) => progress.count(blob, bytes)
    const upload = { location, counted }
    location = null // an upload that failed is not continued
    await streamBlob({ from, to, image: name }, blob, upload, signal)
  }, signal)
  progress.noteSent(blob)
}

/** An image may name a layer twice, such as the empty one. */
const distinct = (blobs: Blob[]): Blob[] => [
  ...new Map(blobs.map((blob) => [blob.digest, blob])).values(),
]

async function withoutThose(
  blobs: Blob[],
  isThere: (blob: Blob) => Promise<boolean>,
): Promise<Blob[]> {
  const missing: Blob[] = []
  for (let at = 0; at < blobs.length; at += atOnce) {
    const some = blobs.slice(at, at + atOnce)
    const there = await Promise.all(some.map(isThere))
    missing.push(...some.filter((_, index) => !there[index]))
  }
  return missing
}

/** How far the copy is, as lines of the log. */
class Progress {
  mounted = 0
  sent = 0
  sentBytes = 0
  readonly #emit: EventSink
  readonly #count: number
  readonly #allBytes: number
  readonly #bytes = new Map<string, number>()
  #saidAt = performance.now()

  constructor(missing: Blob[], emit: EventSink) {
    this.#emit = emit
    this.#count = missing.length
    this.#allBytes = missing.reduce((sum, { size }) => sum + size, 0)
  }

  /** A blob begins, perhaps once more. */
  begin({ digest }: Blob): void {
    this.#bytes.set(digest, 0)
  }

  count({ digest }: Blob, bytes: number): void {
    this.#bytes.set(digest, (this.#bytes.get(digest) ?? 0) + bytes)
    if (performance.now() - this.#saidAt < progressMs) return
    this.#saidAt = performance.now()
    const done = [...this.#bytes.values()].reduce((sum, each) => sum + each, 0)
    const parts = `${this.sent + this.mounted} of ${this.#count} parts`
    this.#emit({ type: 'note', text: `Copying: ${mb(done)} of ${mb(this.#allBytes)}, ${parts}.` })
  }

  noteSent({ digest, size }: Blob): void {
    this.sent += 1
    this.sentBytes += size
    this.#bytes.set(digest, size)
  }

  noteMounted({ digest, size }: Blob): void {
    this.mounted += 1
    this.#bytes.set(digest, size)
  }
}

export const mb = (bytes: number) => inMb(bytes, bytes > 0 && bytes < 10e6 ? 1 : 0)
