import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { type IncomingMessage, request } from 'node:http'
import { expect, test } from 'vitest'
import type { MadeToken, TokenPage } from '../../../../api/callers/token.ts'
import type { Deployment } from '../../../../api/deployment.ts'
import { Problem } from '../../../../api/problem.ts'
import { operator } from '../../../../gateway/src/callers/principal.ts'
import {
  sourceBehind,
  trustedProxies,
} from '../../../../gateway/src/callers/proxies/trusted-proxies.ts'
import { authorization, startHttp, toLive } from '../start-http.ts'

type Http = Awaited<ReturnType<typeof startHttp>>

const bearer = (token: string) => ({ Authorization: `Bearer ${token}` })

async function call(
  http: Http,
  method: string,
  path: string,
  { body, headers = authorization }: { body?: unknown; headers?: Record<string, string> } = {},
) {
  const response = await fetch(http.url + path, {
    method,
    headers,
    ...(body !== undefined && { body: JSON.stringify(body) }),
  })
  return {
    status: response.status,
    headers: response.headers,
    body: (await response.json()) as never,
  }
}

async function made(http: Http, wanted: object = {}): Promise<MadeToken> {
  const { status, body } = await call(http, 'POST', '/v1/tokens', {
    body: { name: 'ci', ...wanted },
  })
  expect([status, body]).toMatchObject([201, {}])
  return body
}

const link = async (http: Http): Promise<MadeToken> =>
  (await call(http, 'POST', '/v1/apps/shop/deploy-link')).body

const deploy = (
  http: Http,
  token: string,
  headers: Record<string, string> = {},
  query = 'shop?follow=false',
) =>
  fetch(`${http.url}/deploy/${query}`, {
    method: 'PUT',
    body: 'archive',
    headers: { ...bearer(token), ...headers },
  })

test('a token is made, used, listed without its secret, rotated and revoked', async () => {
  await using http = await startHttp()
  const { token, ...facts } = await made(http, { scopes: ['read'], apps: ['shop'] })
  const own = { headers: bearer(token) }
  expect((await call(http, 'GET', '/v1/apps/shop/deployments', own)).status).toBe(200)
  expect((await call(http, 'GET', '/v1/apps/other/deployments', own)).body).toMatchObject({
    code: 'app-not-found',
  })
  expect((await deploy(http, token)).status).toBe(403)

  const listed: TokenPage = (await call(http, 'GET', '/v1/tokens')).body
  expect(listed.tokens).toEqual([{ ...facts, lastUsedAt: expect.any(String) }])
  expect((await call(http, 'GET', `/v1/tokens/${facts.id}`)).body).toMatchObject({ name: 'ci' })

  const rotated: MadeToken = (await call(http, 'POST', '/v1/tokens/ci/rotate')).body
  expect(rotated).toMatchObject({ id: facts.id, oldSecretUntil: null })
  expect((await call(http, 'GET', '/v1/apps/shop/deployments', own)).body).toMatchObject({
    status: 401,
    code: 'token-revoked',
  })
  const next = { headers: bearer(rotated.token) }
  expect((await call(http, 'GET', '/v1/apps/shop/deployments', next)).status).toBe(200)

  expect((await call(http, 'DELETE', '/v1/tokens/ci')).body).toMatchObject({ state: 'revoked' })
  expect((await call(http, 'GET', '/v1/apps/shop/deployments', next)).status).toBe(401)
  expect(((await call(http, 'GET', '/v1/tokens')).body as TokenPage).tokens).toEqual([])
  expect(((await call(http, 'GET', '/v1/tokens?all=true')).body as TokenPage).tokens).toHaveLength(
    1,
  )
  expect(http.logged.join('')).not.toContain(token.slice(16))
})

test('a wrong request for a token says which part is wrong', async () => {
  await using http = await startHttp()
  const answer = async (body: object) =>
    (await call(http, 'POST', '/v1/tokens', { body })).body as { code: string; detail: string }
  expect(await answer({ name: 'ci', scopes: ['depoly'] })).toMatchObject({
    code: 'scope-unknown',
    detail:
      'There is no scope depoly. Did you mean deploy? The scopes are read, deploy, secrets, preview, exec, admin.',
  })
  for (const [body, code, word] of [
    [{}, 'option-invalid', 'name'],
    [{ name: '-x' }, 'option-invalid', 'a token is named by'],
    [{ name: 'ci', scopes: [] }, 'option-invalid', 'scopes'],
    [{ name: 'ci', scopes: [7] }, 'option-invalid', 'scopes'],
    [{ name: 'ci', apps: ['*'] }, 'option-invalid', 'apps.0'],
    [{ name: 'ci', apps: ['Shop'] }, 'option-invalid', 'apps.0'],
    [{ name: 'ci', expires: 'soon' }, 'option-invalid', 'expires'],
    [{ name: 'ci', expires: '2020-01-01' }, 'option-invalid', 'sooner or past'],
    [{ name: 'ci', expires: '1s' }, 'option-invalid', 'at least 60 s'],
    [{ name: 'ci', secret: 'x' }, 'option-unknown', 'There is no option secret'],
  ] as const)
    expect([body, await answer(body)]).toMatchObject([
      body,
      { code, detail: expect.stringContaining(word) as string },
    ])
})

