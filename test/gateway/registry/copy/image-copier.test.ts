import { randomBytes } from 'node:crypto'
import { expect, onTestFinished, test } from 'vitest'
import type { NewEvent } from '#api/event.ts'
import type { RequestedImage } from '#api/image-source.ts'
import {
  type CopySettings,
  ImageCopier,
} from '../../../../gateway/src/registry/copy/image-copier.ts'
import { foreignRefusals } from '../../../../gateway/src/registry/copy/refusals.ts'
import { Registry } from '../../../../gateway/src/registry/registry.ts'
import { basic, ImageRegistry, types } from '../../../fakes/image-registry.ts'
import { digestOf } from '../../../fakes/push-registry.ts'

const login = { username: 'reader', password: 'pull-me' }
const gateway = { username: 'x', password: 'fly-token' }
const layer = (name: string) => Buffer.from(`layer ${name}`)

/** A registry of others, the gateway's own, and a copier between them. */
async function start(
  auth: ImageRegistry['auth'] = { kind: 'open' },
  own: Partial<CopySettings> = {},
) {
  const stack = new AsyncDisposableStack()
  onTestFinished(() => stack.disposeAsync())
  const theirs = stack.use(await ImageRegistry.start(auth))
  const ours = stack.use(await ImageRegistry.start({ kind: 'token', ...gateway }))
  const registry = stack.use(new Registry({ host: ours.host, login: gateway, insecure: true }))
  const settings: CopySettings = {
    own: { host: ours.host, login: gateway, insecure: true },
    foreign: 'copy',
    mirrors: {},
    named: new Set([theirs.host]),
    plainHttp: [],
    maxBytes: 10e6,
    registryLogin: async () => null,
    ...own,
  }
  const copier = stack.use(new ImageCopier(settings, registry))

  const log: string[] = []
  const pins: RequestedImage[] = []
  let pushes = 0
  const take = (
    reference: string,
    {
      digest = null as string | null,
      signal = AbortSignal.timeout(30_000),
      app = 'shop',
      isShared = false,
    } = {},
  ) =>
    copier.take(
      {
        app,
        image: { reference, digest },
        tags: ['deployment-1', 'v1'],
        platform: 'linux/amd64',
        isShared,
        pinned: async (image) => void pins.push(image),
        pushing: () => (pushes += 1),
        emit: (event: NewEvent) => void (event.type === 'note' && log.push(event.text)),
      },
      signal,
    )
  return { theirs, ours, take, log, pins, pushes: () => pushes }
}

const isIn = (registry: ImageRegistry, app: string, bytes: Buffer) =>
  registry.blobs.get(`${app} ${digestOf(bytes)}`)?.equals(bytes) ?? false

test('a public image is copied by its digest to the repository of the app, under its tags', async () => {
  const { theirs, ours, take, log, pins, pushes } = await start()
  const digest = theirs.putImage('acme/shop', 'v3', [layer('one'), layer('two')])

  const image = await take(`${theirs.host}/acme/shop:v3`)
  expect(image).toMatchObject({
    reference: `${ours.host}/shop@${digest}`,
    digest,
    tags: ['deployment-1', 'v1'],
    push: { via: 'registry' },
  })
  expect(pins).toEqual([{ reference: `${theirs.host}/acme/shop:v3`, digest }])
  expect(pushes()).toBe(1)
  for (const reference of ['deployment-1', 'v1', digest])
    expect(ours.manifests.get(`shop ${reference}`)?.bytes).toEqual(
      theirs.manifests.get('acme/shop v3')?.bytes,
    )
  expect([layer('one'), layer('two')].every((each) => isIn(ours, 'shop', each))).toBe(true)
  expect(log[0]).toContain(`linux/amd64): 2 layers`)
  expect(log[1]).toMatch(/^Copied 3 of 3 parts, .* MB, in [\d.]+ s\.$/)
})

