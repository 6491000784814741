import { connect } from 'node:net'
import { text } from 'node:stream/consumers'
import { expect, test } from 'vitest'
import { Problem } from '#api/problem.ts'
import { authorization, startHttp, token, toLive } from './start-http.ts'

type Http = Awaited<ReturnType<typeof startHttp>>
const send = (
  http: Http,
  method: string,
  path: string,
  body: string | FormData = 'bytes',
  headers = {},
) => {
  const json = { Accept: 'application/json, text/plain', ...authorization }
  return fetch(`${http.url}${path}`, { method, body, headers: { ...json, ...headers } })
}

test('a missing and a wrong token get the same answer, and every token of the list is accepted', async () => {
  await using http = await startHttp()
  const answers = [{}, { Authorization: 'Bearer nope' }, { Authorization: token }].map(
    async (headers) => {
      const answer = await fetch(`${http.url}/v1/deployments/d1`, { headers })
      const { requestId, ...body } = (await answer.json()) as Record<string, unknown>
      expect(answer.headers.get('X-Request-Id')).toBe(requestId)
      return [
        answer.status,
        answer.headers.get('WWW-Authenticate'),
        answer.headers.get('Content-Type'),
        body,
      ]
    },
  )
  const [missing, wrong, bare] = await Promise.all(answers)
  expect(missing).toMatchObject([
    401,
    'Bearer',
    'application/problem+json',
    { code: 'unauthorized' },
  ])
  expect([wrong, bare]).toEqual([missing, missing])
  expect(
    (
      await http.get('/v1/apps/shop/deployments', {
        Authorization: 'Bearer another-token-of-tests',
      })
    ).status,
  ).toBe(200)
})

test('without tokens every call is allowed, except from another web page', async () => {
  await using http = await startHttp({ authenticate: null })
  expect((await fetch(`${http.url}/v1/apps/shop/deployments`)).status).toBe(200)
  const headers = { Origin: 'http://evil.example' }
  expect((await fetch(`${http.url}/v1/apps/shop/deployments`, { headers })).status).toBe(401)
  expect(
    (await fetch(`${http.url}/v1/apps/shop/deployments`, { headers: { Origin: http.url } })).status,
  ).toBe(200)
})

test('options reach the record, and invalid ones are refused before the body is read', async () => {
  await using http = await startHttp()
  const query =
    'follow=false&deploy=false&env.GREETING=a%20b%3Dc&build.NODE_ENV=test&region=fra&commit=abc123&message='
  const answer = await send(http, 'PUT', `/deploy/shop?${query}`)
  const record = (await answer.json()) as { id: string }
  expect(answer.status).toBe(202)
  expect(answer.headers.get('Location')).toBe(`/v1/deployments/${record.id}`)
  expect(record).toMatchObject({
    app: 'shop',
    number: 1,
    state: 'pending',
    source: { sizeBytes: 5 },
  })
  expect(record).toMatchObject({
    options: {
      deploy: false,
      env: { GREETING: 'a b=c' },
      build: { NODE_ENV: 'test' },
      region: 'fra',
      message: null,
    },
  })

  const refused = async (query: string) => {
    const answer = await send(http, 'PUT', `/deploy/shop?${query}`)
    return [answer.status, ((await answer.json()) as { detail: string }).detail]
  }
  expect(await refused('regoin=fra')).toEqual([
    422,
    'There is no option regoin. Did you mean region?',
  ])
  expect(await refused('enviroment.A=1')).toEqual([422, expect.stringContaining('Did you mean')])
  expect(await refused('evn.A=1')).toEqual([
    422,
    'There is no option evn.A. Did you mean env.NAME?',
  ])
  expect(await refused('wiat=true')).toEqual([422, expect.stringContaining('Did you mean wait?')])
  expect(await refused('deploy=maybe')).toEqual([
    422,
    'The option deploy is invalid: expected true or false, got “maybe”.',
  ])
  expect(await refused('strategy=yolo')).toEqual([422, expect.stringContaining('strategy')])
  expect(await refused('env.1A=x')).toEqual([422, expect.stringContaining('env.1A')])
  expect(await refused('region=fra&region=iad')).toEqual([422, expect.stringContaining('twice')])
  expect(await refused('wait=true&follow=false')).toEqual([422, expect.stringContaining('exclude')])
  expect(http.received).toHaveLength(1)
  const about = await send(http, 'POST', '/v1/apps/shop/deployments?wait=true')
  expect([about.status, await about.json()]).toMatchObject([422, { code: 'option-unknown' }])
})

