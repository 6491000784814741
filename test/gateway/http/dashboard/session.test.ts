import { expect, test } from 'vitest'
import { MadeToken } from '../../../../api/callers/token.ts'
import { authorization, startHttp, token, toLive } from '../start-http.ts'
import { ask, formKeyIn, logIn, post } from './as-browser.ts'

test('a token opens a session, which only the browser holds', async () => {
  await using server = await startHttp()
  const answer = await post(server, '/ui/login', { token: ` ${token}\n`, next: '/ui/apps/shop' })
  expect([answer.status, answer.headers.get('location')]).toEqual([303, '/ui/apps/shop'])
  expect(answer.headers.get('set-cookie')).toMatch(
    /^tarmac-session=[\w-]{43}; Max-Age=4\d{4}; Path=\/; HttpOnly; SameSite=Strict$/,
  )
  const cookie = answer.headers.get('set-cookie')!.split(';')[0]!
  const page = await ask(server, '/ui', { cookie })
  expect([page.status, await page.text()]).toEqual([200, expect.stringContaining('operator')])
  expect(Object.fromEntries(page.headers)).toMatchObject({
    'content-security-policy': expect.stringContaining("default-src 'none'"),
    'x-content-type-options': 'nosniff',
    'referrer-policy': 'same-origin',
    'cache-control': 'no-store',
  })
  const { entries } = (await (await server.get('/v1/audit')).json()) as { entries: object[] }
  expect(entries).toContainEqual(
    expect.objectContaining({
      command: 'sessions.open',
      caller: expect.objectContaining({ name: 'operator' }),
    }),
  )
  expect(JSON.stringify(entries) + server.logged.join('')).not.toContain(token)
})

test('behind TLS the cookie is for TLS and this host alone', async () => {
  await using server = await startHttp()
  const tls = { 'x-forwarded-proto': 'https' }
  const answer = await post(server, '/ui/login', { token }, { headers: tls })
  expect(answer.headers.get('set-cookie')).toMatch(
    /^__Host-tarmac-session=.*; Path=\/; HttpOnly; SameSite=Strict; Secure$/,
  )
  const cookie = answer.headers.get('set-cookie')!.split(';')[0]!
  expect((await ask(server, '/ui', { cookie, headers: tls })).status).toBe(200)
  const planted = cookie.replace('__Host-', '')
  expect((await ask(server, '/ui', { cookie: planted, headers: tls })).status).toBe(401)
})

test('a stranger gets the login, with the page to come back to; never another host', async () => {
  await using server = await startHttp()
  const page = await ask(server, '/ui/apps/shop?owner=ada')
  expect([page.status, await page.text()]).toEqual([
    401,
    expect.stringContaining('name="next" value="/ui/apps/shop?owner=ada"'),
  ])
  for (const next of ['//evil.example', 'https://evil.example', '/v1/status', '/ui\\evil', '/uix'])
    expect((await post(server, '/ui/login', { token, next })).headers.get('location')).toBe('/ui')
  const root = await ask(server, '/')
  expect([root.status, root.headers.get('location')]).toEqual([303, '/ui'])
  expect((await server.get('/')).status).toBe(404)
})

test('a session reads logs, and nothing else of the API', async () => {
  await using server = await startHttp()
  const { id } = await server.create()
  await server.play(toLive)
  const cookie = await logIn(server)
  const events = await ask(server, `/v1/deployments/${id}/events`, { cookie })
  expect([events.status, await events.text()]).toEqual([200, expect.stringContaining('event: end')])
  expect((await ask(server, `/v1/deployments/${id}/log`, { cookie })).status).toBe(200)
  for (const path of [`/v1/deployments/${id}`, '/v1/status', '/v1/tokens'])
    expect((await ask(server, path, { cookie })).status).toBe(401)
  const cancel = await ask(server, `/v1/deployments/${id}/cancel`, { cookie, method: 'POST' })
  expect(cancel.status).toBe(401)
})

test('a wrong token is refused, in words for a person', async () => {
  await using server = await startHttp()
  for (const wrong of ['nonsense', '']) {
    const answer = await post(server, '/ui/login', { token: wrong, next: '/ui/apps/shop' })
    expect(answer.status).toBe(401)
    expect(await answer.text()).toMatch(wrong ? /does not know the token/ : /Enter a token/)
    expect(answer.headers.get('set-cookie')).toBeNull()
  }
})

