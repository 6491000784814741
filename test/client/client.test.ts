import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { afterAll, beforeAll, expect, onTestFinished, test, vi } from 'vitest'
import { Problem } from '#api/problem.ts'
import { startHttp, toBuildFailed, token, toLive } from '../gateway/http/start-http.ts'
import { startProxy } from './start-proxy.ts'
import { startEnv } from '../start-env.ts'

vi.setConfig({ testTimeout: 30_000 }) // many processes on few cores

const main = join(import.meta.dirname, '../../client/src/main.ts')
let folder: string
const cache = mkdtempSync(join(tmpdir(), 'tarmac-client-cache-'))
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'tarmac-client-'))
  writeFileSync(join(folder, 'index.html'), 'hello')
})
afterAll(() => [folder, cache].forEach((each) => rmSync(each, { recursive: true })))

type Run = { child: ChildProcess; out: string; err: string; code: Promise<number | null> }
/** Runs the client as a user does. */
function tarmac(
  gateway: string,
  args: string[],
  env: Record<string, string> = { TARMAC_TOKEN: token },
): Run {
  const child = spawn(process.execPath, [main, ...args], {
    cwd: folder,
    env: { ...startEnv, TARMAC_GATEWAY: gateway, XDG_CACHE_HOME: cache, ...env },
  })
  const code = new Promise<number | null>((resolve) => child.once('close', resolve))
  const run: Run = { child, out: '', err: '', code }
  child.stdout.on('data', (chunk: Buffer) => (run.out += chunk.toString()))
  child.stderr.on('data', (chunk: Buffer) => (run.err += chunk.toString()))
  return run
}
const lines = (text: string) =>
  text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>)
const arrived = (http: { received: unknown[] }) =>
  expect.poll(() => http.received.length, { timeout: 15_000 }).toBe(1)

test('a deploy ends with only the address on stdout and the log on stderr', async () => {
  await using http = await startHttp()
  const run = tarmac(http.url, [
    'deploy',
    'shop',
    '--env',
    'A=b=c',
    '--build',
    'X=1',
    '--region',
    'fra',
    '--count',
    '3',
    '--force-over',
    '57',
  ])
  await arrived(http)
  const { id } = await http.play(toLive)
  expect(await run.code).toBe(0)
  expect(run.out).toBe('http://shop.localhost/\n')
  expect(run.err).toMatch(
    /^sent 1 files, [^]*deployment \S+ of shop: http[^]*=> pending[^]*npm ci: done in 1\.2 s[^]*live: shop/,
  )

  const options = {
    env: { A: 'b=c' },
    build: { X: '1' },
    region: 'fra',
    count: 3,
    'force-over': '57',
    trigger: 'cli',
    deploy: true,
  }
  expect(await http.store.find(id)).toMatchObject({ options })
})

test('a failed build exits with 11 and names the cause; nothing is on stdout', async () => {
  await using http = await startHttp()
  const run = tarmac(http.url, ['deploy', 'shop', folder])
  await arrived(http)
  await http.play(toBuildFailed)
  expect(await run.code).toBe(11)
  expect(run).toMatchObject({
    out: '',
    err: expect.stringContaining('npm ci ended with exit code 1.'),
  })
})

test('--json prints one object per line, the result last', async () => {
  await using http = await startHttp()
  const run = tarmac(http.url, ['deploy', 'shop', '--json', '--no-deploy'])
  await arrived(http)
  const image = { reference: 'registry/shop@sha256:aa', digest: 'sha256:aa', tags: [] }
  await http.play([['analyzing'], ['building'], ['built', { image }]])
  expect(await run.code).toBe(0)

  const all = lines(run.out)
  expect(all.map(({ type }) => type)).toEqual([
    'uploaded',
    'accepted',
    ...Array(5).fill('state'),
    'result',
  ])
  expect(all[2]).toMatchObject({
    v: 1,
    seq: 1,
    t: expect.any(String),
    type: 'state',
    state: 'pending',
  })
  expect(all.at(-1)).toMatchObject({
    exitCode: 0,
    state: 'built',
    app: 'shop',
    url: null,
    image: image.reference,
  })
  expect(run.err).toBe('')
})