test('the trailer Content-Digest of a body or of the file in a form reaches the source reader', async () => {
  await using http = await startHttp()
  const contentDigest = 'sha-256=:AAAA:'
  const form =
    '--b\r\nContent-Disposition: form-data; name="source"; filename="s"\r\n\r\nbytes\r\n--b--\r\n'
  for (const [type, body] of [
    ['application/octet-stream', 'bytes'],
    ['multipart/form-data; boundary=b', form],
  ]) {
    const head = `POST /v1/apps/shop/deployments HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${token}\r\nContent-Type: ${type}\r\nTransfer-Encoding: chunked\r\nTrailer: Content-Digest\r\nConnection: close\r\n\r\n`
    const chunk = `${body!.length.toString(16)}\r\n${body}\r\n0\r\n`
    const answer = await http.raw(head, chunk, `Content-Digest: ${contentDigest}\r\n\r\n`)
    expect(answer).toMatch(/^HTTP\/1\.1 202 /)
  }
  const received = { sizeBytes: 5, contentDigest }
  expect(http.received).toEqual([received, received])
})

test('a service sends raw bytes with their digest, or a form whose fields are the options', async () => {
  await using http = await startHttp()
  const contentDigest = 'sha-256=:AAAA:'
  const raw = await send(http, 'POST', '/v1/apps/shop/deployments?trigger=ci', 'bytes', {
    'Content-Digest': contentDigest,
  })
  expect([raw.status, await raw.json()]).toMatchObject([202, { options: { trigger: 'ci' } }])
  expect(http.received).toEqual([{ sizeBytes: 5, contentDigest }])

  const form = new FormData()
  form.append('deploy', 'false')
  form.append('source', new Blob(['x'.repeat(300_000)]), 'source.tgz')
  form.append('env.COLOR', 'red')
  const answer = await send(http, 'POST', '/v1/apps/shop/deployments?region=fra', form)
  const record = await answer.json()
  expect(answer.headers.get('Location')).toMatch(/^\/v1\/deployments\/./)
  expect([answer.status, record]).toMatchObject([
    202,
    {
      source: { sizeBytes: 300_000 },
      options: { deploy: false, region: 'fra', env: { COLOR: 'red' } },
    },
  ])
})

test('an invalid form is answered at once, however much of it is still to come', async () => {
  await using http = await startHttp({ maxUploadBytes: 2 ** 20 })
  const form = (name: string, content: string, fields: Record<string, string> = {}) => {
    const form = new FormData()
    form.append(name, new Blob([content]), 'x')
    for (const [key, value] of Object.entries(fields)) form.append(key, value)
    return send(http, 'POST', '/v1/apps/shop/deployments', form).then(async (answer) => [
      answer.status,
      ((await answer.json()) as { code: string }).code,
    ])
  }
  expect(await form('source', `refuse${'x'.repeat(900_000)}`)).toEqual([415, 'archive-unsupported'])
  expect(await form('sauce', 'x')).toEqual([400, 'request-invalid'])
  expect(await form('source', 'x', { regoin: 'fra' })).toEqual([422, 'option-unknown'])
  expect(await form('source', 'x', { 'env[A]': 'x' })).toEqual([400, 'request-invalid'])
  expect(await form('source', 'x'.repeat(2 ** 21))).toEqual([413, 'archive-too-large'])
  expect((await http.store.list('shop', { limit: 9, before: null })).deployments).toEqual([])
})

test('records are listed newest first, page by page', async () => {
  await using http = await startHttp()
  for (let index = 0; index < 3; index++) await http.create()
  const page = async (query: string) => {
    const body = (await (await http.get(`/v1/apps/shop/deployments?${query}`)).json()) as {
      deployments: { number: number; id: string }[]
      next: string | null
    }
    return { numbers: body.deployments.map(({ number }) => number), ...body }
  }
  const first = await page('limit=2')
  expect(first.numbers).toEqual([3, 2])
  expect(await page(`limit=2&cursor=${first.next}`)).toMatchObject({ numbers: [1], next: null })
  const one = await http.get(`/v1/deployments/${first.deployments[0]!.id}`)
  expect([one.status, await one.json()]).toMatchObject([200, { number: 3, state: 'pending' }])
  for (const query of ['limit=0', 'limit=101', 'limit=x', 'cursor=%27'])
    expect((await http.get(`/v1/apps/shop/deployments?${query}`)).status).toBe(422)
})

