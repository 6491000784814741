import { basename } from 'node:path/posix'
import { someOf } from '#api/text/some-of.ts'
import type { TreeEntry } from '#api/tree.ts'

/** Files that hold secrets by their name. Examples without values are none. */
const secretNames =
  /^(?:\.env(?!\.(?:example|sample|template|dist)$)(?:\..*)?|id_(?:rsa|dsa|ecdsa|ed25519)|\.netrc|\.git-credentials|.*\.(?:p12|pfx))$/
/** Files that often hold a private key, but may hold a certificate. */
const keyNames = /\.(?:pem|key)$/
const keyWords = 'PRIVATE KEY-----'
const maxKeyBytes = 64 * 1024
/** So many of them are read. */
const maxKeyFiles = 100
const maxShown = 3

/**
 * Warns about files of a source that should not be in an image, one line for each kind: files with
 * secrets, and `node_modules` of another machine. `read` gives the first bytes of a file.
 */
export function unwantedFiles(
  entries: readonly TreeEntry[],
  read: (path: string, bytes: number) => Buffer,
): string[] {
  const modules: string[] = []
  const secrets: string[] = []
  let skipped = ''
  let keyFiles = 0

  for (const entry of entries) {
    const { type, path } = entry
    if (skipped && path.startsWith(skipped)) continue
    const name = basename(path)
    if (type === 'folder' && name === 'node_modules') {
      modules.push(path)
      skipped = `${path}/`
    }
    if (type !== 'file') continue
    const holdsKey = () =>
      keyNames.test(name) &&
      entry.sizeBytes <= maxKeyBytes &&
      ++keyFiles <= maxKeyFiles &&
      read(path, entry.sizeBytes).toString('latin1').includes(keyWords)
    if (secretNames.test(name) || holdsKey()) secrets.push(path)
  }

  const lines: string[] = []
  if (secrets.length > 0)
    lines.push(
      `The source holds ${someOf(secrets, maxShown)}: everybody who can read the image may read it. Name it in .dockerignore, and give the values as secrets or env of the app.`,
    )
  if (modules.length > 0)
    lines.push(
      `The source holds ${someOf(modules, maxShown)}, made on another machine: it may replace what the build installs. Name node_modules in .dockerignore.`,
    )
  return lines
}
