import { readdir, readFile, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { createGzip } from 'node:zlib'
import { Problem } from '#api/problem.ts'
import { isObject } from '#api/is-object.ts'
import type { Entry } from '../../deploy/list-source.ts'
import { packSource } from '../../deploy/pack-source.ts'
import { parsed } from '../builder/ask-inside.ts'

/** What the Dockerfile of the gateway copies. */
const folders = ['api', 'fly', 'gateway']
const files = ['package.json', 'package-lock.json']
export const dockerfile = 'gateway/Dockerfile'

/** Fly does not say how large the files of a machine's config may be. */
const maxBytes = 1024 * 1024

/** The root of the checkout of Tarmac above a folder. Null: it is in none. */
export async function findCheckout(folder: string): Promise<string | null> {
  for (let at = folder; ; at = dirname(at)) {
    const manifest = parsed(await readFile(join(at, 'package.json'), 'utf8').catch(() => ''))
    const hasDockerfile = await stat(join(at, dockerfile)).then(
      () => true,
      () => false,
    )
    if (isObject(manifest) && manifest['name'] === 'tarmac' && hasDockerfile) return at
    if (dirname(at) === at) return null
  }
}

/** The image of BuildKit that the Dockerfile itself names, so that there is one version to keep. */
export async function buildkitOf(root: string): Promise<string> {
  const text = await readFile(join(root, dockerfile), 'utf8')
  const found = /^FROM\s+(\S*moby\/buildkit:\S+)/m.exec(text)?.[1]
  if (found) return found
  throw new Problem('builder-failed', `${dockerfile} names no image of moby/buildkit.`)
}

/** The files for the image, as a tar.gz: stock BuildKit's own tar reads no zstd. */
export async function packCheckout(root: string): Promise<Buffer> {
  const inside = await Promise.all(folders.map((folder) => entriesIn(root, folder)))
  const entries = [
    ...(await Promise.all(files.map((path) => fileEntry(root, path)))),
    ...inside.flat(),
  ]
  const packed = await buffer(packSource(root, entries, () => {}, createGzip({ level: 9 })))
  if (packed.length <= maxBytes) return packed
  throw new Problem(
    'builder-failed',
    `The checkout in ${root} is ${Math.ceil(packed.length / 1024)} KiB when packed, and at most ${maxBytes / 1024} KiB can be sent to a machine. Remove what is not part of Tarmac from ${folders.join(', ')}, or give --image REF.`,
  )
}

async function entriesIn(root: string, folder: string): Promise<Entry[]> {
  const found = await readdir(join(root, folder), { recursive: true, withFileTypes: true })
  const paths = found
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(root.length + 1))
    .filter((path) => !path.split('/').includes('node_modules'))
  return Promise.all(paths.toSorted().map((path) => fileEntry(root, path)))
}

async function fileEntry(root: string, path: string): Promise<Entry> {
  const { size, mode } = await stat(join(root, path))
  return { type: 'file', path, mode: mode & 0o111 ? 0o755 : 0o644, sizeBytes: size }
}
