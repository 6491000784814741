import { execFile, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { chmod, copyFile, mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { findPlanner, standInProgram } from '../../../lab/planner/find.ts'
import { installMiseStub } from '../../../lab/planner/mise-stub.ts'
import { portOf } from '../../../gateway/src/host/port-of.ts'

const run = promisify(execFile)
let folder: string
let made: string // the stand-in takes seconds to build, so the tests share one
beforeAll(async () => {
  made = await mkdtemp(join(tmpdir(), 'find-planner-'))
  await standInProgram(made)
}, 120_000)
afterAll(() => rm(made, { recursive: true }))
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'find-planner-'))
  await chmod(folder, 0o755)
})
afterEach(() => rm(folder, { recursive: true }))

/**
 * A program that answers `--version` as railpack does. `-standin` excludes the machine's mise
 * folder from the test.
 */
async function railpack(name: string, version: string): Promise<string> {
  await mkdir(join(folder, name), { recursive: true })
  const path = join(folder, name, 'railpack')
  await writeFile(path, `#!/bin/sh\necho railpack version ${version}\n`)
  await chmod(path, 0o755)
  return path
}

describe('the search for a planner', () => {
  test('uses the one that TARMAC_RAILPACK names, and fails when that is not a planner', async () => {
    const path = await railpack('own', '1.2.3-standin')
    const found = await findPlanner({ env: { TARMAC_RAILPACK: path }, releases: null })
    expect(found).toEqual({ path, version: '1.2.3-standin', standIn: true })
    const wrong = findPlanner({ env: { TARMAC_RAILPACK: '/bin/true' }, releases: null })
    await expect(wrong).rejects.toThrow('does not answer `--version`')
  })

  test('skips a railpack of another version and ends at the stand-in', async () => {
    await railpack('bin', '0.36.0')
    const found = await findPlanner({
      env: { PATH: join(folder, 'bin') },
      releases: null,
      cacheDir: made,
    })
    expect(found).toMatchObject({ version: '0.37.0-standin', standIn: true })
    expect(spawnSync(found.path, ['--version'], { env: {} }).status).toBe(0)
  })

  test('uses the release when its checksums match, and then keeps it', async () => {
    await railpack('release', '0.37.0-standin')
    await run('tar', ['-czf', join(folder, 'asset'), '-C', join(folder, 'release'), 'railpack'])
    const archive = await readFile(join(folder, 'asset'))
    const machine = process.arch === 'arm64' ? 'arm64' : 'x86_64'
    const name = `railpack-v0.37.0-${machine}-unknown-linux-musl.tar.gz`
    let digest = 'f'.repeat(64)
    const server = createServer(({ url }, response) => {
      response.end(url?.endsWith(name) ? archive : `${digest}  ${name}\n`)
    }).listen(0)
    await once(server, 'listening')
    const releases = `http://127.0.0.1:${portOf(server)}`
    const search = { env: {}, releases, cacheDir: made }
    const kept = join(made, 'railpack-0.37.0')
    expect((await findPlanner(search)).path).not.toBe(kept)
    digest = createHash('sha256').update(archive).digest('hex')
    expect((await findPlanner(search)).path).toBe(kept)

    server.close()
    server.closeAllConnections()
    expect((await findPlanner(search)).path).toBe(kept)
  })

  test('makes the stand-in into one file, once', async () => {
    const path = await standInProgram(made)
    expect(await standInProgram(made)).toBe(path)
    await copyFile(path, join(folder, 'elsewhere'))
    const asked = spawnSync(join(folder, 'elsewhere'), ['--version'], { env: {} })
    expect(asked.stdout.toString()).toContain('0.37.0-standin')
  })
})

const mise = async (...args: string[]) =>
  (await run(join(folder, 'mise/mise'), args, { env: { PATH: '' } })).stdout

describe('the stub for mise', () => {
  test('is installed where there is no mise, and answers with the contents of the builder image', async () => {
    expect(await installMiseStub(join(folder, 'mise/mise'))).toBe(true)
    expect(await mise('latest', 'node@22')).toBe('22.23.3\n')
    expect(await mise('latest', 'node@lts')).toBe('22.23.3\n')
    expect(await mise('latest', 'node@22.23.3')).toBe('22.23.3\n')
    expect(await mise('ls-remote', 'python@3.13')).toBe('3.13.5\n')
    expect(await mise('latest', 'node@2')).toBe('')
    expect(await mise('latest', 'bun@latest')).toBe('')
    expect(await mise('--cd', '/', 'list', '--current', '--json')).toBe('{}\n')
    await expect(mise('install')).rejects.toThrow('is not known')
  })

  test('replaces only an earlier stub', async () => {
    const path = join(folder, 'mise/mise')
    await installMiseStub(path)
    expect(await installMiseStub(path)).toBe(false)
    await writeFile(path, (await readFile(path, 'utf8')).replaceAll('22.23.3', '20.0.0'))
    expect(await installMiseStub(path)).toBe(true)
    expect(await mise('latest', 'node@22')).toBe('22.23.3\n')
  })

  test('leaves a real mise alone', async () => {
    await mkdir(join(folder, 'mise'))
    await writeFile(join(folder, 'mise/mise'), 'real')
    expect(await installMiseStub(join(folder, 'mise/mise'))).toBe(false)
    expect((await stat(join(folder, 'mise/mise'))).size).toBe(4)
  })
})