test('what the repository has is not sent again', async () => {
  const { theirs, ours, take, log } = await start()
  theirs.putImage('acme/shop', 'v3', [layer('one'), layer('two')])
  await take(`${theirs.host}/acme/shop:v3`)
  const [read, sent] = [theirs.count('GET', 'blobs'), ours.count('PUT', 'blobs')]

  theirs.putImage('acme/shop', 'v4', [layer('one'), layer('three')])
  await take(`${theirs.host}/acme/shop:v4`)
  expect(ours.count('PUT', 'blobs') - sent).toBe(1)
  expect(theirs.count('GET', 'blobs') - read).toBe(2) // its configuration and the new layer
  expect(log.at(-1)).toContain('2 were there')
})

test('an image that is shared by previews is sent once, and gets no further tag', async () => {
  const { theirs, ours, take, log, pins } = await start()
  const digest = theirs.putImage('acme/shop', 'v3', [layer('one'), layer('two')])
  const first = await take(`${theirs.host}/acme/shop:v3`, { isShared: true })
  expect(first).toMatchObject({ reference: `${ours.host}/shop@${digest}`, push: {} })
  const sent = () => ours.count('PUT', 'blobs') + ours.count('PUT', 'manifests')
  const [read, before] = [theirs.count('GET', 'blobs'), sent()]

  const second = await take(`${theirs.host}/acme/shop:v3`, { isShared: true })
  expect(second).toMatchObject({ reference: first.reference, digest, tags: [] })
  expect(theirs.count('GET', 'blobs') - read).toBe(1) // its configuration, for the port
  expect(sent() - before).toBe(0)
  expect(log.at(-1)).toMatch(/It is in .*\/shop already\.$/)
  expect(pins).toHaveLength(2)
})

test.each(['basic', 'token'] as const)(
  'a private image is taken with the login (%s)',
  async (kind) => {
    const asked: object[] = []
    const { theirs, take } = await start(
      { kind, ...login },
      {
        registryLogin: async (app, image) => {
          asked.push({ app, ...image })
          return login
        },
      },
    )
    const digest = theirs.putImage('acme/shop', 'v3', [layer('one')])
    expect(await take(`${theirs.host}/acme/shop:v3`)).toMatchObject({ digest })
    expect(asked).toEqual([{ app: 'shop', host: theirs.host, repository: 'acme/shop' }])
  },
)

test.each([
  ['basic', null, 'without a login (401: authentication required)', false],
  ['token', null, 'without a login (401: denied)', false],
  ['basic', { ...login, password: 'old' }, 'refuses the login of reader', true],
  ['token', { ...login, password: 'old' }, 'refuses the login of reader', true],
] as const)(
  'a registry that says no is image-forbidden (%s, %o)',
  async (kind, given, text, withLogin) => {
    const { theirs, take } = await start({ kind, ...login }, { registryLogin: async () => given })
    theirs.putImage('acme/shop', 'v3', [layer('one')])
    const refused = take(`${theirs.host}/acme/shop:v3`)
    await expect(refused).rejects.toMatchObject({
      code: 'image-forbidden',
      message: expect.stringContaining(text),
      facts: { withLogin, registryStatus: 401 },
    })
    const next = given
      ? 'tarmac registries rotate LOGIN'
      : `tarmac registries add ${theirs.host} --username NAME`
    await expect(refused).rejects.toThrow(next)
    await expect(refused).rejects.not.toThrow('old')
  },
)

test('a name that the registry does not have is image-not-found', async () => {
  const { theirs, take, pushes } = await start()
  await expect(take(`${theirs.host}/acme/shop:v9`)).rejects.toMatchObject({
    code: 'image-not-found',
    message: expect.stringContaining('manifest unknown. Check the name and the tag.'),
  })
  expect(pushes()).toBe(0)
})

test('a host that does not exist is the name’s fault, and is not tried again', () => {
  const unknown = (hostname: string) =>
    new Error('failed', {
      cause: Object.assign(new Error('ENOTFOUND'), { code: 'ENOTFOUND', hostname }),
    })
  const failed = (host: string, cause: Error) =>
    foreignRefusals({ host, repository: 'shop', user: null }).failed(cause)
  for (const host of ['no-such.example', 'no-such.example:5000'])
    expect(failed(host, unknown('no-such.example'))).toMatchObject({
      code: 'image-not-found',
      message: expect.stringContaining(`There is no host ${host}`),
    })
  // The sender wrote no host there: the gateway cannot look up names.
  expect(failed('docker.io', unknown('registry-1.docker.io'))).toMatchObject({
    code: 'registry-unavailable',
  })
  expect(failed('a.example', unknown('cdn.example')).code).toBe('registry-unavailable')
})

