import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { debianPackages } from '../../../gateway/src/sbom/debian-packages.ts'
import { sbomOf } from '../../../gateway/src/sbom/sbom.ts'

const run = promisify(execFile)
const main = join(import.meta.dirname, '../../../gateway/src/main.ts')

const status = `Package: libc6
Status: install ok installed
Architecture: amd64
Source: glibc (2.41-12)
Version: 2.41-12+deb13u1
Description: GNU C Library
 Package: not-a-package

Package: removed
Status: deinstall ok config-files
Architecture: amd64
Version: 1.0

Package: tzdata
Status: install ok installed
Architecture: all
Version: 2025b-4
`

test('it reads the installed packages of dpkg, and no others', () => {
  expect(debianPackages(status)).toEqual([
    { name: 'libc6', version: '2.41-12+deb13u1', architecture: 'amd64', source: 'glibc' },
    { name: 'tzdata', version: '2025b-4', architecture: 'all', source: null },
  ])
  expect(debianPackages('')).toEqual([])
})

const integrity = `sha512-${Buffer.alloc(64).toString('base64')}`
const digest = `sha256:${'a'.repeat(64)}`
const parts = {
  version: '0.1.0',
  npm: [
    { name: '@grpc/grpc-js', version: '1.14.7', integrity, license: 'Apache-2.0' },
    { name: 'tar', version: '7.5.23', integrity: null, license: 'see LICENSE' },
    { name: 'tar', version: '7.5.23', integrity: null, license: 'see LICENSE' },
  ],
  debian: debianPackages(status),
  distribution: { id: 'debian', name: 'debian-13' },
  images: [
    { name: 'docker.io/moby/buildkit:v0.32.2', digest },
    { name: 'docker.io/library/node:26-trixie-slim', digest: null },
  ],
}

test('the SBOM is CycloneDX with every package once, by its package URL', () => {
  const bom = JSON.parse(sbomOf(parts))
  expect(bom).toMatchObject({
    bomFormat: 'CycloneDX',
    specVersion: '1.6',
    metadata: { component: { name: 'tarmac', version: '0.1.0' } },
  })
  expect(bom.components).toHaveLength(6)
  expect(bom.components).toContainEqual(
    expect.objectContaining({
      group: '@grpc',
      name: 'grpc-js',
      purl: 'pkg:npm/%40grpc/grpc-js@1.14.7',
      licenses: [{ license: { id: 'Apache-2.0' } }],
      hashes: [{ alg: 'SHA-512', content: '00'.repeat(64) }],
    }),
  )
  const purls = bom.components.map(({ purl }: { purl: string }) => purl)
  expect(purls).toContain(
    'pkg:deb/debian/libc6@2.41-12%2Bdeb13u1?arch=amd64&distro=debian-13&upstream=glibc',
  )
  expect(purls).toContain(
    `pkg:oci/buildkit@sha256%3A${'a'.repeat(64)}?repository_url=docker.io%2Fmoby%2Fbuildkit&tag=v0.32.2`,
  )
  expect(sbomOf(parts)).toBe(sbomOf({ ...parts, npm: parts.npm.toReversed() }))
})

test('`tarmac-gateway sbom` lists what is installed here, without development', async () => {
  const { stdout } = await run(process.execPath, [main, 'sbom'], { maxBuffer: 16 << 20 })
  const names = JSON.parse(stdout).components.map(({ name }: { name: string }) => name)
  expect(names).toEqual(expect.arrayContaining(['express', 'grpc-js', 'docker.io/moby/buildkit']))
  expect(names).not.toContain('vitest')
  await expect(run(process.execPath, [main, 'sbom', 'extra'])).rejects.toMatchObject({ code: 2 })
})
