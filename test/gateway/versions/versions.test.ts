import { execFile } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { Versions as Facts } from '#api/status/versions.ts'
import { isNewEnough } from '../../../gateway/src/versions/compare.ts'
import { installedPackages } from '../../../gateway/src/versions/find-packages.ts'
import { daemonProgram, miseIn, runcOf } from '../../../gateway/src/versions/find-tools.ts'
import { packages, programs } from '../../../gateway/src/versions/minimums.ts'
import { Versions } from '../../../gateway/src/versions/versions.ts'
import { startEnv } from '../../start-env.ts'

const run = promisify(execFile)
const newFolder = () => mkdtempSync(join(tmpdir(), 'tarmac-versions-'))
const main = join(import.meta.dirname, '../../../gateway/src/main.ts')

/** A folder with a buildkitd and a runc that print these versions. */
function programsOf(buildkitd: string, runc: string): string {
  const folder = newFolder()
  const script = (name: string, text: string) => {
    writeFileSync(join(folder, name), `#!/bin/sh\necho '${text}'\n`)
    chmodSync(join(folder, name), 0o755)
  }
  script('buildkitd', `buildkitd github.com/moby/buildkit ${buildkitd} 1d2b6c3f`)
  script('buildkit-runc', `runc version ${runc}`)
  return join(folder, 'buildkitd')
}
const findWith = (daemonCommand: string | null, allowOld: string[] = []) =>
  Versions.find({ daemonCommand, miseFolder: newFolder(), allowOld })

test.each([
  ['runc', '1.2.7', false],
  ['runc', '1.2.8', true],
  ['runc', '1.3.2', false],
  ['runc', '1.3.3', true],
  ['runc', '1.4.0', true],
  ['runc', '1.4.0-rc.1', false],
  ['runc', '1.5.0', true],
  ['runc', '2.0.0', true],
  ['runc', '1.1.5+ds1', false],
  ['buildkitd', 'v0.32.1', false],
  ['buildkitd', 'v0.32.2', true],
  ['buildkitd', 'v0.33.0-rc1', true],
  ['buildkitd', 'v0.9.9', false],
  ['buildkitd', 'v0.0.0+unknown', null],
  ['buildkitd', 'a branch', null],
  ['railpack', '0.36.1', false],
  ['railpack', '0.37.0', true],
  ['railpack', '0.37.0-standin', true],
  ['railpack', '0.37.0-beta', false],
  ['node', '23.11.0', false],
  ['node', '24.0.0', true],
])('%s %s: new enough is %s', (name, version, expected) => {
  expect(isNewEnough(version, programs[name]!)).toBe(expected)
})

test('the packages that npm has installed here are new enough and have a digest in its lock file', async () => {
  const facts = (await findWith(null)).facts()
  expect(Facts.parse(facts)).toEqual(facts)
  for (const name of Object.keys(packages))
    expect(facts.find((own) => own.name === name)).toMatchObject({ ok: true, pinned: true })
  expect(facts.find(({ name }) => name === 'node')).toMatchObject({ ok: true, pinned: false })
})

test('of a package that is installed twice, the lower version counts; those of development do not', () => {
  const root = newFolder()
  mkdirSync(join(root, 'node_modules'))
  const installed = {
    'node_modules/qs': { version: '6.17.0', integrity: 'sha512-a' },
    'node_modules/old/node_modules/qs': { version: '6.9.0' },
    'node_modules/@grpc/grpc-js': { version: '1.14.7', integrity: 'sha512-b' },
    'node_modules/vitest': { version: '5.0.0', dev: true },
  }
  writeFileSync(
    join(root, 'node_modules/.package-lock.json'),
    JSON.stringify({ packages: installed }),
  )
  expect(Object.fromEntries(installedPackages(root))).toEqual({
    qs: { version: '6.9.0', hasDigest: false, copies: 2 },
    '@grpc/grpc-js': { version: '1.14.7', hasDigest: true, copies: 1 },
  })
  expect(installedPackages(newFolder()).size).toBe(0)
})

test('it runs the programs for their versions, and says why it knows none', async () => {
  const command = programsOf('v0.32.2', '1.3.4')
  expect(await daemonProgram(command)).toEqual({ version: '0.32.2', note: command })
  expect(await runcOf(command)).toMatchObject({ version: '1.3.4' })
  const unknown = programsOf('v0.0.0+unknown', '1.3.4')
  expect(await daemonProgram(unknown)).toEqual({
    version: null,
    note: `${unknown} was built without a version (it says 0.0.0+unknown)`,
  })
  expect(await daemonProgram('/none')).toEqual({
    version: null,
    note: 'there is no /none that runs',
  })
  const folder = newFolder()
  expect(miseIn(folder)).toMatchObject({ version: null })
  writeFileSync(join(folder, 'mise-2026.8.6'), '')
  writeFileSync(join(folder, 'mise-2026.10.1'), '')
  expect(miseIn(folder)).toEqual({ version: '2026.10.1', note: null })
})

test('it refuses what is too old, with what, found, needed, why and what to do', async () => {
  const old = await findWith(programsOf('v0.31.0', '1.3.2')).catch((error: unknown) => error)
  expect(old).toMatchObject({ code: 'version-too-old' })
  expect(String(old)).toMatch(
    /buildkitd, runc are too old:\n {2}buildkitd is 0\.31\.0 \(.*\); needed is 0\.32\.2 or newer\. Older ones .*\n {2}runc is 1\.3\.2 \(.*\); needed is 1\.2\.8, 1\.3\.3, 1\.4\.0 or newer\. .*\n.*tarmac upgrade.*TARMAC_ALLOW_OLD=buildkitd,runc/,
  )
  const versions = await findWith(programsOf('v0.32.2', '1.1.5+ds1'), ['runc'])
  expect(versions.summary()).toMatchObject({
    versions: { buildkitd: '0.32.2', runc: '1.1.5+ds1' },
    tooOld: [expect.stringContaining('runc is 1.1.5+ds1')],
  })
})

test('a part that is found later is refused too; one that does not answer is unknown', async () => {
  const versions = await findWith(null)
  versions.addUnlessKnown('buildkitd', { version: null, note: 'no answer' })
  versions.add('railpack', { version: '0.37.0-standin', note: null })
  expect(versions.summary().unknown).toContain('buildkitd: no answer')
  expect(versions.facts().find(({ name }) => name === 'railpack')).toMatchObject({
    ok: true,
    note: 'a stand-in of the lab',
  })
  expect(() => versions.add('buildkitd', { version: 'v0.31.0', note: null })).toThrow(
    'buildkitd is too old',
  )
})

test('a gateway with an old runc does not start: exit code 2, so that it is not started again', async () => {
  const command = programsOf('v0.32.2', '1.1.5')
  const env = { ...startEnv, TARMAC_DATA: newFolder(), TARMAC_PORT: '0' }
  const settings = { TARMAC_BUILDKIT: 'spawn', TARMAC_BUILDKITD: command }
  const started = run(process.execPath, [main], { env: { ...env, ...settings } })
  await expect(started).rejects.toMatchObject({
    code: 2,
    stderr: expect.stringContaining('The gateway does not start, because runc is too old:'),
  })
}, 30_000)
