import { execFileSync } from 'node:child_process'
import { hash, randomUUID } from 'node:crypto'
import { subscribe } from 'node:diagnostics_channel'
import { once } from 'node:events'
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import {
  createServer,
  request,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import type { NewEvent } from '../../api/event.ts'
import { Problem } from '../../api/problem.ts'
import type { Build, SolveOptions } from '../../gateway/src/buildkit/build.ts'
import { Buildkit } from '../../gateway/src/buildkit/client.ts'
import type { Context } from '../../gateway/src/buildkit/context/context-server.ts'
import { readDockerfile } from '../../gateway/src/buildkit/dockerfile.ts'
import { copy, exec, http, image as from, marshal, scratch } from '../../gateway/src/llb/graph.ts'
import { startBuildkitd } from '../../lab/parts/buildkitd.ts'
import { startRegistry } from '../../lab/parts/registry.ts'
import { treeOf } from '../gateway/buildkit/tree-of.ts'

const registryPort = 5531
const frontPort = 5530
const host = `127.0.0.1:${frontPort}`
const open = new AsyncDisposableStack()
let dir: string
let buildkit: Buildkit
let busybox: Buffer
/** The status that the registry answers every request with. 0 means it works. */
const front = { refuse: 0 }
/** The status of each answer of the context listener, by method. */
const contextAnswers: string[] = []
subscribe('http.server.response.finish', (finished) => {
  const { request, response } = finished as { request: IncomingMessage; response: ServerResponse }
  if (request.url?.endsWith('/context.tar'))
    contextAnswers.push(`${request.method} ${response.statusCode}`)
})

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'tarmac-buildkit-'))
  open.defer(() => rm(dir, { recursive: true, force: true }))
  open.use(await startRegistry({ dir, port: registryPort, images: true }))
  const { address } = open.use(
    await startBuildkitd({ dir, registryPort, plainHttpPorts: [frontPort] }),
  )
  const server = await startFront()
  open.defer(() => void server.close())
  buildkit = open.use(
    await Buildkit.open({
      address,
      contextPort: 5532,
      key: Buffer.from('key'),
      loginFor: (_app, asked) => (asked === host ? { user: 'x', secret: 'token' } : null),
      images: {
        allowed: ['127.0.0.1:5599', 'docker.io'],
        frontends: [],
        own: host,
        refreshMs: 60_000,
      },
    }),
  )
  busybox = await fetchBusybox()
})
afterAll(() => open.disposeAsync())
beforeEach(() => void (front.refuse = 0))

/**
 * The only program in the test's images. Its arguments make it print, count, sleep, show or exit.
 */
const program = `#!/busybox sh
while [ $# -gt 0 ]; do
  case $1 in
    say) echo "$2" ;;
    env) eval "echo \\$$2" ;;
    count) for i in $(/busybox seq $2); do echo line $i; done ;;
    sleep) /busybox sleep $2 ;;
    show) [ ! -e $2 ] || /busybox cat $2 ;;
    exit) exit $2 ;;
  esac
  shift 2
done
`

/** Takes busybox from the lab's stand-in for alpine. */
async function fetchBusybox(): Promise<Buffer> {
  const alpine = `http://127.0.0.1:${registryPort}/v2/library/alpine`
  const headers = { accept: 'application/vnd.oci.image.manifest.v1+json' }
  const manifest = await (await fetch(`${alpine}/manifests/latest`, { headers })).json()
  const [{ digest }] = (manifest as { layers: [{ digest: string }] }).layers
  const layer = Buffer.from(await (await fetch(`${alpine}/blobs/${digest}`)).arrayBuffer())
  return execFileSync('tar', ['xzO', 'bin/busybox'], { input: layer, maxBuffer: 16 << 20 })
}

async function until<T>(check: () => Promise<T>): Promise<T> {
  for (let tries = 0; ; tries++) {
    try {
      return await check()
    } catch (error) {
      if (tries === 50) throw error
      await wait(200)
    }
  }
}

/** A registry like Fly's: it requires a name and a token, and can refuse. */
async function startFront(): Promise<Server> {
  const server = createServer((asked, answer) => {
    if (front.refuse > 0) return void answer.writeHead(front.refuse).end()
    if (asked.headers.authorization !== `Basic ${btoa('x:token')}`) {
      return void answer.writeHead(401, { 'www-authenticate': 'Basic realm="fly"' }).end()
    }
    const { method, url: path, headers } = asked
    const onward = request(
      { port: registryPort, host: '127.0.0.1', method, path, headers },
      (given) => {
        answer.writeHead(given.statusCode ?? 500, given.headers)
        given.pipe(answer)
      },
    )
    asked.pipe(onward)
  }).listen(frontPort, '127.0.0.1')
  await once(server, 'listening')
  return server
}