test('every failure has its exit code and says what to do, also as JSON', async () => {
  await using http = await startHttp()
  const tooMuch = ['A', 'B'].flatMap((name) => ['--env', `${name}=${'x'.repeat(70_000)}`])
  const cases: [number, string, string[], Record<string, string>?][] = [
    [
      3,
      'does not accept this token. Set TARMAC_TOKEN',
      ['deploy', 'shop'],
      { TARMAC_TOKEN: 'wrong' },
    ],
    [3, 'TARMAC_TOKEN is no token', ['deploy', 'shop'], { TARMAC_TOKEN: 'a b' }],
    [2, '--owner is invalid: an owner is named by', ['deploy', 'shop', '--owner', 'Ada!']],
    [2, '--owner is invalid: an owner is named by', ['rollback', 'shop', '--owner', 'Ada!']],
    [2, '--env has too many variables', ['deploy', 'shop', ...tooMuch]],
    [2, 'index.html is a file; tarmac deploy sends a folder', ['deploy', 'shop', 'index.html']],
    [2, 'has no fly.toml that names one', ['deploy']],
    [2, '--include: there is no dist', ['deploy', 'shop', '--include', 'dist']],
    [2, 'a path inside the folder', ['deploy', 'shop', '--include', '../dist']],
    [2, 'An app name is', ['deploy', 'My_Shop']],
    [2, '--nonsense', ['deploy', 'shop', '--nonsense']],
    [2, 'NAME=VALUE', ['deploy', 'shop', '--env', 'A']],
    [2, 'NAME has no value', ['deploy', 'shop', '--secret', 'NAME']],
    [2, 'not both', ['follow', 'd1', '--only', 'state', '--step', 'x']],
    [2, '--strategy is invalid', ['deploy', 'shop', '--strategy', 'yolo']],
    [2, 'expected a whole number from 1 to 100', ['deploy', 'shop', '--count', '101']],
    [2, 'the number of a deployment', ['deploy', 'shop', '--force-over', 'all']],
    [2, 'no folder', ['deploy', 'shop', 'nowhere']],
    [2, 'no such command: tarmac undeploy. Did you mean tarmac deploy?', ['undeploy', 'shop']],
    [2, 'The usage is: tarmac retry DEPLOYMENT', ['retry']],
    [2, 'TARMAC_GATEWAY', ['deploy', 'shop'], { TARMAC_GATEWAY: '' }],
    [
      69,
      'cannot be reached: connect ECONNREFUSED',
      ['deploy', 'shop', '--gateway', 'http://127.0.0.1:1'],
    ],
    [1, 'There is no deployment d9', ['follow', 'd9']],
  ]
  const outcomes = await Promise.all(
    cases.map(async ([, , args, env]) => {
      const run = tarmac(http.url, [...args, '--json'], { TARMAC_TOKEN: token, ...env })
      const code = await run.code
      const { type, exitCode, problem } = lines(run.out).at(-1)!
      return { code, type, exitCode, detail: (problem as { detail: string }).detail }
    }),
  )
  expect(outcomes).toEqual(
    cases.map(([code, words]) => ({
      code,
      type: 'result',
      exitCode: code,
      detail: expect.stringContaining(words),
    })),
  )

  const people = tarmac(http.url, ['deploy', 'shop'], {})
  expect(await people.code).toBe(3)
  expect(people.err).toMatch(/^tarmac: The gateway at \S+ needs a token\. Set TARMAC_TOKEN, or/)
})

test('a refused source exits with 4, however much was sent', async () => {
  await using http = await startHttp({
    receive: () =>
      Promise.reject(new Problem('archive-link-escape', 'The link x leaves the source.')),
  })
  const run = tarmac(http.url, ['deploy', 'shop'])
  expect([await run.code, run.err]).toEqual([
    4,
    expect.stringContaining('The link x leaves the source.'),
  ])
})

test('--detach returns when the gateway has the source; follow reads on later', async () => {
  await using http = await startHttp()
  const run = tarmac(http.url, ['deploy', 'shop', '--detach'])
  expect(await run.code).toBe(0)
  const { id } = await http.play(toLive)
  expect(run.out).toBe(`${http.url}/v1/deployments/${id}\n`)

  const later = tarmac(http.url, ['follow', id])
  expect(await later.code).toBe(0)
  expect(later).toMatchObject({
    out: 'http://shop.localhost/\n',
    err: expect.stringContaining('=> pending'),
  })
})

