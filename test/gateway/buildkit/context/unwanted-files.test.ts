import { expect, test } from 'vitest'
import { sortEntries, type TreeEntry } from '../../../../api/tree.ts'
import { unwantedFiles } from '../../../../gateway/src/buildkit/context/unwanted-files.ts'

const contents: Record<string, string> = {
  'tls/server.key': '-----BEGIN EC PRIVATE KEY-----\n',
  'tls/ca.pem': '-----BEGIN CERTIFICATE-----\n',
}
const read = (path: string) => Buffer.from(contents[path] ?? '')

function warnings(...paths: string[]): string[] {
  const entries = paths.map((path): TreeEntry => {
    if (path.endsWith('/')) return { type: 'folder', path: path.slice(0, -1) }
    return { type: 'file', path, mode: 0o644, sizeBytes: 10, sha256: '' }
  })
  return unwantedFiles(sortEntries(entries), read)
}

test.each(['.env', 'web/.env.production', 'id_ed25519', '.netrc', 'tls/server.key', 'a.p12'])(
  '%s is named as a secret',
  (path) => {
    expect(warnings('index.js', path)).toEqual([
      expect.stringContaining(`The source holds ${path}: everybody who can read the image`),
    ])
  },
)

test.each(['.env.example', 'web/.env.sample', 'id_rsa.pub', 'tls/ca.pem', 'env', '.environment'])(
  '%s is no secret',
  (path) => {
    expect(warnings('index.js', path)).toEqual([])
  },
)

test('node_modules of the sender are named once each, without what is in them', () => {
  const lines = warnings(
    'node_modules/',
    'node_modules/a/',
    'node_modules/a/node_modules/',
    'node_modules/a/.env',
  )
  expect(lines).toEqual([expect.stringContaining('The source holds node_modules, made on another')])
})

test('of many files the first are named', () => {
  expect(warnings('a/.env', 'b/.env', 'c/.env', 'd/.env', 'e/.env')[0]).toContain(
    'The source holds a/.env, b/.env, c/.env and 2 more: ',
  )
})
