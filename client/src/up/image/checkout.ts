import { readdir, readFile, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { errorMessage } from '#api/error-code.ts'
import { pinnedIn, SourcePolicy, withDigests } from '#api/image/pins.ts'
import { Problem } from '#api/problem.ts'
import { isObject } from '#api/is-object.ts'
import { tarEnd, tarHeader, tarPadding } from '#api/tar-writer.ts'
import { parsed } from '../builder/ask-inside.ts'

/** What the Dockerfile of the gateway copies. */
const folders = ['api', 'fly', 'gateway']
const files = ['package.json', 'package-lock.json']
const dockerfile = 'gateway/Dockerfile'
const pins = 'gateway/pins.json'
/**
 * The Dockerfile to build from: the shipped one, with the digests of `gateway/pins.json`. It is not in
 * the image, so that the image holds the shipped one, byte for byte.
 */
export const pinnedDockerfile = 'Dockerfile.pinned'
/** The same files give the same bytes. */
const time = new Date(0)

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

/** The files for the image and `pinnedDockerfile`, as a tar.gz: stock BuildKit's tar reads no zstd. */
export async function packCheckout(root: string): Promise<Buffer> {
  const inside = await Promise.all(folders.map((folder) => pathsIn(root, folder)))
  const all = await Promise.all([...files, ...inside.flat()].map((path) => readEntry(root, path)))
  const content = Buffer.from(await withPins(root))
  all.unshift({ path: pinnedDockerfile, mode: 0o644, content })
  const tar = all.flatMap(({ path, mode, content: bytes }) => [
    tarHeader({ type: 'file', path, mode, sizeBytes: bytes.length }, time),
    bytes,
    tarPadding(bytes.length),
  ])
  const packed = gzipSync(Buffer.concat([...tar, tarEnd]), { level: 9 })
  if (packed.length <= maxBytes) return packed
  throw new Problem(
    'builder-failed',
    `The checkout in ${root} is ${Math.ceil(packed.length / 1024)} KiB when packed, and at most ${maxBytes / 1024} KiB can be sent to a machine. Remove what is not part of Tarmac from ${folders.join(', ')}, or give --image REF.`,
  )
}

async function withPins(root: string): Promise<string> {
  const [text, policy] = await Promise.all(
    [dockerfile, pins].map((path) => readFile(join(root, path), 'utf8')),
  )
  try {
    return withDigests(text!, pinnedIn(SourcePolicy.parse(JSON.parse(policy!))))
  } catch (cause) {
    throw new Problem(
      'builder-failed',
      `${pins} holds no source policy of BuildKit (${errorMessage(cause)}). Get it from git again, or make it: npm run conformance -- record --only pins.`,
      { cause },
    )
  }
}

async function pathsIn(root: string, folder: string): Promise<string[]> {
  const found = await readdir(join(root, folder), { recursive: true, withFileTypes: true })
  return found
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(root.length + 1))
    .filter((path) => !path.split('/').includes('node_modules'))
    .toSorted()
}

async function readEntry(root: string, path: string) {
  const full = join(root, path)
  const [{ mode }, content] = await Promise.all([stat(full), readFile(full)])
  // oxlint-disable-next-line no-bitwise -- the bits of a file's mode
  return { path, mode: mode & 0o111 ? 0o755 : 0o644, content }
}
