import { randomBytes } from 'node:crypto'
import { existsSync, lstatSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { errorMessage } from '../error-code.ts'

/**
 * Writes a support file, readable by its owner alone, whole or not at all, and never through a link.
 * Returns why it cannot be written. Null: it is there.
 */
export function saveBundle(path: string, bytes: Uint8Array): string | null {
  const draft = `${path}.${randomBytes(4).toString('hex')}.new`
  try {
    const there = lstatSync(path, { throwIfNoEntry: false })
    if (there && !there.isFile()) throw new Error(`${path} is there, and is no file`)
    writeFileSync(draft, bytes, { flag: 'wx', mode: 0o600 })
    renameSync(draft, path)
    return null
  } catch (error) {
    if (existsSync(draft)) rmSync(draft)
    return `the support file cannot be written: ${errorMessage(error)}`
  }
}