test('a missing resource gets a clear 404', async () => {
  await using http = await startHttp()
  const answers = [
    [await http.get('/v1/deployments/none'), 404, 'deployment-not-found'],
    [await http.get('/v1/deployments/none/events'), 404, 'deployment-not-found'],
    [await http.get('/v1/apps/No_Name/deployments'), 422, 'app-name-invalid'],
    [await http.get('/v1/apps/%zz/deployments'), 400, 'request-invalid'],
    [await http.get('/v2'), 404, 'route-not-found'],
    [await send(http, 'DELETE', '/deploy/shop'), 405, 'method-not-allowed'],
  ] as const
  for (const [answer, status, code] of answers)
    expect([answer.status, await answer.json()]).toMatchObject([status, { code }])
})

test('a request with two hosts is refused', async () => {
  await using http = await startHttp()
  const socket = connect(http.port, '127.0.0.1')
  socket.write(
    'GET /v1/apps/shop/deployments HTTP/1.1\r\nHost: a\r\nHost: b\r\nConnection: close\r\n\r\n',
  )
  expect(await text(socket)).toMatch(/^HTTP\/1\.1 400 [^]*"request-invalid"/)
})

test('health needs no token; readiness tells a stranger yes or no, and names the unavailable part to a caller with a token', async () => {
  const parts = {
    buildkit: { ok: false, detail: 'nobody listens on its socket' },
    fly: { ok: true, detail: 'answers' },
  }
  await using http = await startHttp({ readiness: () => Promise.resolve({ ready: false, parts }) })
  expect((await fetch(`${http.url}/healthz`)).status).toBe(200)
  const answer = await http.get('/readyz')
  expect(answer.headers.get('Retry-After')).toBe('5')

  const detail = 'buildkit: nobody listens on its socket'
  expect([answer.status, await answer.json()]).toMatchObject([
    503,
    { code: 'not-ready', ready: false, parts, detail },
  ])

  for (const headers of [{}, { Authorization: 'Bearer wrong' }]) {
    const stranger = await fetch(`${http.url}/readyz`, { headers })
    expect([stranger.status, await stranger.json()]).toEqual([503, { ready: false }])
  }
})

test('a ready gateway says so to a stranger and no more, and asks its parts once for many callers', async () => {
  let asked = 0
  const readiness = () =>
    Promise.resolve({ ready: ++asked > 0, parts: { buildkit: { ok: true, detail: 'v1' } } })
  await using http = await startHttp({ readiness })
  const answers = await Promise.all(Array.from({ length: 20 }, () => fetch(`${http.url}/readyz`)))
  for (const answer of answers)
    expect([answer.status, await answer.json()]).toEqual([200, { ready: true }])
  expect(asked).toBe(1)
  expect(await (await http.get('/readyz')).json()).toEqual({
    ready: true,
    parts: { buildkit: { ok: true, detail: 'v1' } },
  })
})

test('an unexpected error is logged whole and shown as internal', async () => {
  await using http = await startHttp({ submit: () => Promise.reject(new Error('disk on fire')) })
  const answer = await send(http, 'PUT', '/deploy/shop')
  const shown = await answer.text()
  expect([answer.status, JSON.parse(shown)]).toMatchObject([
    500,
    { code: 'internal', fault: 'gateway' },
  ])
  expect(shown).not.toContain('disk on fire')

  // A caller at a shell gets the id too, by which the operator finds the reason.
  const text = await send(http, 'PUT', '/deploy/shop', 'bytes', { Accept: '*/*' })
  const id = text.headers.get('X-Request-Id')
  expect(await text.text()).toMatch(new RegExp(`^refused: internal\n[^]*\nRequest: ${id}\n$`))
  expect(http.logged.join('')).toContain('disk on fire')
})

