import { Problem } from '#api/problem.ts'
import type { Limits } from '../limits.ts'
import type { Meter } from '../meter.ts'
import { isGit, shownName, sourcePath } from './source-path.ts'
import type { Manifest } from '../../host/tree-manifest.ts'
import { unpackSlice, type Staging } from '../staging.ts'
import type { TarEntry, TarReader } from './tar-reader.ts'
import { TreeShape } from './tree-shape.ts'

type UnpackDeps = { tar: TarReader; staging: Staging; limits: Limits; meter: Meter }

/** Unpacks an archive into a staging folder. Checks each entry before writing it. */
export async function unpack(deps: UnpackDeps): Promise<Manifest> {
  const { tar, staging, limits } = deps
  const shape = new TreeShape(limits)
  try {
    for (let entry = await tar.next(); entry; entry = await tar.next())
      await write(entry, shape, deps)
  } catch (error) {
    throw error instanceof Problem && error.code.startsWith('archive-')
      ? withEntry(error, tar.at)
      : error
  }

  if (!shape.hasFiles)
    throw new Problem(
      'archive-empty',
      'It holds no files. Pack the folder that holds the source: tar cz -C FOLDER .',
    )

  return staging.finish(await shape.links())
}

async function write(
  entry: TarEntry,
  shape: TreeShape,
  { tar, staging, limits, meter }: UnpackDeps,
): Promise<void> {
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
      return staging.file(path, { executable: entry.executable, sizeBytes: entry.sizeBytes, tar })
    case 'link':
      return makeFolders(shape.addLink(path, entry.target))
    case 'hard-link': {
      const from = originalOf(entry.target, shape, limits)
      makeFolders(shape.addPath('copy', path))
      return meter.expanded(staging.copy(path, from))
    }
  }
}

/** `./` is the tree itself: it exists already, and must be a folder. */
function checkRoot({ type }: TarEntry): void {
  if (type === 'folder') return
  if (type === 'link')
    throw new Problem('archive-link-escape', 'The root of the tree cannot be a link.')
  throw new Problem('archive-name-invalid', 'It has no name. Pack the source again.')
}

/** The file that a hard link points to. */
function originalOf(target: string, shape: TreeShape, limits: Limits): string {
  let path: string | null = null
  try {
    path = sourcePath(target, limits)
  } catch {} // all bad names get the same error below
  if (path !== null && shape.isFile(path)) return path
  throw new Problem(
    'archive-hardlink-invalid',
    'It names no earlier file of the archive. Pack with --hard-dereference.',
  )
}

function withEntry(problem: Problem, { entry, name: raw }: TarReader['at']): Problem {
  const name = shownName(raw)
  if (name === '' && entry === 0) return problem // the error is about the whole body
  const detail = `Entry ${entry}${name && ` "${name}"`}: ${problem.message}`
  return new Problem(problem.code, detail, {
    cause: problem.cause,
    facts: { ...problem.facts, entry, name },
  })
}
