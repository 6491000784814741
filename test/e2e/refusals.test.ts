import { randomBytes } from 'node:crypto'
import { readFile, writeFile } from 'node:fs/promises'
import { request } from 'node:http'
import { join } from 'node:path'
import { beforeEach, afterEach, expect, test } from 'vitest'
import type { ProblemBody } from '../../api/problem/body.ts'
import { file, hostile, tar } from '../archives.ts'
import { shareLab } from './shared-lab.ts'
import { pageApp, startTestLab, type TestLab } from './start.ts'

const mebibyte = 2 ** 20
let lab: TestLab
let whole: Buffer
let before: Awaited<ReturnType<TestLab['holdings']>>

shareLab(
  () => startTestLab({ TARMAC_MAX_UPLOAD_MIB: '8' }),
  async (fresh) => {
    lab = fresh
    whole = await lab.archive(await lab.source(pageApp('whole')))
  },
)
beforeEach(async () => void (before = await lab.holdings()))
// A refused upload leaves nothing, whatever the reason.
afterEach(async () => {
  await expect.poll(() => lab.holdings(), { timeout: 5000 }).toEqual(before)
  expect(before).toMatchObject({
    spool: [],
    plans: [],
    trees: [],
    records: 0,
    apps: [],
    containers: 0,
  })
})

async function refusal(answer: Response | Promise<Response>): Promise<ProblemBody> {
  const response = await answer
  expect(response.headers.get('Content-Type')).toMatch('application/problem+json')
  const body = (await response.json()) as ProblemBody
  expect(body).toMatchObject({
    type: `/problems/${body.code}`,
    status: response.status,
    detail: expect.stringMatching(/[.?…]$/),
  })
  return body
}

test('no token and a wrong one get the same 401', async () => {
  const answers = ['', 'Bearer not-the-right-one-at-all', 'Basic eDp5'].map((authorization) =>
    refusal(lab.put('app', '', whole, { authorization })),
  )
  const [none, ...others] = (await Promise.all(answers)).map((problem) => ({
    ...problem,
    requestId: null,
  }))
  expect(none).toMatchObject({ code: 'unauthorized', status: 401 })
  expect(others).toEqual([none, none])
})

// One archive of each kind that is wrong with any limits. `test/gateway/sources` has them all.
const kinds = Map.groupBy(hostile, ([, code]) => code)
kinds.delete('archive-too-many-entries')
test.each([...kinds.values()].map(([first]) => first!))('%s: %s', async (_, code, bytes) => {
  const body = typeof bytes === 'function' ? bytes() : bytes
  expect((await refusal(lab.put('app', '', body))).code).toBe(code)
})

test('a body that is not an archive is 415 and lists the accepted types', async () => {
  const problem = await refusal(lab.put('app', '', Buffer.from('{"hello": "world"}'.repeat(100))))
  expect(problem).toMatchObject({ status: 415, detail: expect.stringContaining('tar.gz') })
})

test('a cut-off archive and one whose connection broke are 400, and leave no record', async () => {
  expect(await refusal(lab.put('app', '', whole.subarray(0, -40)))).toMatchObject({
    status: 400,
    code: 'archive-truncated',
  })

  const call = request(`${lab.gateway}/deploy/app`, {
    method: 'PUT',
    headers: { authorization: `Bearer ${lab.token}` },
  })
  call.on('error', () => {})
  // Begun on disk. A small source would wait in memory.
  call.write(
    tar(...Array.from({ length: 5000 }, (_, index) => file(`file-${index}`))).subarray(0, -1024),
  )
  await expect.poll(async () => (await lab.holdings()).spool.length, { timeout: 5000 }).toBe(1)
  call.destroy()
})

test('too large is 413, by its announced or its real size, and names the limit', async () => {
  const announced = await refusal(lab.put('app', '', Buffer.alloc(9 * mebibyte)))
  expect(announced).toMatchObject({
    status: 413,
    limitBytes: 8 * mebibyte,
    announcedBytes: 9 * mebibyte,
  })

  const folder = await lab.source({})
  await writeFile(join(folder, 'big'), randomBytes(9 * mebibyte))
  expect(await lab.curl(folder, 'app')).toMatch(
    /^refused: archive-too-large\n.*The limit is 8 MiB as sent\..*\n/,
  )
})

test('a wrong digest is 400 and names the received one; an unsupported kind is 400 too', async () => {
  const wrong = `sha-256=:${Buffer.alloc(32).toString('base64')}:`
  expect(await refusal(lab.put('app', '', whole, { 'content-digest': wrong }))).toMatchObject({
    status: 400,
    code: 'digest-mismatch',
  })
  expect(
    await refusal(lab.put('app', '', whole, { 'content-digest': 'md5=:AAAA:' })),
  ).toMatchObject({
    status: 400,
    code: 'digest-unsupported',
  })
})

test('a bad app name is 422 with the rule, an unknown option 422 with the nearest one, before any byte is read', async () => {
  expect(await refusal(lab.put('Not_A_Name', '', whole))).toMatchObject({
    status: 422,
    code: 'app-name-invalid',
    detail: expect.stringMatching(/letters/),
  })
  expect(await refusal(lab.put('app', 'stategy=rolling', whole))).toMatchObject({
    status: 422,
    code: 'option-unknown',
    nearest: 'strategy',
  })
  expect(await refusal(lab.put('app', 'deploy=maybe', whole))).toMatchObject({
    status: 422,
    code: 'option-invalid',
  })
})

test('an unknown deployment is 404, as record and as log; so is an unknown address', async () => {
  for (const path of ['/v1/deployments/none', '/v1/deployments/none/events'])
    expect(await refusal(lab.ask(path))).toMatchObject({
      status: 404,
      code: 'deployment-not-found',
    })
  expect(await refusal(lab.ask('/v2'))).toMatchObject({ status: 404, code: 'route-not-found' })
})

test('the operator’s log contains no token and no value of a query', async () => {
  await refusal(lab.put('app', 'env.SECRET=hush-hush&nonsense=1', whole))
  const text = await readFile(join(lab.dir, 'gateway.log'), 'utf8')
  expect(text).toContain('/deploy/app')
  expect(text).not.toContain('hush-hush')
  expect(text).not.toContain(lab.token)
})