test('of an index the image for the machines is taken, and the digest of the index recorded', async () => {
  const { theirs, take, pins } = await start()
  const arm = theirs.putImage('tool', 'arm', [layer('arm')], { platform: 'linux/arm64/v8' })
  const amd = theirs.putImage('tool', 'amd', [layer('amd')], { docker: true })
  const proof = theirs.putImage('tool', 'proof', [layer('proof')])
  const index = theirs.putIndex(
    'tool',
    'v1',
    [
      { digest: arm, platform: 'linux/arm64/v8' },
      { digest: proof, platform: 'unknown/unknown' },
      { digest: amd, platform: 'linux/amd64' },
    ],
    types.dockerIndex,
  )
  expect(await take(`${theirs.host}/tool:v1`)).toMatchObject({ digest: amd })
  expect(pins[0]?.digest).toBe(index)

  theirs.putIndex('tool', 'v2', [{ digest: arm, platform: 'linux/arm64/v8' }])
  await expect(take(`${theirs.host}/tool:v2`)).rejects.toMatchObject({
    code: 'image-unusable',
    message: expect.stringContaining('nothing for linux/amd64, only for linux/arm64/v8'),
  })
})

test('an image of another platform that no index names is refused before anything is copied', async () => {
  const { theirs, ours, take } = await start()
  theirs.putImage('tool', 'v1', [layer('arm')], { platform: 'linux/arm64' })
  await expect(take(`${theirs.host}/tool:v1`)).rejects.toMatchObject({
    code: 'image-unusable',
    message: expect.stringContaining('it is for linux/arm64, and the machines are linux/amd64'),
  })
  expect(ours.asked).toEqual([])
})

test('the one TCP port that an image exposes is known; several, and what is no port, are none', async () => {
  const { theirs, take } = await start()
  const portOf = async (config: unknown) => {
    theirs.putImage('tool', 'v1', [layer('one')], { config })
    return (await take(`${theirs.host}/tool:v1`)).port
  }
  const exposing = (...ports: string[]) => ({
    ExposedPorts: Object.fromEntries(ports.map((each) => [each, {}])),
  })
  expect(await portOf(exposing('80/tcp'))).toBe(80)
  expect(await portOf(exposing('53/udp', '3000'))).toBe(3000)
  for (const none of [
    {},
    null,
    'x',
    exposing('80/tcp', '443/tcp'),
    exposing('x'),
    { ExposedPorts: 7 },
  ])
    expect(await portOf(none)).toBe(undefined)
})

test('a digest that was recorded is taken, although the tag has moved', async () => {
  const { theirs, take } = await start()
  const digest = theirs.putImage('acme/shop', 'v3', [layer('old')])
  theirs.putImage('acme/shop', 'v3', [layer('new')])
  expect(await take(`${theirs.host}/acme/shop:v3`, { digest })).toMatchObject({ digest })
  const both = `${theirs.host}/acme/shop:v3@${digest}`
  expect(await take(both)).toMatchObject({ digest })
})

test('a layer with another content or length never reaches the repository', async () => {
  const { theirs, ours, take } = await start()
  theirs.putImage('acme/shop', 'v3', [layer('one')])
  const good = layer('one')
  const target = `/blobs/${digestOf(good)}`
  for (const bad of [Buffer.from('LAYER ONE'), randomBytes(100_000)]) {
    theirs.mischief = ({ url, method }, _request, response) => {
      if (!url.pathname.endsWith(target) || method !== 'GET') return false
      response.writeHead(200).end(bad)
      return true
    }
    await expect(take(`${theirs.host}/acme/shop:v3`)).rejects.toMatchObject({
      code: 'registry-unavailable',
      message: expect.stringContaining(theirs.host),
    })
    expect(ours.blobs.has(`shop ${digestOf(good)}`)).toBe(false)
    expect(ours.manifests.size).toBe(0)
  }
})

