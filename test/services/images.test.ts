import { execFileSync } from 'node:child_process'
import { randomBytes, randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer, request, type IncomingMessage, type ServerResponse } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import type { NewEvent } from '../../api/event.ts'
import { DeploymentOptions } from '../../api/options.ts'
import { Problem } from '../../api/problem.ts'
import { buildImage } from '../../gateway/src/build/build-image.ts'
import { checkPlatforms } from '../../gateway/src/build/platforms.ts'
import type { SolveOptions } from '../../gateway/src/buildkit/build.ts'
import { Buildkit } from '../../gateway/src/buildkit/client.ts'
import { DiskWatch } from '../../gateway/src/host/disk/disk-watch.ts'
import { http, marshal } from '../../gateway/src/llb/graph.ts'
import { openLog } from '../../gateway/src/log.ts'
import { noMirror } from '../../gateway/src/mirror/mirror.ts'
import { Logins } from '../../gateway/src/registries/logins.ts'
import { Registries } from '../../gateway/src/registries/registries.ts'
import { digestOf, Registry } from '../../gateway/src/registry/registry.ts'
import { SealingKeys } from '../../gateway/src/secrets/sealing.ts'
import { openSqliteStore } from '../../gateway/src/store/sqlite.ts'
import { startBuildkitd } from '../../lab/parts/buildkitd.ts'
import { startRegistry } from '../../lab/parts/registry.ts'
import { tools } from '../../lab/ready.ts'
import { treeOf } from '../gateway/buildkit/tree-of.ts'

const [registryPort, ownPort, privatePort, insidePort] = [5541, 5542, 5543, 5544]
const own = `127.0.0.1:${ownPort}`
const privateHost = `127.0.0.1:${privatePort}`
const open = new AsyncDisposableStack()
const store = open.use(openSqliteStore(':memory:'))
let dir: string
let buildkit: Buildkit
let registry: Registry
let socket: string

/** Breaks the next requests to the apps' registry. True means that it has answered this one. */
let mischief: (request: IncomingMessage, response: ServerResponse) => boolean = () => false
/** The logins that each registry saw, by port. */
const logins = new Map<number, Set<string>>()
/** The requests that reached the server that no build may reach. */
const intruders: string[] = []

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'tarmac-images-'))
  open.defer(() => rm(dir, { recursive: true, force: true }))
  open.use(await startRegistry({ dir, port: registryPort, images: true }))
  socket = open.use(
    await startBuildkitd({ dir, registryPort, plainHttpPorts: [ownPort, privatePort] }),
  ).address
  await front(ownPort, 'x:token', (asked, answer) => mischief(asked, answer))
  await front(privatePort, 'me:private', () => false)
  await listen(
    insidePort,
    (asked, answer) => void (intruders.push(asked.url ?? ''), answer.end('secret')),
  )
  buildkit = open.use(
    await Buildkit.open({
      address: socket,
      contextPort: 5545,
      key: Buffer.from('key'),
      loginFor: (await storedLogins()).loginFor,
      images: {
        allowed: ['docker.io', 'ghcr.io', privateHost],
        frontends: ['docker.io/docker/dockerfile'],
        own,
        refreshMs: 60_000,
      },
      mirrors: {
        'docker.io': [`127.0.0.1:${registryPort}`],
        'ghcr.io': [`127.0.0.1:${registryPort}`],
      },
    }),
  )
  registry = open.use(
    new Registry({ host: own, login: { username: 'x', password: 'token' }, insecure: true }),
  )
})
afterAll(() => open.disposeAsync())
beforeEach(() => void (mischief = () => false))

/** The team of the app `friend` has a login for one folder of the private registry. */
async function storedLogins(): Promise<Logins> {
  const sealing = new SealingKeys(randomBytes(32))
  const teamOf = (app: string) => (app === 'friend' ? 'friends' : 'default')
  const log = openLog('silent')
  const registries = await Registries.open({ store: store.registries, sealing, teamOf, log })
  const facts = { createdAt: '', createdBy: '', rotatedAt: null, lastTest: null, lastUsedAt: null }
  for (const [prefix, password] of [
    ['library', 'private'],
    ['other', 'wrong'],
  ] as const) {
    const at = { id: prefix, host: privateHost, prefix }
    const sealed = registries.seal(at, password)
    await registries.add({ ...at, ...facts, team: 'friends', username: 'me', password: sealed })
  }
  const [dockerConfig, mirror] = ['', { origin: 'off' }]
  const logins = new Logins({ registry: own, dockerConfig, mirror, secrets: { fly: 'token' } })
  logins.use(registries)
  return logins
}

