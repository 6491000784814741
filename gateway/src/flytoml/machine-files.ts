import { Problem } from '#api/problem.ts'
import { sourceFileBytes, type ReadSource } from '../host/read-source-file.ts'
import type { Sections } from './sections.ts'
import { defined, refuse } from './schema.ts'

/**
 * Limits of `[[files]]`: entries, bytes of each content, and bytes of all contents. Fly documents
 * no limits of its own.
 */
export const filesLimits = {
  entries: 100,
  eachBytes: sourceFileBytes,
  allBytes: 2 * sourceFileBytes,
}

/**
 * As in flyctl, every group gets all files, whatever `processes` says, and of two with one path the
 * last wins. A file that several entries name counts for each of them, because each machine config
 * repeats it.
 */
export function machineFiles(
  files: NonNullable<Sections['files']>,
  readFile: ReadSource,
): object[] {
  if (files.length > filesLimits.entries)
    refuse(
      'files',
      `has ${files.length} entries. The limit is ${filesLimits.entries}. Put more files into the image.`,
    )

  const byPath = new Map<string | undefined, object>()
  let allBytes = 0
  for (const [index, { guest_path, local_path, secret_name, raw_value }] of files.entries()) {
    const bytes = local_path
      ? localFile(`files[${index}].local_path`, local_path, readFile)
      : !secret_name && raw_value
        ? Buffer.from(raw_value)
        : undefined
    allBytes += bytes?.length ?? 0
    if (allBytes > filesLimits.allBytes)
      refuse(
        `files[${index}]`,
        `makes the files of [[files]] larger than ${filesLimits.allBytes} bytes together. Put large files into the image.`,
      )

    const content = bytes ? { raw_value: bytes.toString('base64') } : { secret_name }
    if (!bytes && !secret_name && byPath.delete(guest_path)) continue
    byPath.set(guest_path, defined({ guest_path, ...content }))
  }
  return [...byPath.values()]
}

function localFile(key: string, path: string, readFile: ReadSource): Buffer {
  try {
    return (
      readFile(path, filesLimits.eachBytes) ??
      refuse(key, `names ${path}, which is not in the source.`)
    )
  } catch (cause) {
    if (!(cause instanceof Problem) || cause.code !== 'source-file-too-large') throw cause
    const detail = `fly.toml: ${key} names ${path}, which has ${String(cause.facts['sizeBytes'])} bytes; a file of [[files]] has at most ${filesLimits.eachBytes} bytes. Put large files into the image.`
    throw new Problem(cause.code, detail, { cause, facts: { ...cause.facts, key } })
  }
}