/** Writes an app's source into its own folder: the program and these files. */
async function source(files: Record<string, string>) {
  const root = join(dir, randomUUID())
  await mkdir(join(root, 'lib'), { recursive: true })
  await writeFile(join(root, 'step'), program, { mode: 0o755 })
  await writeFile(join(root, 'busybox'), busybox, { mode: 0o755 })
  for (const [path, text] of Object.entries(files)) await writeFile(join(root, path), text)
  return treeOf(root)
}
/** Builds a source with a Dockerfile. */
async function dockerfileBuild(
  files: Record<string, string>,
  buildArgs: Record<string, string> = {},
) {
  const tree = await source(files)
  const dockerfile = await readDockerfile(tree, 'Dockerfile')
  const context = buildkit.serveContext('app', tree, dockerfile)
  return {
    dockerfile,
    target: null,
    buildArgs,
    platform: 'linux/amd64',
    cacheKey: 'k',
    context,
    root: tree.root,
    [Symbol.dispose]: () => context[Symbol.dispose](),
  }
}
const dockerfile = (...lines: string[]) =>
  ['FROM scratch', 'COPY step busybox /', ...lines].join('\n')
const run = (...args: string[]) => `RUN ${JSON.stringify(['/step', ...args])}`

function solve(
  build: Build,
  more: Partial<SolveOptions> = {},
  signal = AbortSignal.timeout(30_000),
) {
  const events: NewEvent[] = []
  const options: SolveOptions = {
    ref: randomUUID(),
    app: 'app',
    names: [`${host}/app:one`],
    labels: {},
    secrets: new Map(),
    rebuild: false,
    cache: null,
    emit: (event) => events.push(event),
    pushing: () => events.push({ type: 'note', text: 'pushing' }),
    ...more,
  }
  return { events, solved: buildkit.solve(build, options, signal) }
}
async function problemOf(solved: Promise<unknown>): Promise<Problem> {
  const error = await solved.then(
    () => null,
    (error: unknown) => error,
  )
  if (!(error instanceof Problem)) throw new Error('it was no Problem', { cause: error })
  return error
}
const logText = (events: NewEvent[]) =>
  events.flatMap((event) => (event.type === 'log' ? event.text.split('\n') : [])).join('\n')
const statuses = (events: NewEvent[]) =>
  events.flatMap((event) => (event.type === 'step' ? [event.status] : []))

async function manifestOf(tag: string) {
  const headers = {
    accept: 'application/vnd.oci.image.manifest.v1+json',
    authorization: `Basic ${btoa('x:token')}`,
  }
  const answer = await fetch(`http://${host}/v2/app/manifests/${tag}`, { headers })
  const { config } = (await answer.json()) as { config: { digest: string } }
  const image = await fetch(`http://${host}/v2/app/blobs/${config.digest}`, { headers })
  const { config: settings } = (await image.json()) as {
    config: { Labels: object; Env?: string[]; Cmd?: string[] }
  }
  return { digest: answer.headers.get('docker-content-digest'), settings }
}

test('a Dockerfile becomes an image in a registry with a login; a second build sends nothing', async () => {
  const lines = [
    'ARG WHAT',
    'COPY . /all',
    run('say', 'hello', 'env', 'WHAT'),
    run('show', '/all/left.out'),
  ]
  using build = await dockerfileBuild(
    {
      Dockerfile: `# syntax=docker/dockerfile:1\n${dockerfile(...lines)}`,
      '.dockerignore': '*\n!step\n!busybox\n',
      'left.out': 'must not show',
    },
    { WHAT: 'world' },
  )
  const first = solve(build, {
    names: [`${host}/app:one`, `${host}/app:two`],
    labels: { source: 'abc' },
  })
  const { digest, stats } = await first.solved
  expect(stats).toEqual({ steps: 5, cached: 0, run: 5 })
  expect(logText(first.events)).toBe('hello\nworld')
  expect(await manifestOf('one')).toEqual({
    digest,
    settings: expect.objectContaining({ Labels: { source: 'abc' } }),
  })
  expect((await manifestOf('two')).digest).toBe(digest)

  const pushing = first.events.findIndex((event) => event.type === 'note')
  expect(
    statuses(first.events.slice(0, pushing)).filter((status) => status === 'done').length,
  ).toBeGreaterThan(4)

  contextAnswers.length = 0
  const second = solve(build, { labels: { source: 'abc' } })
  expect(await second.solved).toMatchObject({ digest, stats: { steps: 5, cached: 5, run: 0 } })
  expect(new Set(statuses(second.events))).toEqual(new Set(['cached', 'started', 'done']))
  expect(contextAnswers).toEqual(['HEAD 304'])
})