async function listen(
  port: number,
  answer: (request: IncomingMessage, response: ServerResponse) => void,
) {
  const server = createServer(answer).listen(port, '127.0.0.1')
  await once(server, 'listening')
  open.defer(() => void server.close())
}

/** Starts the lab's registry behind a login. */
async function front(port: number, login: string, before: typeof mischief) {
  const seen = new Set<string>()
  logins.set(port, seen)
  await listen(port, (asked, answer) => {
    const { method, url: path, headers } = asked
    if (headers.authorization) seen.add(headers.authorization)
    if (headers.authorization !== `Basic ${btoa(login)}`)
      return void answer.writeHead(401, { 'www-authenticate': 'Basic realm="lab"' }).end()
    if (before(asked, answer)) return
    const onward = request(
      { port: registryPort, host: '127.0.0.1', method, path, headers },
      (given) => {
        answer.writeHead(given.statusCode ?? 500, given.headers)
        given.pipe(answer)
      },
    )
    asked.pipe(onward)
  })
}

async function source(files: Record<string, string>) {
  const root = join(dir, randomUUID())
  await mkdir(root)
  for (const [path, text] of Object.entries(files)) await writeFile(join(root, path), text)
  return treeOf(root)
}

let born = 0
/**
 * Builds a source as the pipeline does, with its Dockerfile or this plan, and keeps the record as
 * the store would.
 */
async function build(
  files: Record<string, string> | string,
  given: Partial<DeploymentOptions> = {},
  app = 'shop',
  { registryCache = '', planText = '' } = {},
) {
  const tree = await source(typeof files === 'string' ? { Dockerfile: files } : files)
  const options = DeploymentOptions.parse({ deploy: false, dockerfile: 'Dockerfile', ...given })
  const { id } = await store.create({ id: `d${++born}`, app, options, source: tree })
  const claim = (await store.claim())!
  const notes: string[] = []
  const emit = (event: NewEvent) => {
    if (event.type === 'note') notes.push(event.text)
    if (event.type === 'log') notes.push(...event.text.split('\n'))
  }
  const facts = {
    reason: '',
    planner: 'none',
    provider: null,
    versions: {},
    startCommand: null,
  } as const
  const holder = { id, epoch: claim.epoch }
  const settings = { registryHost: own, registryCache, key: Buffer.from('key') }
  try {
    await store.advance(holder, 'fetching', 'analyzing')
    await store.advance(holder, 'analyzing', 'building')
    const mark = { bytes: 0 }
    const none = () => Promise.resolve()
    const watched = {
      folder: dir,
      low: mark,
      high: mark,
      makeRoom: none,
      makeMoreRoom: none,
      log: openLog('silent'),
    }
    await using disk = await DiskWatch.open(watched)
    const mirror = noMirror('Not in this test.')
    const built = await buildImage({ buildkit, registry, mirror, store, disk }, settings, {
      deployment: claim.deployment,
      secrets: new Map(),
      tree,
      plan: planText
        ? { builder: 'railpack', planText, facts: { ...facts, builder: 'railpack' } }
        : {
            builder: 'dockerfile',
            dockerfile: options.dockerfile!,
            facts: { ...facts, builder: 'dockerfile' },
          },
      flyBuild: { args: {} },
      pushing() {},
      emit,
      signal: AbortSignal.timeout(60_000),
    })
    await store.advance(holder, 'building', 'built', built)
    return { id, notes, ...built }
  } catch (error) {
    await store.advance(holder, 'building', 'cancelled')
    throw error
  }
}
const problemOf = (work: Promise<unknown>) =>
  work.then(
    () => expect.unreachable('it should have failed'),
    (error: unknown) => (error instanceof Problem ? error.body() : Promise.reject(error)),
  )