test('a connection that breaks in a layer is tried again, and only that layer', async () => {
  const { theirs, take } = await start()
  const large = randomBytes(3_000_000)
  const digest = theirs.putImage('acme/shop', 'v3', [layer('one'), large])
  let breaks = 2
  theirs.mischief = ({ url, method }, _request, response) => {
    if (!url.pathname.endsWith(digestOf(large)) || method !== 'GET' || breaks-- <= 0) return false
    response.writeHead(200, { 'content-length': large.length })
    response.write(large.subarray(0, 100_000), () => response.destroy())
    return true
  }
  expect(await take(`${theirs.host}/acme/shop:v3`)).toMatchObject({ digest })
  expect(
    theirs.asked.filter(({ url }) => url.pathname.endsWith(digestOf(layer('one')))),
  ).toHaveLength(1)
})

test('a failure of the own registry is its own, and a later run sends only what is missing', async () => {
  const { theirs, ours, take } = await start()
  const digest = theirs.putImage('acme/shop', 'v3', [layer('one'), layer('two')])
  ours.mischief = ({ url, method }, request, response) => {
    if (method !== 'PUT' || !url.search.includes(encodeURIComponent(digestOf(layer('two')))))
      return false
    request.resume()
    response.writeHead(500).end()
    return true
  }
  await expect(take(`${theirs.host}/acme/shop:v3`)).rejects.toMatchObject({
    code: 'registry-unavailable',
    message: expect.stringContaining(ours.host),
  })
  ours.mischief = () => false
  const sent = ours.count('PUT', 'blobs')
  expect(await take(`${theirs.host}/acme/shop:v3`)).toMatchObject({ digest })
  expect(ours.count('PUT', 'blobs') - sent).toBeLessThanOrEqual(2)
})

test('an image of another app of the own registry is mounted: no layer is read or sent', async () => {
  const { ours, take, log } = await start()
  const digest = ours.putImage('staging', 'v1', [layer('one'), layer('two')])
  expect(await take(`${ours.host}/staging:v1`)).toMatchObject({
    reference: `${ours.host}/shop@${digest}`,
  })
  expect([ours.count('PUT', 'blobs'), ours.count('GET', 'blobs')]).toEqual([0, 1])
  expect(log.at(-1)).toContain('3 taken over within the registry')
})

test('where the registry mounts nothing, the layers are sent', async () => {
  const { ours, take } = await start()
  const digest = ours.putImage('staging', 'v1', [layer('one')])
  ours.mischief = ({ url }) => (url.searchParams.delete('mount'), false)
  expect(await take(`${ours.host}/staging:v1`)).toMatchObject({ digest })
  expect(ours.count('PUT', 'blobs')).toBe(2)
})

test('an image that is in the repository of the app stays as it is', async () => {
  const { ours, take, pushes } = await start()
  const digest = ours.putImage('shop', 'v1', [layer('one')])
  expect(await take(`${ours.host}/shop:v1`)).toMatchObject({
    reference: `${ours.host}/shop@${digest}`,
    tags: ['v1'],
  })
  expect(pushes()).toBe(0)
})

test('left where it is, an image has the digest of the machines’ platform, and is not copied', async () => {
  const { theirs, ours, take, pushes } = await start(
    { kind: 'open' },
    { foreign: 'leave', registryLogin: async () => login },
  )
  const digest = theirs.putImage('acme/shop', 'v3', [layer('one')])
  theirs.putIndex('acme/shop', 'v3', [{ digest, platform: 'linux/amd64' }])
  expect(await take(`${theirs.host}/acme/shop:v3`)).toEqual({
    reference: `${theirs.host}/acme/shop@${digest}`,
    digest,
    tags: ['v3'],
    sizeBytes: expect.any(Number),
  })
  expect([pushes(), ours.asked.length]).toEqual([0, 0])
  expect(theirs.asked.some(({ headers }) => headers.authorization)).toBe(false)
})

