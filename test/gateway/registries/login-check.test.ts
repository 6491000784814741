import { once } from 'node:events'
import { createServer } from 'node:http'
import { expect, test } from 'vitest'
import { portOf } from '../../../gateway/src/host/port-of.ts'
import { LoginTester } from '../../../gateway/src/registries/login-tester.ts'
import { startRegistry } from './fake-registry.ts'

const testerOf = (...plainHttp: string[]) => new LoginTester({ ...settings, plainHttp })
/** For a registry that the settings name, and that speaks TLS. */
const testerNaming = (host: string) =>
  new LoginTester({ ...settings, images: { allowed: [`${host}/acme`] } })
const settings = {
  registry: 'registry.invalid',
  plainHttp: [],
  images: { allowed: [] },
  buildkit: { mirrors: {} },
}
const loginAt = (host: string, password = 'right-password') => ({
  at: { host, prefix: '' },
  username: 'bot',
  password,
  image: null,
})
const imageOf = (repository: string, reference = '1') => ({ repository, reference })

test.each(['bearer', 'basic'] as const)(
  'a login by %s works with the right password, and is refused with another',
  async (auth) => {
    await using registry = await startRegistry({ auth })
    const tester = testerOf(registry.host)
    const login = loginAt(registry.host)
    expect(await tester.test(login)).toMatchObject({
      verdict: 'works',
      detail: `${registry.host} accepts the login.`,
      image: null,
    })
    const wrong = await tester.test({ ...login, password: 'wrong-password' })
    expect(wrong.verdict).toBe('wrong-password')
    expect(wrong.detail).toContain('does not accept the user name bot with this password')
    expect(registry.asked.some((line) => line.includes('manifests'))).toBe(false)
  },
)

test.each(['bearer', 'basic'] as const)(
  'an image by %s: a right, none, and no such image have different answers',
  async (auth) => {
    await using registry = await startRegistry({ auth })
    const tester = testerOf(registry.host)
    const verdict = async (image: { repository: string; reference: string }) =>
      (await tester.test({ ...loginAt(registry.host), image })).verdict
    expect(await verdict(imageOf('acme/web'))).toBe('works')
    expect(await verdict(imageOf('acme/web', '2'))).toBe('no-such-image')
    expect(await verdict(imageOf('acme/secret'))).toBe('no-right')
    expect(registry.asked.at(-1)).toBe('HEAD /v2/acme/secret/manifests/1')
  },
)

test('a registry without a login does not prove the password, and the verdict says so', async () => {
  await using registry = await startRegistry({ auth: 'open' })
  const { verdict, detail } = await testerOf(registry.host).test(loginAt(registry.host))
  expect([verdict, detail]).toEqual(['works', expect.stringContaining('does not say whether')])
})

test('what a registry repeats of the password is redacted', async () => {
  await using registry = await startRegistry({ words: 'no: {password}' })
  const tester = testerOf(registry.host)
  const { detail } = await tester.test(loginAt(registry.host, 'correct-horse-battery'))
  expect(detail).toContain('no: bot:***')
  expect(detail).not.toContain('correct-horse')
})

test('a host that does not exist, that is silent, and that is no registry have different answers', async () => {
  const verdictAt = async (host: string, named = host) =>
    (await testerOf(named).test(loginAt(host))).verdict
  expect(await verdictAt('no-such-host.invalid')).toBe('no-such-host')
  expect(await verdictAt('127.0.0.1:1')).toBe('unreachable')

  const server = createServer((_request, response) => response.writeHead(404).end())
  await once(server.listen(0, '127.0.0.1'), 'listening')
  expect(await verdictAt(`127.0.0.1:${portOf(server)}`)).toBe('not-a-registry')
  server.close()
})

test('a server that does not speak TLS gets no login', async () => {
  const heard: string[] = []
  const plain = createServer((request, response) => {
    heard.push(String(request.headers.authorization))
    response.end()
  })
  await once(plain.listen(0, '127.0.0.1'), 'listening')
  // Another spelling of 127.0.0.1, which is not known to speak plain HTTP.
  const host = `[::ffff:127.0.0.1]:${portOf(plain)}`
  const { verdict, detail } = await testerNaming(host).test(loginAt(host))
  expect([verdict, heard]).toEqual(['tls', []])
  expect(detail).toContain('TARMAC_PLAIN_HTTP')
  plain.close()
})

test.each([
  'localhost:5000',
  '127.0.0.1:5000',
  '10.0.0.1',
  '169.254.169.254',
  '[fdaa::3]:5000',
  '[::1]:5000',
  '[::ffff:10.0.0.1]',
])('a registry at %s is refused unless the settings name it', async (host) => {
  const refused = { code: 'registry-address-forbidden' }
  expect(() => testerOf().assertMayBePublic(host)).toThrow(expect.objectContaining(refused))
  expect(() => testerOf(host).assertMayBePublic(host)).not.toThrow()
})

test('a connection to a private address is refused also by name, and by a token server', async () => {
  await using registry = await startRegistry()
  const byName = registry.host.replace('127.0.0.1', 'localhost')
  for (const host of [registry.host, byName])
    expect((await testerOf().test(loginAt(host))).verdict).toBe('private-address')
  expect(registry.asked).toEqual([])

  // The settings name this registry, and not the private host of its token server.
  const token = '127.0.0.3:9'
  const server = createServer((_request, response) =>
    response.writeHead(401, { 'www-authenticate': `Bearer realm="http://${token}/token"` }).end(),
  )
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const host = `127.0.0.1:${portOf(server)}`
  const { verdict, detail } = await testerOf(host).test(loginAt(host))
  expect(verdict).toBe('private-address')
  expect(detail).toContain(`${host} wants logins sent to ${token}. ${token} is not at a public`)
  server.close()
})

test.each([
  ['{}', 200, 'not-a-registry', /answers 200, and no token\. This is not about the password/],
  ['<html>', 200, 'not-a-registry', /answers 200, and no token/],
  ['', 404, 'not-a-registry', /answers 404, and no token/],
  ['', 500, 'unreachable', /wants logins sent to (\S+)\. Registry \1: it answered 500/],
] as const)(
  'a token server that answers %s with %i is not taken for a wrong password',
  async (body, status, verdict, detail) => {
    const tokens = createServer((_request, response) => response.writeHead(status).end(body))
    await once(tokens.listen(0, '127.0.0.1'), 'listening')
    const realm = `127.0.0.1:${portOf(tokens)}`
    const registry = createServer((_request, response) =>
      response.writeHead(401, { 'www-authenticate': `Bearer realm="http://${realm}/token"` }).end(),
    )
    await once(registry.listen(0, '127.0.0.1'), 'listening')
    const host = `127.0.0.1:${portOf(registry)}`
    const found = await testerOf(host, realm).test(loginAt(host))
    expect(found).toMatchObject({ verdict, detail: expect.stringMatching(detail) })
    expect(found.detail).toContain(realm)
    for (const server of [tokens, registry]) server.closeAllConnections()
    for (const server of [tokens, registry]) server.close()
  },
)

test('an image that is not there is named with its tag', async () => {
  await using registry = await startRegistry()
  const image = imageOf('acme/web', '2')
  const { detail } = await testerOf(registry.host).test({ ...loginAt(registry.host), image })
  expect(detail).toContain(`shows it no image ${registry.host}/acme/web:2:`)
})