test('a limited caller makes only tokens within its limits, and one without admin makes none', async () => {
  await using http = await startHttp()
  const admin = await made(http, { name: 'admin', scopes: ['admin'], apps: ['pr-*'] })
  const by = async (token: string, body: object) =>
    (await call(http, 'POST', '/v1/tokens', { body, headers: bearer(token) })).status
  expect(await by(admin.token, { name: 'a', apps: ['pr-1'] })).toBe(201)
  expect(await by(admin.token, { name: 'b', apps: ['shop'] })).toBe(403)
  const ci = await made(http, { name: 'deployer' })
  expect(await by(ci.token, { name: 'c' })).toBe(403)
  const headers = bearer(ci.token)
  expect((await call(http, 'POST', '/v1/apps/shop/deploy-link', { headers })).status).toBe(201)
})

test('a token in the address is refused and says so, on every route, and is in no log', async () => {
  await using http = await startHttp()
  const { token } = await made(http)
  const secret = 'a-secret-of-somebody'
  for (const path of [
    `/v1/status?token=${secret}`,
    `/v1/status?ACCESS_TOKEN=${secret}`,
    `/v1/status?%74oken=${secret}`,
    `/v1/apps/shop/deployments?key=${token}`,
    `/v1/tokens/${token}`,
    `/v1/deployments/d1/events?token=${secret}`,
    `/nothing?api_key=${secret}`,
    `/readyz?token=${secret}`,
  ])
    for (const headers of [{}, authorization]) {
      const { status, body } = await call(http, 'GET', path, { headers })
      expect([path, status, body]).toMatchObject([path, 400, { code: 'token-in-query' }])
    }
  const refused = await fetch(`${http.url}/deploy/shop?access_token=${secret}`, {
    method: 'PUT',
    body: 'x',
  })
  expect(await refused.text()).toContain(
    'A token belongs in the header: Authorization: Bearer <token>.',
  )
  expect(http.logged.join('')).not.toContain(secret)
  expect(http.logged.join('')).not.toContain(token)
  // The key of a request, and variables of a deployment, are no tokens.
  expect((await call(http, 'GET', '/v1/apps/shop/deployments?key=abc')).status).toBe(200)
})

test('wrong tokens are slowed, and a valid one from the same address is not', async () => {
  await using http = await startHttp()
  const { token } = await made(http, { scopes: ['read'] })
  const guess = (n: number) => http.get('/v1/status', bearer(`guess-number-${n}`))
  for (let n = 0; n < 10; n++) expect((await guess(n)).status).toBe(401)
  const slow = Array.from({ length: 40 }, (_, n) => guess(n))
  const early = await Promise.race(slow)
  expect([early.status, early.headers.get('retry-after')]).toEqual([429, '10'])
  let pending = true
  const refused = Promise.any(
    slow.map(async (each) => ((await each).status === 401 ? true : Promise.reject(new Error()))),
  ).finally(() => (pending = false))
  const path = '/v1/apps/shop/deployments'
  expect((await http.get(path, bearer(token))).status).toBe(200)
  expect(pending).toBe(true)
  expect(await refused).toBe(true)
})

test.each([
  ['fly', 'fly-client-ip', '10.0.0.9', '10.0.0.10'],
  ['tailscale', 'x-forwarded-for', '1.2.3.4, 100.64.0.9', '1.2.3.4, 100.64.0.10'],
] as const)(
  'behind a proxy of the operator a guesser does not delay its neighbours: %s',
  async (kind, header, guesser, neighbour) => {
    const isTrusted = trustedProxies([{ kind, range: '127.0.0.0/8' }])
    await using http = await startHttp({ sourceOf: sourceBehind(isTrusted) })
    const from = (address: string, other = {}) =>
      http.get('/v1/status', { ...bearer('guess-number-1'), [header]: address, ...other })
    const guesses = Array.from({ length: 40 }, () => from(guesser))
    expect((await Promise.race(guesses.slice(10))).status).toBe(429)
    // A header of another kind of proxy is not believed.
    const other = kind === 'fly' ? 'x-forwarded-for' : 'fly-client-ip'
    expect((await from(guesser, { [other]: '10.0.0.77' })).status).toBe(429)
    expect((await from(neighbour)).status).toBe(401)
  },
)