const from = (...lines: string[]) => ['FROM alpine', ...lines].join('\n')
/** Reads what the registry holds under a tag or a digest. */
async function held(reference: string, kind = 'manifests', app = 'shop') {
  const accept = ['image.manifest', 'image.index']
    .map((type) => `application/vnd.oci.${type}.v1+json`)
    .join(', ')
  const answer = await fetch(`http://127.0.0.1:${registryPort}/v2/${app}/${kind}/${reference}`, {
    headers: { accept },
  })
  expect([reference, answer.status]).toEqual([reference, 200])
  return (await answer.json()) as Record<string, never> & {
    config: { digest: string }
    manifests: object[]
  }
}

const registryDigest = (repository: string, tag: string) =>
  new Registry({ host: `127.0.0.1:${registryPort}`, login: null, insecure: true }).manifest(
    repository,
    tag,
    AbortSignal.timeout(5000),
  )

/** Pushes an image without layers and with this configuration, as anybody may do elsewhere. */
async function pushConfig(repository: string, config: string): Promise<string> {
  const at = `http://127.0.0.1:${registryPort}/v2/${repository}`
  const digest = digestOf(Buffer.from(config))
  const upload = await fetch(`${at}/blobs/uploads/`, { method: 'POST' })
  const place = new URL(upload.headers.get('location')!, at)
  place.searchParams.set('digest', digest)
  expect((await fetch(place, { method: 'PUT', body: config })).status).toBe(201)

  const mediaType = 'application/vnd.oci.image.manifest.v1+json'
  const parts = {
    mediaType: 'application/vnd.oci.image.config.v1+json',
    digest,
    size: config.length,
  }
  const manifest = JSON.stringify({ schemaVersion: 2, mediaType, config: parts, layers: [] })
  const put = { method: 'PUT', body: manifest, headers: { 'content-type': mediaType } }
  expect((await fetch(`${at}/manifests/${digestOf(Buffer.from(manifest))}`, put)).status).toBe(201)
  return digestOf(Buffer.from(manifest))
}

test.each([
  'FROM scratch',
  'FROM scratch\nCMD ["/x"]',
  'FROM scratch\nLABEL a=b\nEXPOSE 80\nENV A=b',
  'FROM scratch AS full\nCOPY Dockerfile /\nFROM scratch',
])('%j, which makes an image without files, is refused for that reason', async (text) => {
  for (const given of [{}, { platform: 'linux/amd64' }, { platform: 'linux/amd64', rebuild: true }])
    expect(await problemOf(build(text, given))).toMatchObject({
      code: 'image-unusable',
      fault: 'source',
      detail: expect.stringContaining('no files'),
    })
})

test('an image of one small file, or of an empty folder, is accepted after an image without files', async () => {
  await problemOf(build('FROM scratch\nCMD ["/x"]'))
  for (const line of ['COPY Dockerfile /', 'WORKDIR /x'])
    expect((await build(`FROM scratch\n${line}`)).notes.at(-1)).toContain('image 0.0 MB')
})

test.each([
  [
    'a Dockerfile of more than 1 MiB',
    { Dockerfile: `FROM alpine\n${'# x\n'.repeat(300_000)}` },
    'Dockerfile',
  ],
  [
    'an ignore file of more than 1 MiB',
    { '.dockerignore': 'x\n'.repeat(600_000) },
    '.dockerignore',
  ],
  [
    'its own ignore file of more than 1 MiB',
    { 'Dockerfile.dockerignore': 'x\n'.repeat(600_000) },
    'Dockerfile.dockerignore',
  ],
])('%s is refused', async (_, files, file) => {
  expect(await problemOf(build({ Dockerfile: 'FROM alpine', ...files }))).toMatchObject({
    code: 'source-file-too-large',
    file,
    limitBytes: 2 ** 20,
  })
})