test('a session ends when its token is revoked, also for a log that it reads', async () => {
  await using server = await startHttp()
  const made = await fetch(`${server.url}/v1/tokens`, {
    method: 'POST',
    headers: { ...authorization, 'content-type': 'application/json' },
    body: JSON.stringify({ name: 'phone', scopes: ['read'] }),
  })
  const { token: secret } = MadeToken.parse(await made.json())
  const { id } = await server.create()
  const cookie = await logIn(server, secret)
  expect(await (await ask(server, '/ui', { cookie })).text()).toContain('token:phone')
  const reading = await ask(server, `/v1/deployments/${id}/events`, { cookie })

  await fetch(`${server.url}/v1/tokens/phone`, { method: 'DELETE', headers: authorization })
  expect(await reading.text()).toContain('event: unauthorized')
  const page = await ask(server, '/ui', { cookie })
  expect([page.status, await page.text()]).toEqual([401, expect.stringContaining('was revoked')])
})

test('a caller logs out here, or everywhere; streams end with it', async () => {
  await using server = await startHttp()
  const { id } = await server.create()
  const [here, there, third] = [await logIn(server), await logIn(server), await logIn(server)]
  const reading = await ask(server, `/v1/deployments/${id}/events`, { cookie: here })
  const key = async (cookie: string) =>
    formKeyIn(await (await ask(server, '/ui', { cookie })).text())

  const out = await post(server, '/ui/logout', { 'form-key': await key(here) }, { cookie: here })
  expect([out.status, out.headers.get('location')]).toEqual([303, '/ui/login'])
  expect(out.headers.get('set-cookie')).toMatch(/^tarmac-session=; Max-Age=0/)
  expect(await reading.text()).toContain('event: unauthorized')
  const statusOf = async (cookie: string) => (await ask(server, '/ui', { cookie })).status
  expect([await statusOf(here), await statusOf(there)]).toEqual([401, 200])
  expect(await (await ask(server, '/ui', { cookie: here })).text()).toContain('session has ended')

  const fields = { 'form-key': await key(there) }
  expect((await post(server, '/ui/logout-everywhere', fields, { cookie: there })).status).toBe(303)
  expect([await statusOf(there), await statusOf(third)]).toEqual([401, 401])
})

test('a form of another page does nothing', async () => {
  await using server = await startHttp()
  const [cookie, other] = [await logIn(server), await logIn(server)]
  const own = formKeyIn(await (await ask(server, '/ui', { cookie })).text())
  const send = async (fields: Record<string, string>, more: object) =>
    (await post(server, '/ui/logout', fields, more)).status
  const good = { 'form-key': own }
  expect([
    await send({}, { cookie }),
    await send({ 'form-key': 'guessed' }, { cookie }),
    await send(good, { cookie: other }),
    await send(good, { cookie, headers: { 'sec-fetch-site': 'same-site' } }),
    await send(good, { cookie, headers: { origin: 'http://evil.example' } }),
    await send(good, { cookie, headers: { origin: 'null' } }),
  ]).toEqual([403, 403, 403, 403, 401, 401])
  const bare = await fetch(`${server.url}/ui/logout`, {
    method: 'POST',
    body: new URLSearchParams(good),
    headers: { cookie },
  })
  expect(bare.status).toBe(403)
  expect((await ask(server, '/ui', { cookie })).status).toBe(200)
})

test('without tokens there is no login', async () => {
  await using server = await startHttp({ authenticate: null })
  const page = await ask(server, '/ui')
  const text = await page.text()
  expect(page.status).toBe(200)
  expect(text).not.toContain('Log out')
  expect(text).toContain(`TARMAC_GATEWAY=${server.url}`)
})

test('assets are kept for ever, and are small', async () => {
  await using server = await startHttp()
  const page = await (await ask(server, '/ui')).text()
  const paths = [...page.matchAll(/(?:href|src)="(\/ui\/assets\/[^"]+)"/g)].map(([, path]) => path!)
  expect(paths.length).toBeGreaterThan(2)
  let bytes = 0
  for (const path of paths) {
    const asset = await ask(server, path)
    expect([path, asset.status, asset.headers.get('cache-control')]).toEqual([
      path,
      200,
      'public, max-age=31536000, immutable',
    ])
    bytes += (await asset.arrayBuffer()).byteLength
  }
  expect(bytes).toBeLessThan(100_000)
  expect((await ask(server, '/ui/assets/dashboard.000000000000.css')).status).toBe(404)
})
