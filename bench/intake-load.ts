import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { gzipSync } from 'node:zlib'
import { tarEnd, tarHeader } from '../api/tar-writer.ts'
import { openIntake, untar } from './intake-ways.ts'
import type { Measure } from './measure.ts'

const limitsMb = { large: 150, many: 350 }
const block = randomBytes(1e6)

/** One upload of 5 GB, in files of 100 MB. */
export async function largeUpload(dir: string): Promise<Measure> {
  await using intake = await openIntake()
  const theirsMb = await untar(Readable.from(archive(50, 100)), '', dir)
  const begunAt = performance.now()
  const { files } = await intake.send(Readable.from(archive(50, 100)), join(dir, 'ours'))
  const ms = Math.round(performance.now() - begunAt)
  const rssMb = await intake.rssMb()
  console.log(`intake-5-gb: ${ms} ms, ${rssMb} MB; GNU tar ${theirsMb} MB`)
  return measure('intake-5-gb', {
    rssMb,
    limitMb: limitsMb.large,
    right: files === 50,
    theirsMb,
    ms,
  })
}

/** 200 different uploads of 25 MB at once, half of them compressed. */
export async function manyUploads(dir: string): Promise<Measure> {
  await using intake = await openIntake()
  const bodies = Array.from({ length: 200 }, (_, n) => async () => {
    const tar = Buffer.concat(await Array.fromAsync(archive(25, 1, `${n}`)))
    return n % 2 === 0 ? tar : gzipSync(tar, { level: 1 })
  })
  const begunAt = performance.now()
  const found = await Promise.all(
    bodies.map(async (body) =>
      intake.send(Readable.from(inPieces(await body())), join(dir, 'many')),
    ),
  )
  const ms = Math.round(performance.now() - begunAt)
  const rssMb = await intake.rssMb()
  const right =
    found.every(({ files }) => files === 26) &&
    new Set(found.map(({ digest }) => digest)).size === 200
  console.log(`intake-200-at-once: ${ms} ms, ${rssMb} MB, ${right ? 'all right' : 'NOT all right'}`)
  return measure('intake-200-at-once', { rssMb, limitMb: limitsMb.many, right, ms })
}

function measure(
  bench: string,
  {
    rssMb,
    limitMb,
    right,
    ...facts
  }: { rssMb: number; limitMb: number; right: boolean } & Record<string, unknown>,
): Measure {
  const ratio = Math.round((rssMb / limitMb) * 100) / 100
  return { bench, ratio, goal: 1, ok: ratio <= 1 && right, rssMb, limitMb, right, ...facts }
}

/** An archive of files that no compression makes smaller. `text`: the content of one more file. */
async function* archive(files: number, megabytes: number, text = ''): AsyncGenerator<Buffer, void> {
  const time = new Date(0)
  const head = (path: string, sizeBytes: number) =>
    tarHeader({ type: 'file', path, mode: 0o644, sizeBytes }, time)
  for (let n = 0; n < files; n++) {
    yield head(`file-${n}`, megabytes * block.length)
    for (let written = 0; written < megabytes; written++) yield block
    yield Buffer.alloc(-(megabytes * block.length) & 511)
  }
  if (text !== '')
    yield Buffer.concat([head('text', text.length), Buffer.from(text.padEnd(512, '\0'))])
  yield tarEnd
}

function* inPieces(body: Buffer): Generator<Buffer, void> {
  for (let at = 0; at < body.length; at += 65_536) yield body.subarray(at, at + 65_536)
}