test('--json ends with the state that the deployment has after an interrupt', async () => {
  await using http = await startHttp()
  const run = tarmac(http.url, ['deploy', 'shop', '--json'])
  await expect.poll(() => run.out, { timeout: 15_000 }).toContain('"pending"')
  await http.play([['analyzing'], ['building'], ['deploying', { rollout: {} }]])
  await expect.poll(() => run.out, { timeout: 15_000 }).toContain('"deploying"')
  run.child.kill('SIGINT')
  expect(await run.code).toBe(130)
  expect(lines(run.out).at(-1)).toMatchObject({ type: 'result', state: 'deploying', exitCode: 130 })
})

test('Ctrl-C ends the client with 130: nothing was taken, or it is cancelled, or it continues because machines were touched', async () => {
  const asked = Promise.withResolvers<void>()
  await using http = await startHttp({ receive: () => (asked.resolve(), new Promise(() => {})) })
  const early = tarmac(http.url, ['deploy', 'shop'])
  await asked.promise
  early.child.kill('SIGINT')
  expect([await early.code, early.err]).toEqual([
    130,
    expect.stringContaining('has accepted no deployment'),
  ])

  await using other = await startHttp()
  const late = tarmac(other.url, ['deploy', 'shop'])
  await expect.poll(() => late.err, { timeout: 15_000 }).toContain('=> pending')
  late.child.kill('SIGINT')
  expect(await late.code).toBe(130)
  expect(late.err).toMatch(/Deployment \S+ is cancelled\.\n$/)

  await using third = await startHttp()
  const tooLate = tarmac(third.url, ['deploy', 'shop'])
  await expect.poll(() => tooLate.err, { timeout: 15_000 }).toContain('=> pending')
  const { id } = await third.play([['analyzing'], ['building'], ['deploying', { rollout: {} }]])
  await expect.poll(() => tooLate.err, { timeout: 15_000 }).toContain('=> deploying')

  tooLate.child.kill('SIGINT')
  expect(await tooLate.code).toBe(130)
  expect(tooLate.err).toMatch(
    /continues: .*machines have been touched.* to undo: tarmac cancel \S+ --abort\n$/,
  )
  expect((await third.store.find(id))!.cancel).toBeNull()
})

test('a second Ctrl-C exits at once, and the result is still the last line', async () => {
  await using http = await startHttp()
  const run = tarmac(http.url, ['deploy', 'shop', '--json'])
  await expect.poll(() => run.out, { timeout: 15_000 }).toContain('"pending"')
  await http.play([['analyzing'], ['building']])
  run.child.kill('SIGINT')
  await expect.poll(() => run.out, { timeout: 15_000 }).toContain('a second Ctrl-C')

  run.child.kill('SIGINT')
  expect(await run.code).toBe(130)
  expect(lines(run.out).at(-1)).toMatchObject({
    type: 'result',
    exitCode: 130,
    text: 'Exited at once.',
  })
})

test('on a terminal, Ctrl-C after machines were touched asks whether to restore them', async () => {
  await using http = await startHttp()
  const command = `${process.execPath} ${main} deploy shop`
  const env = {
    ...startEnv,
    TARMAC_GATEWAY: http.url,
    TARMAC_TOKEN: token,
    XDG_CACHE_HOME: cache,
  }
  const child = spawn('script', ['-qefc', command, '/dev/null'], { cwd: folder, env })
  let seen = ''
  child.stdout.on('data', (chunk: Buffer) => (seen += chunk.toString()))
  const code = new Promise((resolve) => child.once('close', resolve))
  await expect.poll(() => seen, { timeout: 10_000 }).toContain('=> pending')
  const { id } = await http.play([['analyzing'], ['building'], ['deploying', { rollout: {} }]])
  await expect.poll(() => seen, { timeout: 15_000 }).toContain('=> deploying')
  child.stdin.write('\x03')
  await expect.poll(() => seen, { timeout: 15_000 }).toContain('Roll them back (y)')

  child.stdin.write('y\n')
  expect(await code).toBe(130)
  expect((await http.store.find(id))!.cancel).toMatchObject({ abort: true, why: 'interrupted' })
})