test.each([
  ['FROM localhost:5541/library/alpine', 'localhost:5541/library/alpine:latest'],
  ['FROM 127.0.0.1:5541/library/alpine', '127.0.0.1:5541/library/alpine:latest'],
  ['FROM 10.0.0.5/library/alpine:1', '10.0.0.5/library/alpine:1'],
  ['FROM 169.254.169.254/latest/meta-data', '169.254.169.254/latest/meta-data:latest'],
  ['FROM [fdaa::3]:5000/shop:1', '[fdaa::3]:5000/shop:1'],
  ['FROM shop.internal:5000/shop:1', 'shop.internal:5000/shop:1'],
  ['FROM quay.io/not/listed:1', 'quay.io/not/listed:1'],
  [`FROM ${own}/other:1`, `${own}/other:1`],
  [`FROM ${own}/other@sha256:${'a'.repeat(64)}`, `${own}/other@sha256:${'a'.repeat(64)}`],
  [
    'FROM scratch\nCOPY --from=localhost:5541/library/alpine /bin /bin',
    'localhost:5541/library/alpine:latest',
  ],
  [
    from('RUN --mount=type=bind,from=localhost:5541/library/alpine,target=/x true'),
    'localhost:5541/library/alpine:latest',
  ],
  ['# syntax=localhost:5541/frontend:1\nFROM alpine', 'localhost:5541/frontend:1'],
  ['# syntax=docker/dockerfile-upstream:master\nFROM alpine', 'docker/dockerfile-upstream:master'],
])('%j is refused before any request', async (text, image) => {
  expect(await problemOf(build(text))).toMatchObject({
    code: 'image-forbidden',
    image,
    status: 422,
  })
})

test.each([
  [`ADD http://127.0.0.1:${insidePort}/add /`, `http://127.0.0.1:${insidePort}/add`],
  ['ADD http://_api.internal:4280/v1/apps /', 'http://_api.internal:4280/v1/apps'],
  ['ADD https://example.com/a.tar /', 'https://example.com/a.tar'],
  ['ADD https://github.com/acme/x.git /', 'git://github.com/acme/x.git'],
  [`ADD http://127.0.0.1:${insidePort}/x.git /`, `git://127.0.0.1:${insidePort}/x.git`],
])(
  '%j is refused: the daemon fetches nothing on the builder’s own network',
  async (line, fetched) => {
    expect(await problemOf(build(from(line)))).toMatchObject({
      code: 'image-forbidden',
      source: expect.stringContaining(fetched),
    })
    expect(intruders).toEqual([])
  },
)

test.each([
  'local://context',
  'git://127.0.0.1/x.git',
  'oci-layout://local/x@sha256:aa',
  `http://127.0.0.1:${insidePort}/`,
])('a graph that reads %s is refused', async (identifier) => {
  const options: SolveOptions = {
    ref: randomUUID(),
    app: 'shop',
    names: [],
    labels: {},
    secrets: new Map(),
    rebuild: false,
    cache: null,
    emit() {},
    pushing() {},
  }
  const definition = marshal(http(identifier, { filename: 'x' }))
  const solved = buildkit.solve(
    { definition, image: {}, context: null },
    options,
    AbortSignal.timeout(10_000),
  )
  expect(await problemOf(solved)).toMatchObject({
    code: 'image-forbidden',
    source: expect.stringContaining(identifier),
  })
  expect(intruders).toEqual([])
})

test('a plan’s images follow the same rules, and the log names them as the plan does', async () => {
  const plan = (base: string) =>
    JSON.stringify({
      steps: [
        { name: 'build', inputs: [{ image: base }], commands: [{ cmd: 'sh -c "echo planned"' }] },
      ],
      deploy: {
        base: { image: 'alpine' },
        inputs: [{ step: 'build', include: ['/bin'] }],
        startCommand: 'true',
      },
    })
  const bad = build('', {}, 'shop', { planText: plan(`${own}/other:1`) })
  expect(await problemOf(bad)).toMatchObject({ code: 'image-forbidden', image: `${own}/other:1` })

  const { notes, bases } = await build('', {}, 'shop', {
    planText: plan('docker.io/library/alpine'),
  })
  expect(notes).toContain('planned')
  expect(Object.keys(bases)).toEqual(['docker.io/library/alpine:latest'])
})

test('arguments that BuildKit itself would interpret are not passed on', async () => {
  const given = {
    BUILDKIT_SYNTAX: 'localhost:5541/frontend:1',
    BUILDKIT_MULTI_PLATFORM: '1',
    WHAT: 'world',
  }
  const { notes, image } = await build(from('ARG WHAT', 'RUN echo hello $WHAT'), { build: given })
  expect(notes).toContain('hello world')
  expect((await held(image.digest)).config).toBeDefined()
})