test('the access log holds method, path, status and sizes, but no query and no token', async () => {
  await using http = await startHttp()
  await (await send(http, 'PUT', '/deploy/shop?follow=false&env.PASSWORD=hush')).text()
  await (await http.get('/nowhere?secret=hush')).text()
  const lines = http.logged.map((line) => JSON.parse(line) as Record<string, unknown>)
  expect(lines).toMatchObject([
    {
      method: 'PUT',
      path: '/deploy/shop',
      status: 202,
      ended: true,
      requestId: expect.any(String),
    },
    { method: 'GET', path: '/nowhere', status: 404 },
  ])
  expect(http.logged.join('')).not.toMatch(new RegExp(`hush|${token}`))
})

test('a sender that disconnects during the upload leaves no record; a later disconnect stops nothing', async () => {
  await using http = await startHttp()
  const head = `PUT /deploy/shop HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${token}\r\nContent-Length: 10\r\n\r\n`
  const cut = connect(http.port, '127.0.0.1')
  cut.write(`${head}12345`)
  await new Promise((resolve) => setTimeout(resolve, 50))
  cut.destroy()
  const left = connect(http.port, '127.0.0.1')
  left.write(`${head}1234567890`)
  await new Promise((resolve) => left.once('data', resolve))
  left.destroy()
  await expect.poll(() => http.logged.length).toBe(2)

  const { id } = await http.play(toLive)
  expect((await http.store.list('shop', { limit: 9, before: null })).deployments).toMatchObject([
    { id, state: 'live' },
  ])
  expect(http.logged.map((line) => JSON.parse(line).level)).toEqual([30, 30])
})

test('a stopping gateway refuses uploads and asks followers to reconnect later', async () => {
  await using http = await startHttp()
  const { id } = await http.create()
  const following = await send(http, 'PUT', '/deploy/blog')
  const held = send(http, 'PUT', '/deploy/wiki?wait=true')
  await expect.poll(() => http.received.length).toBe(2)

  const events = await http.get(`/v1/deployments/${id}/events`, { Accept: 'application/x-ndjson' })
  http.stop()
  expect(await following.text()).toMatch(
    /\nThe gateway is stopping\. .+ Continue at \/v1\/deployments\/\S+\/events\n$/,
  )
  expect(JSON.parse((await events.text()).trim().split('\n').at(-1)!)).toMatchObject({
    type: 'stopping',
  })
  const answer = await held
  expect([answer.status, await answer.json()]).toMatchObject([503, { code: 'stopping' }])
})

test('one Idempotency-Key makes one deployment, even when its requests arrive at the same instant', async () => {
  await using http = await startHttp()
  const one = (path: string, body: string, method = 'PUT') =>
    send(http, method, path, body, { 'Idempotency-Key': 'k1' }).then(async (answer) => ({
      status: answer.status,
      ...((await answer.json()) as { id?: string; code?: string }),
    }))
  const same = Array.from({ length: 8 }, () => one('/deploy/shop?follow=false', 'bytes'))
  const other = Array.from({ length: 4 }, () => one('/deploy/shop?follow=false', 'other bytes'))
  const answers = await Promise.all([...same, ...other])
  const ids = new Set(answers.flatMap(({ id }) => id ?? []))
  expect(ids.size).toBe(1)

  const made = answers.filter(({ status }) => status === 202).length
  expect([8, 4]).toContain(made) // depending on which came first
  expect(answers.filter(({ code }) => code === 'idempotency-mismatch')).toHaveLength(12 - made)
  const [id] = [...ids]
  const body = made === 8 ? 'bytes' : 'other bytes'
  expect(await one('/v1/apps/shop/deployments', body, 'POST')).toMatchObject({ status: 202, id })
  expect(await one('/v1/apps/blog/deployments', body, 'POST')).toMatchObject({ status: 202 })
  expect(await one('/deploy/shop?follow=false&rebuild=true', body)).toMatchObject({ status: 422 })
  expect((await http.store.list('shop', { limit: 9, before: null })).deployments).toHaveLength(1)
})

test('an upload to a stopping gateway gets a time to retry', async () => {
  const stopping = AbortSignal.abort()
  await using http = await startHttp({ stopping })
  const answer = await send(http, 'PUT', '/deploy/shop')
  expect([answer.status, answer.headers.get('Retry-After'), await answer.json()]).toMatchObject([
    503,
    '5',
    { code: 'stopping', retry: true },
  ])
  expect((await http.get('/readyz')).status).toBe(503)
})

