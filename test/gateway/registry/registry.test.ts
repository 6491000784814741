import { createHash } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { expect, test } from 'vitest'
import {
  imageIndex,
  imageBuilder,
  builderAnnotation,
} from '../../../gateway/src/registry/image-index.ts'
import { Registry } from '../../../gateway/src/registry/registry.ts'
import { portOf } from '../../../gateway/src/host/port-of.ts'

const manifest = JSON.stringify({ schemaVersion: 2 })
const mediaType = 'application/vnd.oci.image.manifest.v1+json'
const digest = `sha256:${createHash('sha256').update(manifest).digest('hex')}`
const login = { username: 'x', password: 'secret' }
const basic = `Basic ${Buffer.from('x:secret').toString('base64')}`
const signal = AbortSignal.timeout(30_000)

/** A registry with one image, `web:live`, behind the login that `admit` requires. */
async function start(
  assertAccepting: (request: IncomingMessage, response: ServerResponse) => boolean,
  emitDigest = true,
) {
  const server = createServer((request, response) => {
    if (!assertAccepting(request, response)) return void response.end()
    if (!request.url?.endsWith('/web/manifests/live')) return void response.writeHead(404).end()
    const headers = {
      'content-type': mediaType,
      ...(emitDigest && { 'docker-content-digest': digest }),
    }
    response.writeHead(200, { ...headers, 'content-length': manifest.length })
    response.end(request.method === 'HEAD' ? '' : manifest)
  })
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  const host = `127.0.0.1:${portOf(server)}`
  const registry = new Registry({ host, login, insecure: true })
  const close = async () => {
    await registry[Symbol.asyncDispose]()
    server.close()
  }
  return { registry, host, [Symbol.asyncDispose]: close }
}

const admitBasic = (request: IncomingMessage, response: ServerResponse): boolean => {
  if (request.headers.authorization === basic) return true
  response.writeHead(401, { 'www-authenticate': 'Basic realm="fly"' })
  return false
}

test('a tag is read with Basic login; a missing tag is null', async () => {
  await using lab = await start(admitBasic)
  expect(await lab.registry.manifest('web', 'live', signal)).toEqual({
    digest,
    mediaType,
    bytes: Buffer.from(manifest),
  })
  expect(await lab.registry.manifest('web', 'gone', signal)).toBeNull()
})

test('when a registry omits the digest, the client computes it from the bytes', async () => {
  await using lab = await start(() => true, false)
  expect(await lab.registry.manifest('web', 'live', signal)).toMatchObject({ digest })
})

test('a registry that requires a token gets one with our login', async () => {
  await using lab = await start((request, response) => {
    if (request.url?.startsWith('/token')) {
      if (request.headers.authorization === basic) response.write('{"token":"t1"}')
      return false
    }
    if (request.headers.authorization === 'Bearer t1') return true
    const realm = `http://${request.headers.host}/token`
    response.writeHead(401, {
      'www-authenticate': `Bearer realm="${realm}",service="r",scope="repository:web:pull"`,
    })
    return false
  })
  expect(await lab.registry.manifest('web', 'live', signal)).toMatchObject({ digest })
})

test('a refused login and an unavailable registry are distinguished', async () => {
  await using lab = await start(admitBasic)
  await using stranger = new Registry({ host: lab.host, login: null, insecure: true })
  await expect(stranger.manifest('web', 'live', signal)).rejects.toMatchObject({
    code: 'registry-denied',
  })
  await using nowhere = new Registry({ host: '127.0.0.1:1', login, insecure: true })
  await expect(nowhere.manifest('web', 'live', signal)).rejects.toMatchObject({
    code: 'registry-unavailable',
  })
})

test('an image of several platforms is an index of their manifests, pushed under its tag', async () => {
  const put: { url: string | undefined; type: string | undefined; body: string }[] = []
  await using lab = await start((request, response) => {
    if (request.method !== 'PUT') return true
    let body = ''
    request.on('data', (chunk) => (body += chunk))
    request.on('end', () =>
      put.push({ url: request.url, type: request.headers['content-type'], body }),
    )
    response.writeHead(request.url?.includes('/nobody/') ? 404 : 201)
    return false
  })
  const image = (await lab.registry.manifest('web', 'live', signal))!
  const index = imageIndex([
    { platform: 'linux/amd64', manifest: image },
    { platform: 'linux/arm/v7', manifest: image },
  ])
  await lab.registry.tag('web', 'both', index, signal)
  const type = 'application/vnd.oci.image.index.v1+json'
  expect(put).toEqual([
    { url: '/v2/web/manifests/both', type, body: Buffer.from(index.bytes).toString() },
  ])

  const entry = { mediaType, digest, size: manifest.length }
  expect(JSON.parse(put[0]!.body)).toEqual({
    schemaVersion: 2,
    mediaType: type,
    manifests: [
      { ...entry, platform: { os: 'linux', architecture: 'amd64' } },
      { ...entry, platform: { os: 'linux', architecture: 'arm', variant: 'v7' } },
    ],
  })

  const marked = imageIndex([{ platform: 'linux/amd64', manifest: image }], {
    [builderAnnotation]: 'railpack',
  })
  expect(JSON.parse(Buffer.from(marked.bytes).toString())).toMatchObject({
    manifests: [{ digest }],
  })
  expect([imageBuilder(marked), imageBuilder(image)]).toEqual(['railpack', undefined])
  await expect(lab.registry.tag('nobody', 'x', index, signal)).rejects.toMatchObject({
    code: 'registry-unavailable',
  })
})

test('content that does not match its digest is refused', async () => {
  await using lab = await start((_request, response) => {
    response
      .writeHead(200, { 'content-type': mediaType, 'docker-content-digest': digest })
      .end('{"schemaVersion":3}')
    return false
  })
  await expect(lab.registry.manifest('web', digest, signal)).rejects.toMatchObject({
    code: 'registry-unavailable',
  })
})