test('a build may start from an image of its own app, and the record names its bases by digest', async () => {
  const first = await build(from('RUN echo one > /one'), { tag: ['base'] })
  expect(first.bases).toEqual({
    'docker.io/library/alpine:latest': expect.stringMatching(/^sha256:[0-9a-f]{64}$/),
  })
  const second = await build(`FROM ${own}/shop:base\nRUN cat /one`)
  expect(second.bases).toEqual({ [`${own}/shop:base`]: first.image.digest })
  expect(second.notes).toContain('one')
})

test('a base tag that moves keeps its first digest until that expires or a rebuild is requested', async () => {
  const old = await build(from('RUN echo old > /what'), { tag: ['moving'] })
  const name = `${own}/shop:moving`
  expect((await build(`FROM ${name}\nRUN echo 1`)).bases).toEqual({ [name]: old.image.digest })
  const fresh = await build(from('RUN echo fresh > /what'), { tag: ['moving'] })
  expect((await build(`FROM ${name}\nRUN echo 2`)).bases).toEqual({ [name]: old.image.digest })
  const rebuilt = await build(`FROM ${name}\nRUN echo 1`, { rebuild: true })
  expect(rebuilt.bases).toEqual({ [name]: fresh.image.digest })
  // Results that were built on the old one are not used again.
  expect((await build(`FROM ${name}\nRUN echo 2`)).bases).toEqual({ [name]: fresh.image.digest })
})

test('a private base opens only to the app with its login, and the login is sent nowhere else', async () => {
  const text = `FROM ${privateHost}/library/alpine:latest\nRUN echo in`
  expect(await problemOf(build(text, {}, 'stranger'))).toMatchObject({ code: 'image-not-found' })
  expect((await build(text, {}, 'friend')).notes).toContain('in')
  expect(await problemOf(build(text, {}, 'stranger'))).toMatchObject({ code: 'image-not-found' })
  expect(logins.get(privatePort)).toEqual(new Set([`Basic ${btoa('me:private')}`]))
  expect(logins.get(ownPort)).toEqual(new Set([`Basic ${btoa('x:token')}`]))
})

/**
 * Ways to name an image in a source. Each is a Dockerfile, except the last two, which are plans.
 */
const namings: [string, (image: string) => string | { planText: string }][] = [
  ['FROM', (image) => `FROM ${image}\nRUN echo in`],
  [
    'FROM with a platform and a stage',
    (image) => `FROM --platform=linux/amd64 ${image} AS a\nRUN echo in`,
  ],
  ['an argument', (image) => `ARG IMAGE=${image}\nFROM $IMAGE\nRUN echo in`],
  ['COPY --from', (image) => from(`COPY --from=${image} /bin /in`, 'RUN echo in')],
  [
    'RUN --mount from',
    (image) => from(`RUN --mount=type=bind,from=${image},target=/x ls /x; echo in`),
  ],
  [
    'a cache mount from',
    (image) => from(`RUN --mount=type=cache,from=${image},target=/x ls /x; echo in`),
  ],
  [
    'a plan’s step',
    (image) => ({
      planText: JSON.stringify({
        steps: [{ name: 'build', inputs: [{ image }], commands: [{ cmd: 'sh -c "echo in"' }] }],
        deploy: {
          base: { image: 'alpine' },
          inputs: [{ step: 'build', include: ['/bin'] }],
          startCommand: 'true',
        },
      }),
    }),
  ],
  [
    'a plan’s base',
    (image) => ({
      planText: JSON.stringify({
        steps: [
          { name: 'build', inputs: [{ image: 'alpine' }], commands: [{ cmd: 'sh -c "echo in"' }] },
        ],
        deploy: {
          base: { image },
          inputs: [{ step: 'build', include: ['/bin'] }],
          startCommand: 'true',
        },
      }),
    }),
  ],
]
const buildNamed = (text: string | { planText: string }, app: string) =>
  typeof text === 'string' ? build(text, {}, app) : build('', {}, app, text)