test('cancel exits 0 when it has cancelled, and 24 when the deployment had ended; it prints no log', async () => {
  await using http = await startHttp()
  const { id } = await http.create()
  const run = tarmac(http.url, ['cancel', id, '--why', 'wrong branch'])
  expect([await run.code, run.out, run.err]).toEqual([
    0,
    '',
    `tarmac: deployment ${id} of shop is cancelled\n`,
  ])
  const { problem } = (await http.store.find(id))!
  expect(problem!.detail).toMatch(/^Cancelled by operator: wrong branch\.$/)

  const again = tarmac(http.url, ['cancel', id])
  expect([await again.code, again.err]).toEqual([
    24,
    `tarmac: there is nothing to cancel: deployment ${id} of shop has ended (cancelled)\n`,
  ])
  const json = tarmac(http.url, ['cancel', id, '--json'])
  expect(await json.code).toBe(24)
  expect(lines(json.out)).toMatchObject([{ type: 'result', exitCode: 24, state: 'cancelled', id }])
})

test('an interrupt between the last byte and the answer finds the deployment and cancels it', async () => {
  const reached = Promise.withResolvers<void>()
  const gate = Promise.withResolvers<void>()
  await using http = await startHttp({
    async submit(_caller, { secrets: _secrets, ...asked }) {
      reached.resolve()
      await gate.promise
      return http.store.create({ id: 'late', ...asked })
    },
  })
  const run = tarmac(http.url, ['deploy', 'shop', '--json'])
  await reached.promise
  run.child.kill('SIGINT')
  await setTimeout(200)
  gate.resolve()
  expect(await run.code).toBe(130)
  expect(lines(run.out).at(-1)).toMatchObject({
    type: 'result',
    exitCode: 130,
    state: 'cancelled',
    id: 'late',
    text: 'Deployment late is cancelled.',
  })
})

test('a connection that breaks before the answer costs nothing when the deployment was made', async () => {
  await using http = await startHttp({
    async submit(_caller, { secrets: _secrets, ...asked }) {
      const made = await http.store.create({ id: 'made', ...asked })
      proxy.cut()
      return made
    },
  })
  await using proxy = await startProxy(http.port)
  const run = tarmac(proxy.url, ['deploy', 'shop'])
  await expect.poll(() => run.err, { timeout: 15_000 }).toContain('deployment made of shop')
  await http.play(toLive)
  expect([await run.code, run.out]).toEqual([0, 'http://shop.localhost/\n'])
})

test('many variables travel in the body, and few in the address', async () => {
  await using http = await startHttp()
  const many = Array.from({ length: 60 }, (_, n) => ['--env', `PART_${n}=${'x'.repeat(1000)}`])
  const run = tarmac(http.url, ['deploy', 'shop', '--detach', '--build', 'A=1', ...many.flat()])
  expect([await run.code, run.err]).toEqual([0, expect.stringContaining('has accepted')])
  const [made] = (await http.store.list('shop', { limit: 1, before: null })).deployments
  expect(Object.keys(made!.options.env)).toHaveLength(60)
  expect(made!.options).toMatchObject({ env: { PART_59: 'x'.repeat(1000) }, build: { A: '1' } })
  expect(http.logged.join('')).not.toContain('xxxx')
})

test('deploy without a name takes it from the config file of the folder', async () => {
  await using http = await startHttp()
  const apps: Record<string, string> = {
    'fly.toml': '\ufeffapp = "from-toml"\r\n',
    'fly.json': '{"app": "from-json"}',
    'fly.yaml': 'build: {}\napp: from-yaml\n',
  }
  for (const [file, text] of Object.entries(apps)) {
    const source = mkdtempSync(join(folder, 'app-'))
    writeFileSync(join(source, file), text)
    const run = tarmac(http.url, ['deploy', source, '--detach', '--json'])
    expect(await run.code).toBe(0)
    const app = `from-${file.replace('fly.', '')}`
    expect(lines(run.out).find(({ type }) => type === 'accepted')).toMatchObject({ app })
  }
})

