import { execFile, execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, test, vi } from 'vitest'
import { Sources } from '../../gateway/src/sources/sources.ts'
import { startHttp, token } from '../gateway/http/start-http.ts'
import { startEnv } from '../start-env.ts'

vi.setConfig({ testTimeout: 60_000 }) // many processes on few cores

const main = join(import.meta.dirname, '../../client/src/main.ts')
const run = promisify(execFile)

test('a CI job names its run; the source that it sent is downloaded, whole or not at all', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'tarmac-client-source-'))
  await using sources = await Sources.open({ dir })
  await using http = await startHttp({ sources })
  const [sent, there] = [join(dir, 'sent'), join(dir, 'there')]
  for (const folder of [sent, there]) mkdirSync(folder)
  writeFileSync(join(sent, 'a.bin'), Buffer.alloc(3e6, 'a'))
  writeFileSync(join(sent, 'index.html'), 'hello')
  const ci = { GITLAB_CI: 'true', CI_JOB_URL: 'https://gitlab.com/acme/shop/-/jobs/7' }
  const tarmac = (...args: string[]) =>
    run(process.execPath, [main, ...args], {
      cwd: there,
      maxBuffer: 10e6,
      env: {
        ...startEnv,
        TARMAC_GATEWAY: http.url,
        TARMAC_TOKEN: token,
        XDG_CACHE_HOME: dir,
        ...ci,
      },
    })

  const { stdout: address } = await tarmac('deploy', 'shop', sent, '--detach')
  const id = address.trim().slice(-36)
  const { source, options } = (await http.store.find(id))!
  expect(options).toMatchObject({ trigger: 'ci', 'ci-run': ci.CI_JOB_URL })

  const { stdout, stderr } = await tarmac('source', id)
  const path = join(there, 'shop-1-source.tar')
  expect(stdout).toBe(`${path}\n`)
  expect(stderr).toContain(`To unpack it: tar xf ${path}`)
  execFileSync('tar', ['xf', path], { cwd: there })
  expect(readFileSync(join(there, 'index.html'), 'utf8')).toBe('hello')
  await expect(tarmac('source', id)).rejects.toThrow(`${path} already exists. Name a new file.`)
  expect((await tarmac('source', id, '-')).stdout === readFileSync(path, 'utf8')).toBe(true)

  writeFileSync(join((await sources.tree(source!.digest)).root, 'index.html'), 'other')
  await expect(tarmac('source', id, 'second.tar')).rejects.toThrow(
    'The source did not arrive whole',
  )
  expect([
    existsSync(join(there, 'second.tar')),
    existsSync(join(there, 'second.tar.part')),
  ]).toEqual([false, false])
  await rm(dir, { recursive: true })
})