test.each(namings)(
  'a private base in %s is nobody’s but its app’s, also by its digest',
  async (_, naming) => {
    const { digest } = (await registryDigest('library/alpine', 'latest'))!
    const name = `${privateHost}/library/alpine`
    for (const image of [`${name}:latest`, `${name}@${digest}`, `${name}:any@${digest}`]) {
      await buildNamed(naming(image), 'friend') // now the daemon has it, and the result of the step
      expect(await problemOf(buildNamed(naming(image), 'stranger'))).toMatchObject({
        code: 'image-not-found',
      })
    }
  },
)

test.each(namings)(
  'an image of another app in %s is refused, however it is named',
  async (_, naming) => {
    const { image } = await build(from('RUN echo other > /other'), { tag: ['latest'] }, 'other')
    const names = [own, 'ghcr.io'].flatMap((host) => [
      `${host}/other:latest`,
      `${host}/other@${image.digest}`,
    ])
    for (const name of names)
      expect(await problemOf(buildNamed(naming(name), 'shop'))).toMatchObject({
        code: 'image-forbidden',
        image: expect.stringContaining('/other'),
      })
    await buildNamed(naming(`${own}/other@${image.digest}`), 'other')
  },
)

test.each([`${own}/shop`, `${privateHost}/library/alpine`, 'docker.io/library/alpine'])(
  'an image of another app, or of a private base, is not %s because that is said before its digest',
  async (name) => {
    const { image } = await build(from('RUN echo other > /other'), {}, 'other')
    const problem = await problemOf(build(`FROM ${name}@${image.digest}`, {}, 'shop'))
    // The mirror of docker.io lacks this image, and docker.io itself is unreachable here.
    expect(problem.code).toBe(
      name.startsWith('docker.io') ? 'registry-unavailable' : 'image-not-found',
    )
  },
)

test('requests that a base makes of its derived builds use the name of the building app', async () => {
  const { image } = await build(from('RUN echo other > /other'), { tag: ['latest'] }, 'other')
  for (const [name, code] of [
    [`${own}/other@${image.digest}`, 'image-forbidden'],
    [`ghcr.io/other@${image.digest}`, 'image-forbidden'],
    [`${privateHost}/library/alpine:latest`, 'image-not-found'],
  ] as const) {
    await build(from(`ONBUILD COPY --from=${name} /bin /in`, `RUN echo ${name}`), { tag: ['asks'] })
    expect(
      await problemOf(build(`FROM ${own}/shop:asks\nRUN echo`, { rebuild: true })),
    ).toMatchObject({ code })
  }
})

test('two apps that request a private base at the same moment each get their own', async () => {
  const text = `FROM ${privateHost}/library/alpine:latest\nRUN echo together`
  for (let round = 0; round < 10; round++) {
    const friend = build(text, { rebuild: true }, 'friend')
    const [mine, theirs] = await Promise.all([
      friend,
      problemOf(build(text, { rebuild: true }, 'stranger')),
    ])
    expect(mine.notes).toContain('together')
    expect(theirs).toMatchObject({ code: 'image-not-found' })
  }
})

test('an image that only claims to be another app’s is a base like any other', async () => {
  await build(from('LABEL dev.tarmac.app=friend', 'RUN echo claims'), { tag: ['claims'] }, 'shop')
  const claims = `{"config":{"Labels":{"dev.tarmac.app":"nobody"}},"rootfs":{"type":"layers","diff_ids":[]},"os":"linux","architecture":"amd64"}`
  const digest = await pushConfig('team/claims', claims)
  expect(
    (await build(`FROM ghcr.io/team/claims@${digest}\nCOPY . /`, {}, 'shop')).image.digest,
  ).toMatch(/^sha256:/)
})

test('while the registry of a base is unavailable the build says so, and works again afterwards', async () => {
  const { image } = await build(from('RUN echo away'), {}, 'away')
  mischief = ({ method }, response) => method === 'HEAD' && (status(503)(response), true)
  const text = `FROM ${own}/away@${image.digest}\nRUN echo after`
  expect(await problemOf(build(text, {}, 'away'))).toMatchObject({ code: 'registry-unavailable' })
  mischief = () => false
  expect((await build(text, {}, 'away')).notes).toContain('after')
})

