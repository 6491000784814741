import { expect, test } from 'vitest'
import type { Registry } from '../../../../api/registries/registry.ts'
import { startRegistry } from '../../registries/fake-registry.ts'
import { authorization, startHttp, token } from '../start-http.ts'

const password = 'right-password'
type Body = Partial<Registry> & { code?: string; detail?: string; registries?: Registry[] }

/** The HTTP server over the real store, and a registry that its settings name. */
async function startBoth(kind: Parameters<typeof startRegistry>[0] = {}) {
  await using opening = new AsyncDisposableStack()
  const registry = opening.use(await startRegistry({ password, ...kind }))
  const http = opening.use(await startHttp({ registriesAt: [registry.host] }))
  const open = opening.move()
  const texts: string[] = []
  const ask = async (method: string, path: string, body?: object, bearer = token) => {
    const response = await fetch(`${http.url}/v1${path}`, {
      method,
      headers: { ...authorization, Authorization: `Bearer ${bearer}` },
      ...(body && { body: JSON.stringify(body) }),
    })
    const text = await response.text()
    texts.push(text)
    return { status: response.status, body: JSON.parse(text) as Body }
  }
  const login = { address: `${registry.host}/acme`, username: 'bot', password }
  const tokenOf = async (team: string, more: object = {}): Promise<string> => {
    const body = { name: `of-${team}-${texts.length}`, scopes: ['admin'], team, ...more }
    const made = (await ask('POST', '/tokens', body)).body as { token?: string }
    return made.token!
  }
  return {
    registry,
    http,
    ask,
    login,
    texts,
    tokenOf,
    [Symbol.asyncDispose]: () => open.disposeAsync(),
  }
}

test('a login is tested before it is kept, listed without its password, tested again and removed', async () => {
  await using all = await startBoth()
  const { ask, login, registry, texts } = all
  const wrong = await ask('POST', '/registries', { ...login, password: 'wrong-password' })
  expect(wrong).toMatchObject({ status: 422, body: { code: 'registry-login-refused' } })
  expect(wrong.body.detail).toContain('does not accept the user name bot')
  expect((await ask('GET', '/registries')).body.registries).toEqual([])

  const added = await ask('POST', '/registries', { ...login, image: `${registry.host}/acme/web:1` })
  expect(added).toMatchObject({
    status: 201,
    body: {
      address: `${registry.host}/acme`,
      username: 'bot',
      team: null,
      createdBy: 'operator',
      lastTest: { verdict: 'works', image: `${registry.host}/acme/web:1` },
      lastUsedAt: null,
    },
  })
  expect(await ask('POST', '/registries', login)).toMatchObject({
    status: 409,
    body: { code: 'registry-exists' },
  })
  expect((await ask('GET', '/registries')).body.registries).toEqual([added.body])

  registry.state.password = 'changed-there'
  const byAddress = `/registries/${encodeURIComponent(login.address)}`
  const tested = await ask('POST', `${byAddress}/test`)
  expect(tested).toMatchObject({ status: 200, body: { lastTest: { verdict: 'wrong-password' } } })
  expect((await ask('GET', '/registries')).body.registries).toEqual([tested.body])

  expect(await ask('DELETE', `/registries/${added.body.id}`)).toMatchObject({ status: 200 })
  expect(await ask('DELETE', byAddress)).toMatchObject({
    status: 404,
    body: { code: 'registry-not-found' },
  })
  expect(texts.join()).not.toContain(password)
})

test('a rotation that does not work keeps the password before, and one that works replaces it', async () => {
  await using all = await startBoth()
  const { ask, login, registry, http } = all
  const { id } = (await ask('POST', '/registries', login)).body
  const path = `/registries/${id}`
  const used = () =>
    http.registries.login('shop', { host: registry.host, repository: 'acme/web' })?.password

  expect(await ask('PUT', path, { password: 'not-yet-right' })).toMatchObject({
    body: { code: 'registry-login-refused' },
  })
  expect(used()).toBe(password)

  registry.state.password = 'the-next-one'
  expect(await ask('PUT', path, { password: 'the-next-one' })).toMatchObject({
    status: 200,
    body: { id, rotatedAt: expect.any(String), lastTest: { verdict: 'works' } },
  })
  expect(used()).toBe('the-next-one')

  expect(await ask('PUT', path, { password: 'later', test: false })).toMatchObject({
    status: 200,
    body: { lastTest: null },
  })
  expect(used()).toBe('later')
})