test('the chosen config file names the app, and is sent whatever ignore files say', async () => {
  await using http = await startHttp()
  const source = mkdtempSync(join(folder, 'app-'))
  mkdirSync(join(source, 'ops'))
  writeFileSync(join(source, 'ops/fly.toml'), 'app = "from-ops"\n[build]\nignorefile = "ignored"\n')
  writeFileSync(join(source, 'ops/ignored'), 'ops\nlarge.bin\n')
  writeFileSync(join(source, 'large.bin'), '')
  const run = tarmac(http.url, ['deploy', source, '-c', 'ops', '--new-volumes', '--detach'])
  expect(await run.code).toBe(0)
  expect(run.err).toMatch(/^tarmac: left out by ops\/ignored: large\.bin\nsent 2 files/)
  const [made] = (await http.store.list('from-ops', { limit: 1, before: null })).deployments
  expect(made!.options).toMatchObject({ config: 'ops', 'new-volumes': true })
})

test('what is left out of the source is said before the upload, by the file that names it', async () => {
  await using http = await startHttp()
  const source = mkdtempSync(join(tmpdir(), 'tarmac-ignored-'))
  onTestFinished(() => rmSync(source, { recursive: true }))
  writeFileSync(join(source, '.gitignore'), 'dist/\n')
  writeFileSync(join(source, 'index.js'), '')
  mkdirSync(join(source, 'dist'))
  writeFileSync(join(source, 'dist/app.js'), '')
  const run = tarmac(http.url, ['deploy', 'shop', source, '--detach'])
  expect(await run.code).toBe(0)
  expect(run.err).toMatch(/^tarmac: left out by \.gitignore: dist\/\nsent 2 files/)

  const all = tarmac(http.url, ['deploy', 'shop', source, '--detach', '--include', './dist'])
  expect(await all.code).toBe(0)
  expect(all.err).toMatch(/^sent 3 files/)

  const failing = tarmac(http.url, ['deploy', 'shop', source])
  await expect.poll(() => failing.err, { timeout: 15_000 }).toContain('=> pending')
  const detail = 'The build copies "/dist", which the source does not hold.'
  const problem = new Problem('build-failed', detail).body()
  await http.play([['analyzing'], ['building'], ['build_failed', { problem }]])
  expect(await failing.code).toBe(11)
  expect(failing.err).toMatch(
    /\nNext: [^\n]+\ntarmac: dist\/ was left out by \.gitignore\. If the build needs it, send it with --include dist, [^\n]+\n$/,
  )
})

test('a broken connection resumes silently after the last event, and the verdict comes from the record', async () => {
  await using http = await startHttp()
  await using proxy = await startProxy(http.port)
  const run = tarmac(proxy.url, ['deploy', 'shop', '--json'])
  await expect.poll(() => run.out, { timeout: 15_000 }).toContain('"pending"')

  proxy.cut()
  const { more, holder } = await http.play([['analyzing'], ['building']])
  await expect.poll(() => run.out, { timeout: 15_000 }).toContain('"building"')
  proxy.cut()
  await more({ type: 'log', step: null, stream: 'stdout', text: 'between' })
  await http.store.advance(holder, 'building', 'pushing')
  await http.store.advance(holder, 'pushing', 'deploying')
  await http.store.advance(holder, 'deploying', 'verifying')
  await http.store.advance(holder, 'verifying', 'live', { url: 'http://shop.localhost/' })
  expect(await run.code).toBe(0)

  const seen = lines(run.out).flatMap(({ seq }) => seq ?? [])
  expect(seen).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9])
  expect(run.out).not.toContain('"type":"client"')
  expect(lines(run.out).at(-1)).toMatchObject({ type: 'result', state: 'live' })
})

test('the bundle is one file that runs without anything else', () => {
  const root = join(import.meta.dirname, '../..')
  const bundle = execFileSync(process.execPath, [join(root, 'client/bundle.ts')], {
    encoding: 'utf8',
  }).trim()
  copyFileSync(bundle, join(folder, 'tarmac'))
  expect(execFileSync(join(folder, 'tarmac'), ['--version'], { encoding: 'utf8' })).toMatch(
    /^\d+\.\d+\.\d+\n$/,
  )
})