test('an identical build is not repeated: the image is looked up, tagged and used', async () => {
  const files = { Dockerfile: from('COPY a /', 'RUN cat /a'), a: 'same' }
  const first = await build(files, { tag: ['v1'] })
  expect(first.notes.at(-1)).toMatch(
    /^\d+ steps, \d+ cached, \d+ run, [\d.]+ s; image [\d.]+ MB, [\d.]+ MB new$/,
  )

  const second = await build(files, { tag: ['v2', 'latest'] })
  expect(second.notes).toEqual([
    `Nothing changed since deployment ${first.id}: its image is reused.`,
  ])
  expect(second).toMatchObject({
    image: { ...first.image, tags: [`deployment-${second.id}`, 'v2', 'latest'] },
    bases: first.bases,
  })
  expect(second.build).toBeUndefined()

  for (const tag of ['v1', 'v2', 'latest', `deployment-${second.id}`])
    expect((await registry.manifest('shop', tag, AbortSignal.timeout(5000)))?.digest).toBe(
      first.image.digest,
    )
  expect((await build(files, {}, 'blog')).notes.join('\n')).toMatch(/ steps, /)

  for (const other of [{ build: { A: '1' } }, { commit: 'abc' }, { rebuild: true }] as const)
    expect((await build(files, other)).notes.join('\n')).toMatch(/ steps, /)
  expect((await build({ ...files, a: 'other' })).notes).toContain('other')
})

test('an image that is missing from the registry is built again', async () => {
  const first = await build(from('RUN echo gone'), {}, 'gone')
  const url = `http://127.0.0.1:${registryPort}/v2/gone/manifests/${first.image.digest}`
  expect((await fetch(url, { method: 'DELETE' })).status).toBe(202)
  const second = await build(from('RUN echo gone'), {}, 'gone')
  expect(second.notes[0]).toBe(
    `The image of deployment ${first.id} is gone from the registry; it is built again.`,
  )
  await held(second.image.digest, 'manifests', 'gone')
})

test('target, build args, a folder’s Dockerfile with its own ignore file, labels and sizes work', async () => {
  const tree = {
    'web.Dockerfile': [
      'FROM alpine AS first',
      'ARG WHAT',
      'COPY . /all',
      'RUN echo $WHAT; ls /all',
      'RUN --mount=type=secret,id=WHAT echo $(cat /run/secrets/WHAT) in secret',
      'FROM first',
      'RUN exit 1',
    ].join('\n'),
    'web.Dockerfile.dockerignore': 'left*',
    '.dockerignore': 'kept*',
    'left.out': '',
    'kept.in': '',
  }
  const options = {
    dockerfile: 'web.Dockerfile',
    target: 'first',
    build: { WHAT: 'hi' },
    commit: '0123456789abcdef',
  }
  const { id, notes, image } = await build(tree, options)
  expect(notes.slice(0, 5)).toEqual([
    'hi',
    'kept.in',
    'web.Dockerfile',
    'web.Dockerfile.dockerignore',
    'hi in secret',
  ])
  expect(image.tags).toEqual([`deployment-${id}`, '0123456789ab'])

  const manifest = (await held('0123456789ab')) as unknown as {
    config: { digest: string; size: number }
    layers: { size: number }[]
  }
  expect(image.sizeBytes).toBe(
    manifest.layers.reduce((sum, { size }) => sum + size, manifest.config.size),
  )

  const { config } = (await held(manifest.config.digest, 'blobs')) as unknown as {
    config: { Labels: object }
  }
  expect(config.Labels).toMatchObject({
    'org.opencontainers.image.revision': '0123456789abcdef',
    'org.opencontainers.image.created': expect.stringMatching(/^20/),
    'org.opencontainers.image.source': expect.stringMatching(/^urn:tarmac:tree:sha256:/),
    'dev.tarmac.deployment': id,
  })
})