test.each([
  [{ address: 'velocity' }, 'registry-invalid', 'docker.io/velocity'],
  [{ username: 'a:b' }, 'registry-invalid', 'without a colon'],
  [{ password: '' }, 'registry-invalid', 'password: is empty'],
  [{ password: 'x'.repeat(17_000) }, 'registry-invalid', 'at most 16 KiB'],
  [{ pasword: 'x' }, 'registry-invalid', 'pasword'],
  [{ team: 'none-such' }, 'team-not-found', 'none-such'],
  [{ address: '10.0.0.1:5000' }, 'registry-address-forbidden', 'TARMAC_IMAGES'],
  [{ address: 'localhost:1' }, 'registry-address-forbidden', 'TARMAC_IMAGES'],
  [{ image: 'docker.io/library/node:22' }, 'registry-invalid', 'whole name'],
])('a login with %j is refused as %s', async (fault, code, words) => {
  await using all = await startBoth()
  const { ask, login } = all
  const { body } = await ask('POST', '/registries', { ...login, ...fault })
  expect(body.code).toBe(code)
  expect(body.detail).toContain(words)
  expect(all.registry.asked).toEqual([])
})

test('an administrator of a team has the logins of the team, and neither sees nor changes others', async () => {
  await using all = await startBoth()
  const { ask, login, tokenOf } = all
  for (const name of ['acme', 'other']) await ask('POST', '/teams', { name })
  const [acme, other] = [await tokenOf('acme'), await tokenOf('other')]
  const untested = { ...login, test: false }
  const forAll = (await ask('POST', '/registries', untested)).body

  const own = await ask('POST', '/registries', untested, acme)
  expect(own).toMatchObject({ status: 201, body: { team: 'acme' } })
  expect(await ask('POST', '/registries', { ...untested, team: null }, acme)).toMatchObject({
    status: 403,
  })
  expect(await ask('POST', '/registries', { ...untested, team: 'other' }, acme)).toMatchObject({
    status: 404,
    body: { code: 'team-not-found' },
  })
  expect((await ask('GET', '/registries', undefined, acme)).body.registries).toEqual([own.body])
  expect((await ask('GET', '/registries', undefined, other)).body.registries).toEqual([])
  expect((await ask('GET', '/registries')).body.registries).toHaveLength(2)

  for (const [method, path, body] of [
    ['POST', '/test', {}],
    ['PUT', '', { password: 'stolen', test: false }],
    ['DELETE', '', undefined],
  ] as const)
    for (const [bearer, { id }] of [
      [other, own.body],
      [acme, forAll],
    ] as const)
      expect(await ask(method, `/registries/${id}${path}`, body, bearer)).toMatchObject({
        status: 404,
        body: { code: 'registry-not-found' },
      })

  const ofApp = await tokenOf('acme', { apps: ['shop'] })
  expect(await ask('POST', '/registries', untested, ofApp)).toMatchObject({ status: 403 })
  expect((await ask('GET', '/registries', undefined, ofApp)).body.registries).toEqual([])

  // By its address, the operator must say which of the two.
  const named = await ask('DELETE', `/registries/${encodeURIComponent(login.address)}`)
  expect(named.body).toMatchObject({ code: 'registry-invalid' })
  expect(named.body.detail).toContain(own.body.id)
  expect(await ask('DELETE', '/teams/acme')).toMatchObject({ body: { code: 'team-not-empty' } })
  expect(await ask('DELETE', `/registries/${own.body.id}`, undefined, acme)).toMatchObject({
    status: 200,
  })
})

test('the audit trail has each change without a password, and the log has none', async () => {
  await using all = await startBoth()
  const { ask, login, http, texts } = all
  const { id } = (await ask('POST', '/registries', login)).body
  await ask('PUT', `/registries/${id}`, { password: 'another-secret', test: false })
  await ask('POST', `/registries/${id}/test`, {})
  await ask('DELETE', `/registries/${id}`)
  await ask('GET', '/audit?limit=100')
  const { entries } = JSON.parse(texts.at(-1)!) as {
    entries: { command: string; result: string; asked: object }[]
  }
  const changes = entries.filter(({ command }) => command.startsWith('registries.')).toReversed()
  expect(changes.map(({ command }) => command.split('.')[1])).toEqual([
    'add',
    'rotate',
    'test',
    'remove',
  ])
  expect(changes[0]).toMatchObject({
    command: 'registries.add',
    result: 'ok',
    asked: { address: login.address, username: 'bot' },
  })
  for (const secret of [password, 'another-secret', btoa(`bot:${password}`)])
    expect([...texts, ...http.logged].join()).not.toContain(secret)
})