test('a damaged token is known as one', async () => {
  await using http = await startHttp()
  const { token } = await made(http)
  const { body, headers } = await call(http, 'GET', '/v1/status', {
    headers: bearer(token.slice(0, 40)),
  })
  expect(body).toMatchObject({ status: 401, code: 'token-damaged' })
  expect(headers.get('www-authenticate')).toBe('Bearer')
})

test('a deploy link deploys once with curl; a retry gets the same deployment, a replay does not', async () => {
  await using http = await startHttp()
  const { token } = await link(http)
  const key = { 'Idempotency-Key': randomUUID() }
  const first = (await (await deploy(http, token, key)).json()) as Deployment
  const again = (await (await deploy(http, token, key)).json()) as Deployment
  expect([first.app, again.id]).toEqual(['shop', first.id])

  const uploads = http.received.length
  for (const headers of [{}, { 'Idempotency-Key': randomUUID() }]) {
    const replay = await deploy(http, token, headers)
    expect(replay.status).toBe(409)
    expect(await replay.json()).toMatchObject({ code: 'token-used', deployment: first.id })
  }
  expect(http.received).toHaveLength(uploads) // refused before the source is read
  expect((await http.store.list('shop', { limit: 9, before: null })).deployments).toHaveLength(1)
})

test('of two uploads at once with one deploy link, one deployment is made', async () => {
  await using http = await startHttp()
  const { token } = await link(http)
  const answers = await Promise.all(Array.from({ length: 5 }, () => deploy(http, token)))
  expect(answers.map(({ status }) => String(status)).toSorted()).toEqual([
    '202',
    '409',
    '409',
    '409',
    '409',
  ])
  expect((await http.store.list('shop', { limit: 9, before: null })).deployments).toHaveLength(1)
})

test('a deploy link reads its own deployment and log, and nothing else', async () => {
  await using http = await startHttp()
  const other = await http.create()
  const { token } = await link(http)
  const read = async (path: string) => (await http.get(path, bearer(token))).status
  expect(await read(`/v1/deployments/${other.id}`)).toBe(404)

  const own = (await (await deploy(http, token)).json()) as Deployment
  expect(await read(`/v1/deployments/${own.id}`)).toBe(200)
  expect(await read(`/v1/deployments/${own.id}/log`)).toBe(200)
  for (const path of [
    `/v1/deployments/${other.id}`,
    `/v1/deployments/${other.id}/log`,
    `/v1/deployments/${other.id}/events`,
  ])
    expect([path, await read(path)]).toEqual([path, 404])
  for (const path of ['/v1/apps/shop/deployments', '/v1/apps/shop', '/v1/status', '/v1/tokens'])
    expect([path, await read(path)]).toEqual([path, 403])
  const elsewhere = await fetch(`${http.url}/deploy/other`, {
    method: 'PUT',
    body: 'archive',
    headers: bearer(token),
  })
  expect(elsewhere.status).toBe(404)
  for (const act of ['cancel', 'retry'])
    expect(
      (await call(http, 'POST', `/v1/deployments/${own.id}/${act}`, { headers: bearer(token) }))
        .status,
    ).toBe(403)
})

test('curl with a deploy link gets the live log to its verdict', async () => {
  await using http = await startHttp()
  const { token } = await link(http)
  const response = await deploy(http, token, {}, 'shop')
  await http.play(toLive)
  const log = await response.text()
  expect(log).toContain('added 3 packages')
  expect(log).toContain('http://shop.localhost/')
})

test('revocation cuts open readers of every format, and the deployment goes on', async () => {
  await using http = await startHttp()
  const { token } = await made(http)
  const { id } = await http.create()
  const open = async (accept: string) => {
    const response = await http.get(`/v1/deployments/${id}/events`, { ...bearer(token), accept })
    return response.text()
  }
  const socket = new WebSocket(`${http.url.replace('http', 'ws')}/v1/deployments/${id}/events`, {
    headers: bearer(token),
  })
  const closed = new Promise<CloseEvent>((resolve) => socket.addEventListener('close', resolve))
  const opened = new Promise((resolve) => socket.addEventListener('open', resolve))
  const texts = ['text/event-stream', 'application/x-ndjson', 'text/plain'].map(open)
  const live = deploy(http, token, {}, 'live').then((response) => response.text())
  const waiting = deploy(http, token, {}, 'waiting?wait=true')
  await opened
  await expect.poll(async () => (await http.awake.look()).counts.readers).toBe(5)
  await expect.poll(() => http.received.length).toBe(2)

  await call(http, 'DELETE', '/v1/tokens/ci')
  for (const text of [...(await Promise.all(texts)), await live])
    expect(text).toContain('Reconnect with a valid token.')
  expect((await closed).code).toBe(1008)
  expect(await (await waiting).text()).toContain('read its record with a valid token')
  const played = await http.play(toLive)
  expect(await http.store.find(played.id)).toMatchObject({ state: 'live' })
  expect((await http.get(`/v1/deployments/${id}/events`, bearer(token))).status).toBe(401)
})