test('several platforms become one index with an image each; a platform that cannot run here is refused at once', async () => {
  const platform = 'linux/amd64,linux/386'
  const { id, image, notes } = await build('FROM scratch\nARG TARGETARCH\nCOPY . /$TARGETARCH', {
    platform,
    tag: ['both'],
  })
  expect(notes.slice(0, 2)).toEqual(['Building for linux/amd64.', 'Building for linux/386.'])

  const index = await held('both')
  expect(index.manifests).toMatchObject([
    { platform: { os: 'linux', architecture: 'amd64' } },
    { platform: { os: 'linux', architecture: '386' } },
  ])
  expect(
    (await registry.manifest('shop', `deployment-${id}`, AbortSignal.timeout(5000)))?.digest,
  ).toBe(image.digest)

  const signal = AbortSignal.timeout(5000)
  await checkPlatforms(buildkit, DeploymentOptions.parse({ platform }), signal)
  const foreign = checkPlatforms(
    buildkit,
    DeploymentOptions.parse({ platform: 'linux/amd64,linux/s390x' }),
    signal,
  )
  expect(await problemOf(foreign)).toMatchObject({
    code: 'platform-unsupported',
    platform: 'linux/s390x',
    status: 422,
  })
})

test('cache mounts are separate for each app', async () => {
  const look = (word: string) =>
    from(`RUN --mount=type=cache,id=c,target=/c ls /c; touch /c/${word}`)
  await build(look('mine'), {}, 'one')
  expect((await build(look('again'), {}, 'one')).notes).toContain('mine')
  expect(
    (await build(look('theirs'), { build: { BUILDKIT_CACHE_MOUNT_NS: '' } }, 'two')).notes,
  ).not.toContain('mine')
})

const status =
  (code: number, headers = {}) =>
  (answer: ServerResponse) =>
    void answer.writeHead(code, headers).end()
const cut = (answer: ServerResponse) => void answer.socket?.destroy()
const writes = ({ method }: IncomingMessage) => method !== 'GET' && method !== 'HEAD'
test.each([
  [401, status(401, { 'www-authenticate': 'Basic realm="lab"' }), 'registry-denied', /login/],
  [403, status(403), 'registry-denied', /may not push/],
  [404, status(404), 'registry-unavailable', /no such app/],
  [429, status(429), 'registry-unavailable', /too many/],
  [503, status(503), 'registry-unavailable', /internal error/],
  [null, cut, 'registry-unavailable', /connection/],
])(
  'a push that gets %s fails with the right problem',
  async (registryStatus, answer, code, words) => {
    mischief = (asked, response) => writes(asked) && (answer(response), true)
    const problem = await problemOf(build(from(`RUN echo ${registryStatus}`)))
    expect(problem).toMatchObject({ code, registryStatus, detail: expect.stringMatching(words) })
  },
)

test('a push that is first refused and then accepted succeeds', async () => {
  let refusals = 3
  mischief = (asked, response) => writes(asked) && refusals-- > 0 && (status(503)(response), true)
  const { image } = await build(from('RUN echo at last'))
  await held(image.digest)
  expect(refusals).toBeLessThan(0)
})

test('a push that a registry accepts and then loses or alters is a failure', async () => {
  mischief = ({ url, method }, response) =>
    method === 'PUT' && url!.includes('/manifests/') && (status(201)(response), true)
  expect(await problemOf(build(from('RUN echo forgotten')))).toMatchObject({
    code: 'registry-unavailable',
  })

  const headers = { 'content-type': 'application/vnd.oci.image.manifest.v1+json' }
  mischief = ({ url, method }, response) =>
    method === 'GET' &&
    url!.includes('/manifests/') &&
    (void response.writeHead(200, headers).end('{}'), true)
  expect(await problemOf(build(from('RUN echo forgotten')))).toMatchObject({
    code: 'registry-unavailable',
  })
})

test('a build cache in a registry outlives the daemon’s own', async () => {
  const far = from('RUN echo cached far away')
  const first = await build(far, { commit: 'a1' }, 'shop', { registryCache: `${own}/{app}:cache` })
  expect(first.notes).toContain('cached far away')
  await held('cache')
  execFileSync(tools.buildctl, ['--addr', socket, 'prune', '--all'])
  const second = await build(far, { commit: 'a2' }, 'shop', { registryCache: `${own}/{app}:cache` })
  expect(second.notes).not.toContain('cached far away')
})