test('an image that needs a login is copied, even where images are left', async () => {
  const { theirs, ours, take, log } = await start(
    { kind: 'basic', ...login },
    { foreign: 'leave', registryLogin: async () => login },
  )
  const digest = theirs.putImage('acme/shop', 'v3', [layer('one')])
  expect(await take(`${theirs.host}/acme/shop:v3`)).toMatchObject({
    reference: `${ours.host}/shop@${digest}`,
  })
  expect(log[0]).toContain('with a login only')
})

test('the login goes to no other host, and layers may come from one', async () => {
  const { theirs, take } = await start(
    { kind: 'basic', ...login },
    { registryLogin: async () => login },
  )
  const storage = await ImageRegistry.start()
  onTestFinished(() => storage[Symbol.asyncDispose]())
  const copier = await start(
    { kind: 'basic', ...login },
    { registryLogin: async () => login, named: new Set([theirs.host, storage.host]) },
  )
  theirs.putImage('acme/shop', 'v3', [layer('one')])
  storage.mischief = (_asked, _request, response) => {
    response.end(layer('one'))
    return true
  }
  theirs.mischief = ({ url, headers }, _request, response) => {
    if (!url.pathname.endsWith(digestOf(layer('one'))) || headers.authorization !== basic(login))
      return false
    response.writeHead(307, { location: `http://${storage.host}/layer` }).end()
    return true
  }
  await copier.take(`${theirs.host}/acme/shop:v3`)
  expect(storage.asked.map(({ headers }) => headers.authorization)).toEqual([undefined])

  // To a host inside that the operator does not name, the gateway does not go at all.
  await expect(take(`${theirs.host}/acme/shop:v3`)).rejects.toMatchObject({
    code: 'registry-address-forbidden',
    message: expect.stringContaining('TARMAC_IMAGES'),
  })
  expect(storage.asked).toHaveLength(1)
})

test('a token server inside gets neither the login nor a request', async () => {
  const inside = await ImageRegistry.start()
  onTestFinished(() => inside[Symbol.asyncDispose]())
  const { theirs, take } = await start(
    { kind: 'basic', ...login },
    { registryLogin: async () => login },
  )
  theirs.mischief = (_asked, _request, response) => {
    const challenge = `Bearer realm="http://${inside.host}/token",service="x"`
    response.writeHead(401, { 'www-authenticate': challenge }).end()
    return true
  }
  await expect(take(`${theirs.host}/acme/shop:v3`)).rejects.toMatchObject({
    code: 'registry-address-forbidden',
  })
  expect(inside.asked).toEqual([])
})

test.each([
  '127.0.0.1:1',
  'localhost:5000',
  '10.1.2.3',
  '[fdaa::3]:5000',
  'api.internal:5000',
  'shop.flycast',
  '169.254.169.254',
])('no image comes from %s', async (host) => {
  const { take } = await start()
  await expect(take(`${host}/acme/shop:v3`)).rejects.toMatchObject({
    code: 'registry-address-forbidden',
  })
})

test('a registry that limits requests is said with what to do', async () => {
  const { theirs, take } = await start()
  theirs.mischief = (_asked, _request, response) => {
    response.writeHead(429, { 'retry-after': '60' })
    response.end(
      '{"errors":[{"code":"TOOMANYREQUESTS","message":"You have reached your pull rate limit."}]}',
    )
    return true
  }
  await expect(take(`${theirs.host}/acme/shop:v3`)).rejects.toMatchObject({
    code: 'registry-unavailable',
    message: expect.stringMatching(
      /limits how often .*You have reached your pull rate limit.*tarmac registries add .*in 60 s/,
    ),
    facts: { registryStatus: 429, retryAfterS: 60 },
  })
})