test('retry follows a new deployment of the same source', async () => {
  await using http = await startHttp()
  const { id } = await http.create()
  const run = tarmac(http.url, ['retry', id])
  await expect
    .poll(async () => (await http.store.find(id))!.state, { timeout: 15_000 })
    .toBe('superseded')
  await http.play(toLive)
  expect([await run.code, run.out]).toEqual([0, 'http://shop.localhost/\n'])
})

test('retry builds again with what is cached, or without, or not at all', async () => {
  const asked: object[] = []
  await using http = await startHttp({
    async retry(_caller, id, { reuseImage, rebuild }) {
      asked.push({ reuseImage, rebuild })
      throw new Problem('source-gone', `The source of deployment ${id} is no longer kept.`)
    },
  })
  const { id } = await http.create()
  for (const flags of [[], ['--rebuild'], ['--reuse-image']])
    await tarmac(http.url, ['retry', id, ...flags]).code
  expect(asked).toEqual([
    { reuseImage: false },
    { reuseImage: false, rebuild: true },
    { reuseImage: true },
  ])
})

test('follow shows the requested event types or steps', async () => {
  await using http = await startHttp()
  await http.create()
  const { id } = await http.play(toLive)
  const states = tarmac(http.url, ['follow', id, '--only', 'state', '--json'])
  const step = tarmac(http.url, ['follow', id, '--step', 'npm', '--json'])
  const unknown = tarmac(http.url, ['follow', id, '--only', 'nonsense'])
  expect([await states.code, await step.code, await unknown.code]).toEqual([0, 0, 1])

  const types = ({ out }: Run) => lines(out).map(({ type }) => type)
  expect(types(states)).toEqual([...Array<string>(8).fill('state'), 'result'])
  expect(types(step)).toEqual(['step', 'log', 'result'])
  expect(unknown.err).toContain('It knows state, step, log,')
})

test('secrets come from the environment and from files, and travel with the source, never in a URL', async () => {
  await using http = await startHttp()
  writeFileSync(join(folder, 'key.pem'), 'line 1\r\nline 2 “ü”\n')
  const args = [
    'deploy',
    'shop',
    folder,
    '--secret',
    'NPM_TOKEN',
    '--secret',
    'KEY=@key.pem',
    '--env',
    'A=1',
  ]
  const run = tarmac(http.url, args, { TARMAC_TOKEN: token, NPM_TOKEN: 'a-very-secret-token' })
  const list = async () => (await http.store.list('shop', { limit: 1, before: null })).deployments
  await expect.poll(list, { timeout: 15_000 }).toHaveLength(1)
  const [deployment] = await list()
  const opened = await http.vault.open(deployment!)
  expect(Array.from(opened, ([name, value]) => [name, Buffer.from(value).toString()])).toEqual([
    ['KEY', 'line 1\r\nline 2 “ü”\n'],
    ['NPM_TOKEN', 'a-very-secret-token'],
  ])

  await http.play(toLive)
  expect(await run.code).toBe(0)
  expect(deployment).toMatchObject({ options: { env: { A: '1' } } })
  expect(http.logged.join('') + run.out + run.err).not.toContain('a-very-secret-token')
})

test('a request that makes a deployment is sent again with its key when the connection breaks', async () => {
  const made: (string | null)[] = []
  await using http = await startHttp({
    async rollback(_caller, { app, options, idempotencyKey }) {
      made.push(idempotencyKey)
      const source = { digest: 'sha256:aa', files: 1, sizeBytes: 2 }
      const id = `back-${made.length}`
      const deployment = await http.store.create({ id, app, options, source, idempotencyKey })
      if (made.length === 1) proxy.cut()
      return deployment
    },
  })
  await using proxy = await startProxy(http.port)
  const run = tarmac(proxy.url, ['rollback', 'shop'])
  await expect.poll(() => run.err, { timeout: 15_000 }).toContain('=> pending')
  await http.play(toLive)
  expect(await run.code).toBe(0)
  expect(made).toEqual([made[0], made[0]])
  expect((await http.store.list('shop', { limit: 9, before: null })).deployments).toHaveLength(1)
})
