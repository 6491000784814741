import { renameSync, rmSync, writeFileSync } from 'node:fs'

/**
 * Writes a file whole or not at all. Never writes through a link: the privileged process writes in
 * a folder where the gateway's user can make files.
 */
export function writeOwnFile(path: string, text: string): void {
  const draft = `${path}.new`
  rmSync(draft, { recursive: true, force: true })
  writeFileSync(draft, text, { flag: 'wx' })
  renameSync(draft, path)
}
