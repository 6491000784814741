import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { once } from 'node:events'
import { afterAll, expect, test } from 'vitest'
import { ImageAccess, type AccessSettings } from '../../../gateway/src/registry/image-access.ts'
import { Recent } from '../../../gateway/src/registry/recent.ts'
import { portOf } from '../../../gateway/src/host/port-of.ts'

const open = new AsyncDisposableStack()
afterAll(() => open.disposeAsync())
const one = `sha256:${'1'.repeat(64)}`
const two = `sha256:${'2'.repeat(64)}`
const signal = AbortSignal.timeout(30_000)
const basic = (user: string, secret: string) => `Basic ${btoa(`${user}:${secret}`)}`

async function serve(answer: (asked: IncomingMessage, response: ServerResponse) => void) {
  const server = createServer(answer).listen(0, '127.0.0.1')
  await once(server, 'listening')
  open.defer(() => void server.close())
  return `127.0.0.1:${portOf(server)}`
}

/** A registry with these images (`repository@digest`) for callers with this login. */
async function registryOf(held: string[], login: string | null = null) {
  const asked: string[] = []
  const host = await serve(({ method, url = '', headers }, response) => {
    asked.push(`${method} ${url} ${headers.authorization ?? 'nobody'}`)
    if (login !== null && headers.authorization !== login)
      return void response.writeHead(401, { 'www-authenticate': 'Basic realm="lab"' }).end()
    const [, repository, digest] = /^\/v2\/(.+)\/manifests\/(.+)$/.exec(url) ?? []
    response.writeHead(held.includes(`${repository}@${digest}`) ? 200 : 404).end()
  })
  return { host, asked }
}

const accessOf = (given: Partial<AccessSettings>) =>
  open.use(
    new ImageAccess({
      loginFor: () => null,
      own: 'registry.invalid',
      mirrors: {},
      keepMs: 60_000,
      ...given,
    }),
  )

test('an image is granted to the app whose login opens it, by its digest and in its repository', async () => {
  const { host, asked } = await registryOf([`team/base@${one}`], basic('me', 'private'))
  const loginFor = (app: string) => (app === 'friend' ? { user: 'me', secret: 'private' } : null)
  const access = accessOf({ loginFor })
  const name = `${host}/team/base:1@${one}`
  expect(await access.of('friend', name, signal)).toMatchObject({ granted: true })
  expect(await access.of('stranger', name, signal)).toMatchObject({ why: 'denied' })
  expect(await access.of('friend', `${host}/team/base@${two}`, signal)).toMatchObject({
    why: 'denied',
  })
  expect(await access.of('friend', `${host}/team/other@${one}`, signal)).toMatchObject({
    why: 'denied',
  })
  expect(asked.every((line) => line.startsWith('HEAD /v2/team/'))).toBe(true)
})

test('a grant is cached for a time; a denial is asked for each time', async () => {
  const held = [`base@${one}`]
  const { host, asked } = await registryOf(held)
  const access = accessOf({})
  for (let round = 0; round < 3; round++)
    expect(await access.of('shop', `${host}/base@${one}`, signal)).toMatchObject({ granted: true })
  expect(asked).toHaveLength(1)
  expect(await access.of('blog', `${host}/base@${one}`, signal)).toMatchObject({ granted: true })
  expect(asked).toHaveLength(2)
  expect(await access.of('shop', `${host}/base@${two}`, signal)).toMatchObject({ why: 'denied' })
  held.push(`base@${two}`)
  expect(await access.of('shop', `${host}/base@${two}`, signal)).toMatchObject({ granted: true })

  const forgetful = accessOf({ keepMs: 0 })
  for (let round = 0; round < 2; round++) await forgetful.of('shop', `${host}/base@${one}`, signal)
  expect(asked).toHaveLength(6)
})

test('the oldest of 20,000 answers are evicted', () => {
  const recent = new Recent<number>(60_000)
  for (let at = 0; at < 20_000; at++) recent.set(`${at}`, at)
  expect([recent.get('0'), recent.get('9999'), recent.get('10000')?.value]).toEqual([
    null,
    null,
    10_000,
  ])
})