test('an image over the limit, and what is no image, is refused before a layer is read', async () => {
  const { theirs, take } = await start({ kind: 'open' }, { maxBytes: 1000 })
  theirs.putImage('acme/shop', 'large', [randomBytes(2000)])
  await expect(take(`${theirs.host}/acme/shop:large`)).rejects.toThrow('TARMAC_MAX_IMAGE_MIB')

  theirs.putImage('acme/shop', 'empty', [])
  theirs.putManifest('acme/shop', 'old', {
    mediaType: 'application/vnd.docker.distribution.manifest.v1+json',
  })
  theirs.putImage('acme/shop', 'path', [], {
    manifest: { layers: [{ digest: '../../../etc/passwd', size: 1 }] },
  })
  for (const tag of ['empty', 'old', 'path'])
    await expect(take(`${theirs.host}/acme/shop:${tag}`)).rejects.toMatchObject({
      code: 'image-unusable',
    })
  expect(theirs.count('GET', 'blobs')).toBe(0)
})

test('layers that are kept elsewhere are taken from the registry, or not at all', async () => {
  const elsewhere = await ImageRegistry.start()
  onTestFinished(() => elsewhere[Symbol.asyncDispose]())
  const { theirs, take } = await start()
  const foreign = {
    mediaType: 'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip',
    digest: digestOf('foreign'),
    size: 7,
    urls: [`http://${elsewhere.host}/layer`],
  }
  theirs.putImage('acme/shop', 'v3', [], { manifest: { layers: [foreign] } })
  await expect(take(`${theirs.host}/acme/shop:v3`)).rejects.toMatchObject({
    code: 'image-unusable',
    message: expect.stringContaining('does not have a part of it'),
  })
  expect(elsewhere.asked).toEqual([])

  theirs.blobs.set(`acme/shop ${foreign.digest}`, Buffer.from('foreign'))
  await take(`${theirs.host}/acme/shop:v3`)
})

test('a manifest without end is cut, and the registry counts as broken', async () => {
  const { theirs, take } = await start()
  theirs.mischief = (_asked, _request, response) => {
    response.writeHead(200, { 'content-type': types.manifest })
    response.end(Buffer.alloc(5 * 2 ** 20, ' '))
    return true
  }
  await expect(take(`${theirs.host}/acme/shop:v3`)).rejects.toMatchObject({
    code: 'registry-unavailable',
  })
})

test('a copy that is cancelled stops at once, with the reason', async () => {
  const { theirs, ours, take } = await start()
  theirs.putImage('acme/shop', 'v3', [layer('one'), layer('two')])
  const cancel = new AbortController()
  ours.mischief = ({ method }) => {
    if (method !== 'PUT') return false
    cancel.abort(new Error('cancelled here'))
    return true // and never answers
  }
  await expect(take(`${theirs.host}/acme/shop:v3`, { signal: cancel.signal })).rejects.toThrow(
    'cancelled here',
  )
  expect(ours.manifests.size).toBe(0)
})

test('a mirror comes before the registry, lacks what it lacks, and leads to no app’s repository', async () => {
  const away = '127.0.0.1:9' // nobody listens there
  const mirror = await ImageRegistry.start({ kind: 'open' })
  onTestFinished(() => mirror[Symbol.asyncDispose]())
  const digest = mirror.putImage('cache/library/tool', 'v1', [layer('tool')])
  const mirrors = { [away]: [`${mirror.host}/cache`] }
  const named = new Set([away, mirror.host])
  const { ours, take } = await start(undefined, { mirrors, named })
  expect(await take(`${away}/library/tool:v1`)).toMatchObject({ digest })
  expect(isIn(ours, 'shop', layer('tool'))).toBe(true)
  // What no mirror has, the registry decides; here it does not answer.
  await expect(take(`${away}/library/other:v1`)).rejects.toMatchObject({
    code: 'registry-unavailable',
  })

  const secret = ours.putImage('secret', 'v1', [layer('secret')])
  const behind = await start(undefined, {
    mirrors: { [away]: [ours.host] },
    named: new Set([away, ours.host]),
    own: { host: ours.host, login: gateway, insecure: true },
    registryLogin: async () => gateway,
  })
  await expect(behind.take(`${away}/secret@${secret}`)).rejects.toMatchObject({
    code: 'registry-unavailable',
  })
})