test('an ignored Dockerfile is not in the context, and a change of it leaves the copies cached', async () => {
  const text = (word: string) => {
    const shown = ['show', '/all/Dockerfile', 'show', '/all/.dockerignore', 'show', '/all/lib/a']
    return dockerfile('COPY . /all', run(...shown, 'say', word))
  }
  const build = (word: string) =>
    dockerfileBuild({
      Dockerfile: text(word),
      '.dockerignore': 'Dockerfile\n.dockerignore\n',
      'lib/a': 'kept',
    })

  using first = await build('one')
  const before = solve(first)
  await before.solved
  expect(logText(before.events)).toBe('keptone')

  using second = await build('two')
  const after = solve(second)
  await after.solved
  expect(logText(after.events)).toBe('kepttwo')
  const copied = { type: 'step', status: 'cached', name: expect.stringContaining('COPY . /all') }
  expect(after.events).toContainEqual(expect.objectContaining(copied))
})

test('a source is built whatever its first names are, and its links arrive as they are', async () => {
  const name = '1. Einführung.md'
  const tree = await source({
    Dockerfile: dockerfile('COPY . /all', run('show', '/all/docs/link')),
    [name]: 'read',
  })
  await mkdir(join(tree.root, 'docs'))
  const links = { '0 absolute': '/usr/bin/python3', 'docs/link': '../lib/../1. Einführung.md' }
  for (const [path, target] of Object.entries(links)) await symlink(target, join(tree.root, path))
  const whole = treeOf(tree.root)
  const read = await readDockerfile(whole, 'Dockerfile')
  using context = buildkit.serveContext('app', whole, read)
  const more = { target: null, buildArgs: {}, platform: 'linux/amd64', cacheKey: 'k' }
  const { events, solved } = solve({ dockerfile: read, context, ...more })
  await solved
  expect(logText(events)).toBe('read')
})

test('a push with a wrong token, to an unknown app, or to a failing registry names the cause', async () => {
  using build = await dockerfileBuild({ Dockerfile: dockerfile() })
  const codes: [number, string][] = [
    [401, 'registry-denied'],
    [403, 'registry-denied'],
    [404, 'registry-unavailable'],
    [429, 'registry-unavailable'],
  ]
  for (const [status, code] of codes) {
    front.refuse = status
    expect([
      status,
      (await problemOf(solve(build, { names: [`${host}/${status}:a`] }).solved)).code,
    ]).toEqual([status, code])
  }
})

test('a failed step is reported with its exit code, its last lines and its position in the Dockerfile', async () => {
  using build = await dockerfileBuild({ Dockerfile: dockerfile(run('count', '30', 'exit', '7')) })
  const { solved, events } = solve(build)
  const problem = await problemOf(solved)
  expect(problem.body()).toMatchObject({
    code: 'build-failed',
    detail: expect.stringContaining('ended with exit code 7'),
    step: `[2/2] ${run('count', '30', 'exit', '7')}`,
    exitCode: 7,
    source: { file: 'Dockerfile', line: 3, text: run('count', '30', 'exit', '7') },
  })
  expect(statuses(events).at(-1)).toBe('failed')
})

test.each([
  ['FROM scratch\nCOPPY a b', 'build-failed', { source: { line: 2 } }],
  [
    'FROM scratch\nCOPY missing /',
    'build-failed',
    { detail: expect.stringContaining('"/missing"') },
  ],
  [`FROM ${host}/app:none\nCOPY step /`, 'image-not-found', { image: `${host}/app:none` }],
  [
    'FROM 127.0.0.1:5599/nobody:1\nCOPY step /',
    'registry-unavailable',
    { image: '127.0.0.1:5599/nobody:1' },
  ],
])('%j is %s', async (text, code, facts) => {
  using build = await dockerfileBuild({ Dockerfile: text })
  const problem = await problemOf(solve(build).solved)
  expect(problem.body()).toMatchObject({ code, ...facts })
  expect(problem.message).not.toContain(build.context.url)
})

test('a large file of the source is not in the archive, and is in the build as it was sent', async () => {
  const large = 'large'.repeat(7 * 1024 ** 2)
  const name = 'a large ä.bin'
  const check = `/busybox sha256sum "/src/${name}"; /busybox stat -c "%a %u %s" "/src/${name}"; /busybox ls /src`
  const text = dockerfile('COPY . /src', `RUN ["/busybox", "sh", "-c", ${JSON.stringify(check)}]`)
  using build = await dockerfileBuild({ Dockerfile: text, [name]: large, small: 'small' })
  expect(build.context.large.map(({ file }) => file.path)).toEqual([name])
  const { solved, events } = solve(build)
  await solved
  expect(logText(events)).toContain(hash('sha256', large))
  expect(logText(events)).toContain(`644 0 ${large.length}`)
  expect(logText(events)).toMatch(/a large ä\.bin[^]*busybox[^]*small/)
  expect(JSON.stringify(events)).not.toContain(build.context.url)
})

