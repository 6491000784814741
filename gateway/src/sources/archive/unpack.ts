import { Problem } from '#api/problem.ts'
import { openSource } from '../../host/read-source-file.ts'
import type { Manifest } from '../../host/tree-manifest.ts'
import type { Limits } from '../limits.ts'
import type { Meter } from '../meter.ts'
import { unpackSlice, type Staging } from '../staging.ts'
import { flagOf } from './advice.ts'
import { Companions } from './companions.ts'
import { Refusals } from './refusals.ts'
import { isGit, shownName, sourcePath } from './source-path.ts'
import type { TarEntry } from './tar-entry.ts'
import type { TarReader } from './tar-reader.ts'
import { TreeShape } from './tree-shape.ts'

type UnpackDeps = { tar: TarReader; staging: Staging; limits: Limits; meter: Meter }
type Work = UnpackDeps & { shape: TreeShape; companions: Companions }

/** A tree, and lines for people about entries of the archive that are not in it. */
type Unpacked = { manifest: Manifest; leftOut: string[] }

/** Unpacks an archive into a staging folder. Checks each entry before writing it. */
export async function unpack(deps: UnpackDeps): Promise<Unpacked> {
  const { tar, staging } = deps
  const work: Work = { ...deps, shape: new TreeShape(deps.limits), companions: new Companions() }
  const refusals = new Refusals()

  for (let more = true; more;) {
    try {
      more = await takeNext(work)
    } catch (error) {
      if (!(error instanceof Problem && error.code.startsWith('archive-'))) throw error
      refusals.add(withEntry(error, tar.at), tar.at.name, tar.canSkip)
    }
  }

  const companions = work.companions.leaveOut(work.shape, staging)
  const manifest = staging.finish()
  const ignored = refusals.any ? refusals.settle(await ignoreFileOf(manifest, staging)) : null
  if (manifest.files === 0) throw noFiles()

  return { manifest, leftOut: [companions, ignored].filter((line) => line !== null) }
}

export const noFiles = (): Problem =>
  new Problem(
    'archive-empty',
    'It holds no files. Pack the folder that holds the source: tar cz -C FOLDER .',
  )

/** False at the end of the archive. */
async function takeNext(work: Work): Promise<boolean> {
  const entry = await work.tar.next()
  if (entry) await write(entry, work)
  return entry !== null
}

async function write(entry: TarEntry, work: Work): Promise<void> {
  const { shape, companions, tar, staging, limits, meter } = work
  await unpackSlice.yield()
  const path = sourcePath(entry.path, limits)
  if (isGit(path)) return
  if (path === '') return checkRoot(entry)

  const makeFolders = (folders: string[]) => folders.forEach((folder) => staging.folder(folder))
  switch (entry.type) {
    case 'folder':
      return makeFolders(shape.addPath('folder', path))
    case 'file':
      makeFolders(shape.addPath('file', path))
      await companions.look(path, tar)
      return staging.file(path, { executable: entry.executable, sizeBytes: entry.sizeBytes, tar })
    case 'link':
      checkTarget(entry.target)
      makeFolders(shape.addPath('link', path))
      return staging.link(path, entry.target)
    case 'hard-link': {
      const { kind, from } = originalOf(entry.target, work)
      makeFolders(shape.addPath(kind, path))
      return meter.expanded(staging.copy(path, from))
    }
  }
}

/** The longest link target that Linux allows. */
const targetBytes = 4095

/** A link may lead anywhere: the gateway follows none. It must only be possible to make it. */
export function checkTarget(target: string): void {
  if (target === '' || target.includes('\0'))
    throw new Problem('archive-name-invalid', 'It is a link without a target. Make it again.')
  if (Buffer.byteLength(target) <= targetBytes) return
  const detail = `The target of a link may have ${targetBytes} bytes.`
  throw new Problem('archive-path-too-long', detail, { facts: { targetBytes } })
}

/** `./` is the tree itself: it exists already, and must be a folder. */
function checkRoot({ type }: TarEntry): void {
  if (type === 'folder') return
  if (type === 'link')
    throw new Problem('archive-link-escape', 'The root of the tree cannot be a link.')
  throw new Problem('archive-name-invalid', 'It has no name. Pack the source again.')
}

/** The file or link that a hard link names. */
function originalOf(target: string, { shape, limits, tar }: Work) {
  try {
    const from = sourcePath(target, limits)
    const kind = shape.kindOf(from)
    if (kind === 'file' || kind === 'link') return { kind, from }
  } catch {} // all bad names get the same error below
  const detail = `It is a hard link to "${shownName(Buffer.from(target))}", which is no earlier file or link of the archive. Pack it with ${flagOf(tar.tool, hardLinks)}.`
  throw new Problem('archive-hardlink-invalid', detail)
}

const hardLinks = {
  gnu: '--hard-dereference',
  bsd: 'the file that it names, from the same folder',
}

/** The text of `.dockerignore`. Empty if the archive has none. */
async function ignoreFileOf(manifest: Manifest, staging: Staging): Promise<string> {
  const root = await staging.settle()
  return openSource({ ...manifest, root })('.dockerignore')?.toString('utf8') ?? ''
}

/** Says which entry a refusal is about. */
export function withEntry(problem: Problem, { entry, name: raw }: TarReader['at']): Problem {
  const name = shownName(raw)
  if (name === '' && entry === 0) return problem // the error is about the whole body
  const detail = `Entry ${entry}${name && ` "${name}"`}: ${problem.message}`
  return new Problem(problem.code, detail, {
    cause: problem.cause,
    facts: { ...problem.facts, entry, name },
  })
}
