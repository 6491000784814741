import { readFile } from 'node:fs/promises'
import { errorCode, errorMessage } from '#api/error-code.ts'
import { Problem } from '#api/problem.ts'

/** The text of a file. Null: there is none. Throws `source-unreadable` for any other reason. */
export async function readIfThere(file: string): Promise<string | null> {
  try {
    return await readFile(file, 'utf8')
  } catch (error) {
    if (['ENOENT', 'ENOTDIR', 'EISDIR'].includes(errorCode(error) ?? '')) return null
    throw unreadable(file, error)
  }
}

/** The problem of a file or folder that cannot be read. */
export function unreadable(path: string, cause: unknown): Problem {
  if (errorCode(cause) === 'ENOENT' && path.includes('\ufffd'))
    return new Problem(
      'archive-name-invalid',
      `The name ${path} is not UTF-8. Rename it, or exclude it by an ignore file.`,
    )
  const reason = reasons[errorCode(cause) ?? ''] ?? errorMessage(cause)
  const detail = `${path} cannot be read: ${reason}. Make it readable, or exclude it by an ignore file.`
  return new Problem('source-unreadable', detail, { cause, facts: { path } })
}

const reasons: Record<string, string> = {
  EACCES: 'permission denied',
  EPERM: 'permission denied',
  ENOENT: 'it vanished meanwhile',
  EIO: 'the disk has an error',
}