test('an upload that ends after the revocation of its token deploys nothing', async () => {
  await using http = await startHttp()
  const { token } = await made(http)
  async function* body() {
    yield Buffer.from('first')
    await call(http, 'DELETE', '/v1/tokens/ci')
    yield Buffer.from('second')
  }
  const response = await fetch(`${http.url}/deploy/shop?follow=false`, {
    method: 'PUT',
    headers: bearer(token),
    body: ReadableStream.from(body()),
    duplex: 'half',
  })
  expect(await response.json()).toMatchObject({ code: 'token-revoked' })
  expect((await http.store.list('shop', { limit: 9, before: null })).deployments).toEqual([])
})

test('the form of a rollout is read only for a caller that may deploy to all its targets', async () => {
  await using http = await startHttp()
  const limited = await made(http, { name: 'limited', apps: ['shop'] })
  const reader = await made(http, { name: 'reader', scopes: ['read'] })
  const send = async (token: string, fields: [string, string | Blob][]) => {
    const form = new FormData()
    for (const [name, value] of fields) form.append(name, value)
    const response = await fetch(`${http.url}/v1/rollouts`, {
      method: 'POST',
      headers: bearer(token),
      body: form,
    })
    return ((await response.json()) as { code: string }).code
  }
  const source: [string, Blob] = ['source', new Blob(['archive'])]
  const rollout = (...apps: string[]): [string, string] => [
    'rollout',
    JSON.stringify({ targets: apps.map((app) => ({ app })) }),
  ]
  expect(await send(reader.token, [rollout('shop'), source])).toBe('forbidden')
  expect(await send(limited.token, [rollout('shop', 'other'), source])).toBe('app-not-found')
  expect(await send(limited.token, [source, rollout('shop')])).toBe('request-invalid')
  expect(http.received).toEqual([])
  await send(limited.token, [rollout('shop'), source])
  expect(http.received).toHaveLength(1)
})

test('a caller without the right to an app is refused before its source is read', async () => {
  await using http = await startHttp()
  const { token } = await made(http, { apps: ['other'] })
  const { token: admin } = await made(http, { name: 'admin', scopes: ['admin'], apps: ['shop'] })
  for (const [method, path, by, status] of [
    ['PUT', '/deploy/shop', token, 404],
    ['POST', '/v1/apps/shop/deployments', token, 404],
    ['PUT', '/v1/backup', admin, 403],
  ] as const) {
    const headers = { ...bearer(by), 'content-length': 1_000_000, expect: '100-continue' }
    const asked = request(http.url + path, { method, headers })
    asked.flushHeaders()
    const asksForBody = once(asked, 'continue').then(() => 'continue')
    const refused = once(asked, 'response').then(
      ([response]) => (response as IncomingMessage).statusCode,
    )
    expect([path, await Promise.race([asksForBody, refused])]).toEqual([path, status])
    asksForBody.catch(() => {})
    asked.on('error', () => {}).destroy()
  }
  expect(http.received).toEqual([])
})

test('a right that ends while a source is resolved makes nothing, nor does a used link', async () => {
  await using http = await startHttp()
  const submissions = http.submissions
  const deployment = await http.create()
  const source = { deployment: deployment.id }
  const target = { app: 'shop', options: deployment.options, idempotencyKey: 'k1', requestBody: 1 }
  const link = (made: string | null) => ({ id: 'l1', deployment: made, noteUse: () => {} })
  const by = (made: string | null) => ({ ...operator, link: link(made) })
  await expect(submissions.deployExisting(by('d9'), source, target)).rejects.toMatchObject({
    code: 'token-used',
  })
  const proof = {
    ended: () => AbortSignal.abort(),
    assertHolds: () => {
      throw new Problem('token-revoked', 'It was revoked.')
    },
  }
  const submission = {
    app: 'shop',
    options: deployment.options,
    source: null,
    idempotencyKey: null,
  }
  await expect(submissions.submit({ ...operator, proof }, submission)).rejects.toMatchObject({
    code: 'token-revoked',
  })
  expect((await http.store.list('shop', { limit: 9, before: null })).deployments).toHaveLength(1)
})
