import { execFileSync } from 'node:child_process'
import { readFileSync, statSync } from 'node:fs'
import { truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Deployment } from '#api/deployment.ts'
import { type Files, pageApp, startTestLab, type TestLab } from './start.ts'

let lab: TestLab
beforeAll(async () => void (lab = await startTestLab()))
afterAll(() => lab[Symbol.asyncDispose]())

const page = pageApp('hello')
const withToml = (text: string): Files => ({ ...page, 'fly.toml': text })
const nested = (depth: number) => '['.repeat(depth) + ']'.repeat(depth)
const marks = (key: string) => `machine_config = '{"metadata": {"${key}": "alice"}}'`

const sources: [string, Files, object][] = [
  [
    'a fly.toml of 2 MiB',
    withToml(`# ${'x'.repeat(2 ** 21)}`),
    { code: 'source-file-too-large', file: 'fly.toml' },
  ],
  ['a fly.toml with zero bytes', withToml('a\0p\0p\0'), { code: 'fly-config-invalid' }],
  [
    'a fly.toml with a mark of the gateway',
    withToml(marks('tarmac_owner')),
    { code: 'fly-config-invalid' },
  ],
  ['a fly.toml with a mark of Fly', withToml(marks('fly_canary')), { code: 'fly-config-invalid' }],
  [
    'a deep machine config',
    withToml(`machine_config = '{"volumes": ${nested(200_000)}}'`),
    { code: 'fly-config-invalid' },
  ],
  [
    'a Dockerfile of 2 MiB',
    { Dockerfile: `FROM alpine\n#${'x'.repeat(2 ** 21)}` },
    { code: 'source-file-too-large' },
  ],
  [
    'an ignore file of 2 MiB',
    { ...page, '.dockerignore': 'x\n'.repeat(2 ** 20) },
    { file: '.dockerignore' },
  ],
  ['a Dockerfile from scratch alone', { Dockerfile: 'FROM scratch' }, { code: 'image-unusable' }],
  [
    'a Dockerfile without a layer',
    { Dockerfile: 'FROM scratch\nCMD ["/x"]' },
    { code: 'image-unusable' },
  ],
]
test.each(sources)(
  '%s ends as the source’s failure, before any machine is made',
  async (_, files, problem) => {
    const { record } = await lab.held('hostile', files)
    expect(record).toMatchObject({
      state: 'build_failed',
      problem: { fault: 'source', status: 422, ...problem },
    })
    expect(await lab.machines('hostile')).toEqual([])
  },
)

test('three entries of one file of 60 MB fail before the build, and leave next to nothing in the records', async () => {
  const entry = (n: number) => `[[files]]\nguest_path = "/f${n}"\nlocal_path = "blob"\n`
  const folder = await lab.source(withToml([1, 2, 3].map(entry).join('')))
  await writeFile(join(folder, 'blob'), '')
  await truncate(join(folder, 'blob'), 60e6)
  // Not compressed: so many zeros would be refused as a bomb.
  const archive = execFileSync('tar', ['c', '-C', folder, '.'], { maxBuffer: 2 ** 26 })
  const answer = await lab.put('hostile', 'follow=false', archive)
  const { record } = await lab.end(((await answer.json()) as Deployment).id)
  expect(record.problem).toMatchObject({
    code: 'source-file-too-large',
    key: 'files[0].local_path',
    sizeBytes: 60e6,
  })

  const stored = ['tarmac.db', 'tarmac.db-wal'].map(
    (file) => statSync(join(lab.dir, 'gateway', file)).size,
  )
  expect(stored[0]! + stored[1]!).toBeLessThan(16e6)
})

test('afterwards the gateway is healthy, deploys, and reports no internal error', async () => {
  const toml =
    'machine_config = \'{"metadata": {"team": "a"}}\'\n[http_service]\ninternal_port = 8080'
  expect((await lab.held('hostile', withToml(toml))).record).toMatchObject({ state: 'live' })
  const [machine] = (await lab.machines('hostile')) as unknown as { config: { metadata: object } }[]
  expect(machine!.config.metadata).toMatchObject({ team: 'a', tarmac_number: expect.any(String) })
  expect(readFileSync(join(lab.dir, 'gateway.log'), 'utf8')).not.toMatch(
    /"code":"internal"|RangeError|TypeError/,
  )
})
