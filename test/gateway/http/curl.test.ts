import { execFile } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { Problem } from '#api/problem.ts'
import { startHttp, toBuildFailed, token, toLive } from './start-http.ts'

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'tarmac-curl-'))
  writeFileSync(join(folder, 'index.html'), 'hello')
  writeFileSync(join(folder, 'big'), 'refuse')
  truncateSync(join(folder, 'big'), 50 * 2 ** 20)
})
afterAll(() => rmSync(folder, { recursive: true }))

function shell(
  script: string,
  GATEWAY: string,
  T = token,
): Promise<{ code: number; out: string; err: string }> {
  return new Promise((resolve) =>
    execFile(
      'bash',
      ['-c', script],
      { cwd: folder, env: { ...process.env, GATEWAY, T } },
      (error, out, err) => resolve({ code: Number(error?.code ?? 0), out, err }),
    ),
  )
}
const upload = 'tar cz index.html | curl -sSNT - -H "Authorization: Bearer $T"'
const settled = async (look: () => boolean) => {
  while (!look()) await new Promise((resolve) => setTimeout(resolve, 10))
}

test('the command of the README prints the log and ends with the verdict and the address', async () => {
  await using http = await startHttp()
  const answer = shell(`${upload} $GATEWAY/deploy/shop`, http.url)
  await settled(() => http.received.length > 0)
  await http.play(toLive)
  const { code, out } = await answer
  expect(code).toBe(0)
  expect(out).toMatch(/deployment \S+ of shop\n/)
  expect(out).toMatch(/^ +\d+\.\ds {5}npm ci: done in 1\.2 s$/m)
  expect(out).toMatch(/\| added 3 packages$/m)
  expect(out).toMatch(/\nlive: shop, deployment .+\nhttp:\/\/shop\.localhost\/\n$/)
})

/** The recipe of docs/http.md: progress, the reason, and an exit code. */
const recipe = `${upload} -S --fail-with-body -D >(sed -un 's/^Tarmac-Progress: \\(.*\\)\\r$/\\1/p' >&2) "$GATEWAY/deploy/shop?wait=true"`

test('wait=true shows progress as it comes, then the log with the reason, and curl has an exit code', async () => {
  await using http = await startHttp()
  const answer = shell(`${recipe}; c=$?; sleep 0.2; exit $c`, http.url)
  await settled(() => http.received.length > 0)
  await http.play(toBuildFailed)
  const { code, out, err } = await answer
  expect(code).toBe(22)
  expect(err).toMatch(/s {2}=> pending by operator\n[^]*s {2}=> building\n[^]*=> build_failed\n/)
  expect(err).toContain('curl: (22)')
  expect(out).toMatch(/=> building[^]*\nThe build failed\. npm ci ended with exit code 1\.\n/)
  expect(out).toMatch(/\nNext: [^\n]+\n$/)
})

test('wait=true delays the status until the verdict, so that curl fails with the build', async () => {
  await using http = await startHttp({ heartbeatMs: 20 })
  const answer = shell(
    `${upload} --fail-with-body -D headers "$GATEWAY/deploy/shop?wait=true"; c=$?; cat headers; exit $c`,
    http.url,
  )
  const headers = join(folder, 'headers')
  await settled(
    () => existsSync(headers) && readFileSync(headers, 'utf8').includes('still pending'),
  )
  await http.play(toBuildFailed)
  const failed = await answer
  expect(failed.code).toBe(22)
  expect(failed.out).toContain('102 Processing')
  expect(failed.out).toMatch(/Tarmac-Progress: +\d+\.\ds {5}still pending/)
  expect(failed.out).toContain('422 Unprocessable Entity')

  const good = shell(`${upload} -f "$GATEWAY/deploy/shop?wait=true"`, http.url)
  await settled(() => http.received.length > 1)
  await http.play(toLive)
  expect(await good).toMatchObject({
    code: 0,
    out: expect.stringMatching(/http:\/\/shop\.localhost\/\n$/),
  })
})

test('a delayed answer of a failure holds the log and the cause', async () => {
  await using http = await startHttp()
  const answer = shell(`${upload} -w '%{http_code}' "$GATEWAY/deploy/shop?wait=true"`, http.url)
  await settled(() => http.received.length > 0)
  await http.play(toBuildFailed)
  expect((await answer).out).toMatch(
    /=> building[^]*\nThe build failed\. npm ci ended with exit code 1\.\n[^]*\n422$/,
  )
})

// A body of 50 MB is under way, with and without `Expect: 100-continue`. The sender must see the
// answer, not a broken connection.
const corrupt = () => Promise.reject(new Problem('archive-corrupt', 'Entry 7 is damaged.'))
const refusals = [
  { status: 401, code: 'unauthorized', path: '/deploy/shop', token: 'wrong' },
  { status: 401, code: 'unauthorized', path: '/deploy/shop', token: '' },
  { status: 415, code: 'archive-unsupported', path: '/deploy/shop' },
  { status: 400, code: 'archive-corrupt', path: '/deploy/shop', receive: corrupt },
  { status: 413, code: 'archive-too-large', path: '/deploy/shop', maxUploadBytes: 2 ** 20 },
  { status: 422, code: 'app-name-invalid', path: '/deploy/My_Shop' },
  { status: 422, code: 'option-unknown', path: '/deploy/shop?regoin=fra' },
  { status: 404, code: 'route-not-found', path: '/deplyo/shop' },
]
test.each(refusals)('an upload refused with $status $code shows its answer', async (refusal) => {
  const { status, code, path } = refusal
  await using http = await startHttp({
    maxUploadBytes: refusal.maxUploadBytes ?? 2 ** 30,
    ...(refusal.receive && { receive: refusal.receive }),
  })
  const lines = [
    '-T big',
    '-T big -H Expect:',
    ...(status === 413 ? [] : ['-T - -H Expect: < big', '-T - < big']),
  ]
  for (const line of lines) {
    const begun = performance.now()
    const command = `curl -sS -w '\\n%{http_code}' -H "Authorization: Bearer $T" "$GATEWAY${path}" ${line}`
    const { out, err, code: exit } = await shell(command, http.url, refusal.token)
    expect({ line, exit, err, status: out.split('\n').at(-1) }).toEqual({
      line,
      exit: 0,
      err: '',
      status: `${status}`,
    })
    const [first] = out.split('\n')
    if (code === 'route-not-found') expect(JSON.parse(first!)).toMatchObject({ code, status })
    else expect(out).toMatch(new RegExp(`^refused: ${code}\n[^{]+\n\n${status}$`))
    expect(performance.now() - begun).toBeLessThan(2500)
  }
  expect(http.received).toEqual([])
})

test('a refusal of PUT /deploy is JSON for a caller that asks for it', async () => {
  await using http = await startHttp()
  const command = `curl -s -T big -H 'Accept: application/json' -H "Authorization: Bearer $T" $GATEWAY/deploy/My_Shop`
  const { out } = await shell(command, http.url)
  expect(JSON.parse(out)).toMatchObject({ code: 'app-name-invalid', status: 422 })
  expect(out).toMatch(/\}\n$/)
})

test('a sender that asks first sends nothing of a refused body', async () => {
  await using http = await startHttp()
  const { err } = await shell('curl -sv -T big $GATEWAY/deploy/shop', http.url)
  expect(err).toContain('Expect: 100-continue')
  expect(err).not.toContain('100 Continue')
  const line = http.logged.find((line) => line.includes('"status":401'))
  expect(JSON.parse(line!).receivedBytes).toBeLessThan(1000)
})
