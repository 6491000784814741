import type { Sections } from './sections.ts'
import { defined, refuse } from './shape.ts'

/** Reads a file of the source, by its path in fly.toml; null when it is not there. */
export type ReadFile = (path: string) => Buffer | null

/** Every group gets all files, whatever `processes` says; of two with one path the last wins. Both as flyctl does it. */
export function machineFiles(files: NonNullable<Sections['files']>, readFile: ReadFile): object[] {
  const byPath = new Map<string | undefined, object>()
  for (const [index, { guest_path, local_path, secret_name, raw_value }] of files.entries()) {
    const bytes = local_path ? readFile(local_path) : !secret_name && raw_value ? Buffer.from(raw_value) : undefined
    if (bytes === null) refuse(`files[${index}].local_path`, `names ${local_path}, which is not in the source.`)
    const content = bytes ? { raw_value: bytes.toString('base64') } : { secret_name }
    if (!bytes && !secret_name && byPath.delete(guest_path)) continue
    byPath.set(guest_path, defined({ guest_path, ...content }))
  }
  return [...byPath.values()]
}