test('a mirror is asked before the registry, in its folder, and with the app’s login for the mirror', async () => {
  const { host, asked } = await registryOf([`hub/library/alpine@${one}`], basic('me', 'mirror'))
  const { host: origin } = await registryOf([`library/node@${two}`])
  const loginFor = (_app: string, at: string) =>
    at === host ? { user: 'me', secret: 'mirror' } : null
  const access = accessOf({ loginFor, mirrors: { [origin]: [`${host}/hub`] } })
  expect(await access.of('shop', `${origin}/library/alpine@${one}`, signal)).toMatchObject({
    granted: true,
  })
  expect(asked).toEqual([`HEAD /v2/hub/library/alpine/manifests/${one} ${basic('me', 'mirror')}`])
  expect(await access.of('shop', `${origin}/library/node@${two}`, signal)).toMatchObject({
    granted: true,
  })
  expect(await access.of('shop', `${origin}/library/node@${one}`, signal)).toMatchObject({
    why: 'denied',
  })
})

test.each([(host: string) => host, (host: string) => host.replace('127.0.0.1', 'localhost')])(
  'a mirror that leads to the apps’ own registry opens no images of other apps (%#)',
  async (spelled) => {
    const { host } = await registryOf([`other@${one}`, `shop@${two}`, `library/alpine@${one}`])
    const { host: origin } = await registryOf([])
    const access = accessOf({ own: host, mirrors: { [origin]: [spelled(host)] } })
    expect(await access.of('shop', `${origin}/other@${one}`, signal)).toMatchObject({
      why: 'another-apps',
    })
    expect(await access.of('shop', `${origin}/shop@${two}`, signal)).toMatchObject({
      granted: true,
    })
    expect(await access.of('shop', `${origin}/library/alpine@${one}`, signal)).toMatchObject({
      granted: true,
    })
  },
)

test('when one source gives no answer and no other grants the image, the registry is unavailable', async () => {
  const { host } = await registryOf([`base@${one}`])
  const access = accessOf({ mirrors: { [host]: ['127.0.0.1:1'], '127.0.0.1:2': [host] } })
  const granted = access.of('shop', `${host}/base@${one}`, signal)
  const unknown = access.of('shop', `127.0.0.1:2/base@${two}`, signal)
  await expect(unknown).rejects.toMatchObject({ code: 'registry-unavailable' })
  expect(await granted).toMatchObject({ granted: true })
}, 20_000)

test('redirects of a registry are followed, and the login is sent only to its own host', async () => {
  const { host: far, asked } = await registryOf([`base@${one}`])
  const seen: string[] = []
  const host = await serve(({ url = '', headers }, response) => {
    seen.push(headers.authorization ?? 'nobody')
    response
      .writeHead(307, { location: url.includes('/loop/') ? url : `http://${far}${url}` })
      .end()
  })
  const access = accessOf({ loginFor: () => ({ user: 'me', secret: 'here' }) })
  expect(await access.of('shop', `${host}/base@${one}`, signal)).toMatchObject({ granted: true })
  expect([...seen, ...asked]).toEqual([
    basic('me', 'here'),
    `HEAD /v2/base/manifests/${one} nobody`,
  ])
  expect(await access.of('shop', `${host}/loop/x@${one}`, signal)).toMatchObject({ why: 'denied' })
})

test('an identity token is exchanged for a read token, and is sent nowhere else', async () => {
  const formats: string[] = []
  const host = await serve(({ method, url, headers }, response) => {
    if (method === 'POST') {
      formats.push(url ?? '', headers['content-type'] ?? '', headers.authorization ?? 'nobody')
      return void response.end(JSON.stringify({ access_token: 't1' }))
    }
    if (headers.authorization === 'Bearer t1') return void response.writeHead(200).end()
    const realm = `http://${headers.host}/token`
    response.writeHead(401, { 'www-authenticate': `Bearer realm="${realm}",service="r"` }).end()
  })
  const access = accessOf({ loginFor: () => ({ user: '', secret: 'identity' }) })
  expect(await access.of('shop', `${host}/base@${one}`, signal)).toMatchObject({ granted: true })
  expect(formats).toEqual(['/token', 'application/x-www-form-urlencoded', 'nobody'])
})

test.each([
  '',
  'base',
  `base@${one}`,
  `/base@${one}`,
  `h/b@c@${one}`,
  `h/b:1:2@${one}`,
  'h/b',
  'h/b@sha256',
])('no request is made about %j, which is not a full name with a tag or a digest', async (name) => {
  expect(await accessOf({}).of('shop', name, signal)).toMatchObject({ why: 'denied' })
})