test('a gateway whose isolation is not proven refuses an upload before it reads a byte', async () => {
  const assertAccepting = () => {
    throw new Problem('not-ready', 'No build runs until the isolation of build steps is verified.')
  }
  await using http = await startHttp({ assertAccepting })
  const answer = await send(http, 'PUT', '/deploy/shop')
  expect([answer.status, await answer.json()]).toMatchObject([
    503,
    { code: 'not-ready', retry: true },
  ])
  expect(http.received).toEqual([])
})

test('a cancel returns the record, ended or about to end; it is too late once machines are touched', async () => {
  await using http = await startHttp()
  const cancel = (id: string, query = '') =>
    fetch(`${http.url}/v1/deployments/${id}/cancel${query}`, {
      method: 'POST',
      headers: authorization,
    })
  const waiting = await cancel((await http.create()).id, '?by=ada&why=wrong+branch')
  expect([waiting.status, await waiting.json()]).toMatchObject([
    200,
    { state: 'cancelled', cancel: { by: 'ada' } },
  ])

  await http.create()
  const { id } = await http.play([['analyzing'], ['building'], ['deploying', { rollout: {} }]])
  expect((await cancel(id)).status).toBe(409)
  expect((await cancel(id, '?abort=true')).status).toBe(202)
  expect((await cancel('nobody')).status).toBe(404)
  expect((await cancel(id, '?force=true')).status).toBe(422)
})

test('a retry is a new deployment of the same source; the same Idempotency-Key returns the same one', async () => {
  await using http = await startHttp()
  const { id } = await http.create()
  const retry = async (key: string) => {
    const headers = { ...authorization, 'Idempotency-Key': key }
    return fetch(`${http.url}/v1/deployments/${id}/retry`, { method: 'POST', headers })
  }
  const first = (await (await retry('k1')).json()) as { id: string; number: number }
  expect(first).toMatchObject({ number: 2, source: { digest: 'sha256:aa' } })
  expect(((await (await retry('k1')).json()) as { id: string }).id).toBe(first.id)
  expect((await retry('with space')).status).toBe(422)
})

test('while the disk is short, uploads are refused with a time to retry', async () => {
  let received = false
  await using gateway = await startHttp({
    assertAccepting() {
      throw new Problem('no-space', 'The disk is full.', { facts: { retryAfterSeconds: 30 } })
    },
    receive: () => Promise.reject(new Error(`received ${(received = true)}`)),
  })
  const answer = await fetch(`${gateway.url}/deploy/shop`, {
    method: 'PUT',
    headers: { ...authorization, Accept: 'application/json' },
    body: 'archive',
  })
  expect([answer.status, answer.headers.get('Retry-After')]).toEqual([507, '30'])
  expect(await answer.json()).toMatchObject({ code: 'no-space', retry: true })
  expect(received).toBe(false)
})

test('an unknown parameter is refused, not ignored', async () => {
  await using http = await startHttp()
  const { id } = await http.create()
  const answer = async (method: string, path: string, body?: string) => {
    const { status } = await fetch(http.url + path, {
      method,
      headers: authorization,
      ...(body && { body }),
    })
    return status
  }
  expect(await answer('POST', `/v1/deployments/${id}/retry?agian=true`)).toBe(422)
  expect(await answer('POST', `/v1/deployments/${id}/retry?reuse-image=yes`)).toBe(422)
  expect(await answer('POST', `/v1/deployments/${id}/retry?rebuild=yes`)).toBe(422)
  expect(await answer('POST', `/v1/deployments/${id}/retry`, '{"again":true}')).toBe(400)
  expect(await answer('POST', `/v1/deployments/${id}/cancel?abort=yes`)).toBe(422)
  expect(await answer('GET', `/v1/deployments/${id}/events?onyl=state`)).toBe(422)
  expect(await answer('GET', '/v1/apps/shop/deployments?limt=2')).toBe(422)
  expect(await answer('GET', '/v1/apps/shop/releases?cursor=abc')).toBe(422)
  expect(await answer('POST', '/v1/apps/shop/rollback', '{"release":2}')).toBe(400)
})