test('a cancel stops the running step with the given reason', async () => {
  using build = await dockerfileBuild({
    Dockerfile: dockerfile(run('say', 'sleeping', 'sleep', '987654')),
  })
  const cancel = new AbortController()
  const { solved, events } = solve(build, {}, cancel.signal)
  const failure = problemOf(solved)
  await until(async () => expect(logText(events)).toContain('sleeping'))
  cancel.abort(new Problem('cancelled', 'Asked for.'))
  expect((await failure).code).toBe('cancelled')

  await until(async () =>
    expect(() => execFileSync('pgrep', ['-f', 'sleep 987654'])).toThrow('Command failed'),
  )
})

test('a file that changes during the build makes no image', async () => {
  using build = await dockerfileBuild({ Dockerfile: dockerfile(), 'lib/a': 'before' })
  await writeFile(join(build.root, 'lib/a'), 'beforE')
  const problem = await problemOf(solve(build).solved)
  expect(problem.body()).toMatchObject({ code: 'source-changed', path: 'lib/a', retry: true })
})

test('a large file that changes during the build makes no image', async () => {
  const large = 'large'.repeat(7 * 1024 ** 2)
  using build = await dockerfileBuild({ Dockerfile: dockerfile('COPY . /src'), 'a ä.bin': large })
  await writeFile(join(build.root, 'a ä.bin'), large.replace(/e$/, 'E'))
  const problem = await problemOf(solve(build).solved)
  expect(problem.body()).toMatchObject({ code: 'source-changed', path: 'a ä.bin', retry: true })
})

test('a compiled graph is built, sees its secrets, carries its configuration, and runs again on request', async () => {
  const tree = await source({ 'lib/a': 'text' })
  using context = buildkit.serveContext('app', tree, { ignore: [] })
  const build = { definition: graph(context), image, context }
  const more = { secrets: new Map([['TOKEN', 'open sesame']]), labels: { source: 'abc' } }
  const first = solve(build, more)
  const { digest } = await first.solved
  expect(logText(first.events)).toBe('text\nopen sesame')
  expect(await manifestOf('one')).toEqual({
    digest,
    settings: expect.objectContaining({ Cmd: ['/step'], Labels: { kept: 'yes', source: 'abc' } }),
  })
  expect((await solve(build, more).solved).stats.run).toBe(0)

  const refresh = { ...build, definition: graph(context, true) }
  const again = solve(refresh, more)
  expect((await again.solved).stats.run).toBe(1)
  expect(logText(again.events)).toBe('text\nopen sesame')

  const without = await problemOf(solve(refresh).solved)
  expect(without.body()).toMatchObject({
    code: 'build-failed',
    detail: expect.stringContaining('needs the secret TOKEN, which is not set'),
  })
})

test('a graph whose base image is missing names it', async () => {
  const definition = marshal(from(`${host}/app:none`, {}))
  const problem = await problemOf(solve({ definition, image, context: null }).solved)
  expect(problem.body()).toMatchObject({ code: 'image-not-found', image: `${host}/app:none` })
})

test('an unavailable daemon is not the fault of the source', async () => {
  await using nobody = await Buildkit.open({
    address: `unix://${dir}/nobody.sock`,
    contextPort: 0,
    key: Buffer.from('key'),
    loginFor: () => null,
    images: { allowed: [], frontends: [], own: host, refreshMs: 0 },
  })
  expect((await problemOf(nobody.info(AbortSignal.timeout(5000)))).code).toBe(
    'buildkit-unavailable',
  )
  expect((await buildkit.info(AbortSignal.timeout(1000))).version).toMatch(/^v/)

  const options = {
    ref: randomUUID(),
    app: 'app',
    names: [],
    labels: {},
    secrets: new Map(),
    rebuild: false,
    cache: null,
    emit() {},
    pushing() {},
  }
  const definition = marshal(from('docker.io/a/b', {}))
  const solved = nobody.solve(
    { definition, image, context: null },
    options,
    AbortSignal.timeout(5000),
  )
  expect((await problemOf(solved)).code).toBe('buildkit-unavailable')
})

const image = {
  architecture: 'amd64',
  os: 'linux',
  config: { Cmd: ['/step'], Labels: { kept: 'yes' } },
}

/** Unpacks the context into a root, and runs the program there with a secret. */
function graph({ url, filename }: Context, ignoreCache = false): Uint8Array {
  const options = { src: `/${filename}`, dest: '/', attemptUnpackDockerCompatibility: true }
  const root = copy(scratch, http(url, { filename }, '[internal] load the source'), options)
  const args = ['/step', 'show', '/lib/a', 'say', '', 'env', 'TOKEN']
  const platform = { OS: 'linux', Architecture: 'amd64' }
  return marshal(exec(root, { args, cwd: '/', secrets: ['TOKEN'], platform }), { ignoreCache })
}
