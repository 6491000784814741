import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { tarEnd, tarHeader, tarPadding } from '#api/tar-writer.ts'

const folder = join(import.meta.dirname, '../../../router')
const files = ['Dockerfile', 'fly.toml', 'router.mjs']

/** The archive of the router's program. The same program gives the same digest. */
export async function routerSource(): Promise<Readable> {
  const entries: Buffer[] = []
  for (const path of files) {
    const bytes = await readFile(join(folder, path))
    const entry = { type: 'file', path, mode: 0o644, sizeBytes: bytes.length } as const
    entries.push(tarHeader(entry, new Date(0)), bytes, tarPadding(bytes.length))
  }
  return Readable.from([...entries, tarEnd])
}
