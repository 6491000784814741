import { addAbortSignal } from 'node:stream'
import { expect, test, vi } from 'vitest'
import { LimitsAnswer } from '../../../../api/callers/limits.ts'
import type { Scope } from '../../../../api/callers/scope.ts'
import { Problem } from '../../../../api/problem.ts'
import { Team } from '../../../../api/callers/teams.ts'
import type { Authenticator } from '../../../../gateway/src/callers/authenticate.ts'
import { operator } from '../../../../gateway/src/callers/principal.ts'
import type { Commands } from '../../../../gateway/src/commands/commands.ts'
import type { ServerDeps } from '../../../../gateway/src/http/deps.ts'
import { openSqliteStore } from '../../../../gateway/src/store/sqlite.ts'
import { teamsText, teamText } from '../../../../client/src/teams/render-teams.ts'
import { startHttp, token } from '../start-http.ts'

/** A bearer like `ci/deploy`: a caller `token:ci` with that scope. */
const authenticate: Authenticator = ({ bearer, address }) => {
  if (bearer === token) return { ...operator, address }
  const [name, scope = 'deploy', apps] = bearer?.split('/') ?? []
  return {
    ...operator,
    kind: 'token',
    name: `token:${name}`,
    scopes: [scope as Scope],
    apps: apps?.split(',') ?? null,
    address,
  }
}

async function start(own: Partial<Commands & ServerDeps> = {}) {
  const http = await startHttp({ authenticate, ...own })
  const call = async (who: string, method: string, path: string, body?: object | string) => {
    const response = await fetch(`${http.url}${path}`, {
      method,
      headers: { Authorization: `Bearer ${who}`, Accept: 'application/json' },
      ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    })
    const text = await response.text()
    const answer = (text === '' ? null : JSON.parse(text)) as Record<string, unknown>
    return { status: response.status, answer, headers: response.headers }
  }
  const deploy = (who: string, app: string) =>
    call(who, 'POST', `/v1/apps/${app}/deployments`, 'an archive')
  const teams = async (...names: string[]) => {
    for (const name of names) await call(token, 'POST', '/v1/teams', { name })
  }
  const member = (team: string, name: string) =>
    call(token, 'PUT', `/v1/teams/${team}/members/${encodeURIComponent(name)}`)
  return {
    ...http,
    call,
    deploy,
    teams,
    member,
    [Symbol.asyncDispose]: () => http[Symbol.asyncDispose](),
  }
}

test('a team is made, listed, changed, shown and deleted', async () => {
  await using http = await start()
  const { call, member } = http
  expect((await call(token, 'GET', '/v1/teams')).answer).toEqual({ teams: [] })
  const made = await call(token, 'POST', '/v1/teams', { name: 'acme' })
  expect(made.status).toBe(201)
  expect(made.headers.get('location')).toBe('/v1/teams/acme')
  await member('acme', 'github:acme/shop')
  await call(token, 'PUT', '/v1/teams/acme/apps/shop')
  const quotas = { builds: 2, 'requests-per-minute': 'none' }
  const changed = await call(token, 'PATCH', '/v1/teams/acme/quotas', quotas)
  const team = Team.parse(changed.answer)
  expect(team).toMatchObject({ name: 'acme', members: ['github:acme/shop'], apps: ['shop'] })
  expect(team.quotas.find(({ quota }) => quota === 'builds')).toEqual({
    quota: 'builds',
    what: 'builds at once',
    limit: 2,
    used: 0,
    resetsAt: null,
    from: 'team',
  })
  const { teams } = (await call(token, 'GET', '/v1/teams')).answer as { teams: Team[] }
  expect(teams.map(({ name }) => name)).toEqual(['acme', 'default'])

  expect((await call(token, 'DELETE', '/v1/teams/acme')).answer).toMatchObject({
    code: 'team-not-empty',
    detail:
      'Team acme has 1 app: shop. Move each to another team first: tarmac team add-app TEAM APP',
  })
  expect((await call(token, 'DELETE', '/v1/teams/acme/apps/shop')).status).toBe(200)
  expect((await call(token, 'DELETE', '/v1/teams/acme/members/github:acme%2Fshop')).status).toBe(
    200,
  )
  expect((await call(token, 'DELETE', '/v1/teams/acme')).status).toBe(204)
  expect((await call(token, 'GET', '/v1/teams/acme')).status).toBe(404)
})

test('bad input has its own problem', async () => {
  await using http = await start()
  const { call, teams, member } = http
  await teams('acme')
  const code = async (asked: Promise<{ answer: Record<string, unknown> }>) =>
    (await asked).answer['code']
  for (const name of ['', 'Acme', '-a', 'a b', 'a'.repeat(41)])
    expect(await code(call(token, 'POST', '/v1/teams', { name }))).toBe('team-invalid')
  for (const body of [{}, { name: 1 }, { name: 'x', more: 1 }, '[]', '{'])
    expect(await code(call(token, 'POST', '/v1/teams', body))).toBe('request-invalid')
  expect(await code(call(token, 'POST', '/v1/teams', { name: 'acme' }))).toBe('team-exists')
  expect(await code(call(token, 'POST', '/v1/teams', { name: 'default' }))).toBe('team-exists')
  expect(await code(call(token, 'DELETE', '/v1/teams/default'))).toBe('team-invalid')
  expect(await code(member('acme', 'operator'))).toBe('team-invalid')
  expect(await code(member('acme', 'a b'))).toBe('team-invalid')
  expect(await code(member('nobody', 'token:ci'))).toBe('team-not-found')
  expect(await code(call(token, 'DELETE', '/v1/teams/acme/members/token:ci'))).toBe('team-invalid')
  expect(await code(call(token, 'PUT', '/v1/teams/acme/apps/Not_An_App'))).toBe('app-name-invalid')
  expect(await code(call(token, 'DELETE', '/v1/teams/acme/apps/shop'))).toBe('team-invalid')
  expect(await code(call(token, 'GET', '/v1/teams?x=1'))).toBe('option-unknown')
  const quota = async (patch: object | string) =>
    (await call(token, 'PATCH', '/v1/teams/acme/quotas', patch)).answer
  expect(await quota({ bilds: 1 })).toMatchObject({
    code: 'option-unknown',
    detail: expect.stringContaining('There is no quota bilds. Did you mean builds?') as string,
  })
  for (const value of [0, -1, 1.5, '3', true, 1e12, {}])
    expect((await quota({ builds: value }))['code']).toBe('option-invalid')
  expect((await quota({ 'cache-percent': 101 }))['code']).toBe('option-invalid')
  expect((await quota({ __proto__: null, constructor: 1 }))['code']).toBe('option-unknown')
})

test('an app of another team looks like one that does not exist, in every call about it', async () => {
  await using http = await start()
  const { call, deploy, teams, member } = http
  await teams('acme', 'web')
  await member('acme', 'token:a')
  await member('web', 'token:w')
  expect((await deploy('a/admin', 'shop')).status).toBe(202)
  const [made] = (
    (await call('a/admin', 'GET', '/v1/apps/shop/deployments')).answer as {
      deployments: { id: string }[]
    }
  ).deployments
  for (const [method, path] of [
    ['GET', '/v1/apps/shop/deployments'],
    ['GET', `/v1/deployments/${made!.id}`],
    ['GET', `/v1/deployments/${made!.id}/events`],
    ['POST', `/v1/deployments/${made!.id}/cancel`],
    ['GET', '/v1/apps/shop/releases'],
    ['GET', '/v1/apps/shop/secrets'],
    ['DELETE', '/v1/apps/shop?confirm=shop'],
    ['GET', '/v1/teams/acme'],
    ['PUT', '/v1/teams/web/apps/shop'],
  ] as const) {
    const foreign = await call('w/admin', method, path)
    const absent = await call(
      'w/admin',
      method,
      path.replaceAll(made!.id, 'x').replaceAll('shop', 'none').replace('acme', 'none'),
    )
    expect([path, foreign.status]).toEqual([path, 404])
    if (path !== '/v1/teams/web/apps/shop')
      expect(absent.answer['code']).toBe(foreign.answer['code'])
  }
  expect((await deploy('w/admin', 'shop')).answer).toMatchObject({
    code: 'app-not-found',
    detail: 'There is no app shop that the caller may use. To list those that it may: tarmac apps',
  })
})

test('a new app belongs to the team of its first caller; who has none keeps the default', async () => {
  await using http = await start()
  const { call, deploy, teams, member, store } = http
  expect((await deploy('c', 'early')).status).toBe(202)
  await teams('acme', 'web')
  await member('acme', 'token:a')
  expect((await deploy('a', 'shop')).status).toBe(202)
  expect(store.teams.teamOf('shop')).toBe('acme')
  expect((await deploy('c', 'other')).status).toBe(202)
  expect(store.teams.teamOf('other')).toBe('default')
  for (const app of ['early', 'other'])
    expect((await deploy('a', app)).answer['code']).toBe('app-not-found')

  // It exists on Fly, so it is somebody's.
  expect((await deploy('a', 'on-fly-already')).answer['code']).toBe('app-not-found')
  await call(token, 'PUT', '/v1/teams/acme/apps/on-fly-already')
  expect((await deploy('a', 'on-fly-already')).status).toBe(202)

  // A refused check of the lane makes no app, and neither does a caller who may not deploy.
  expect((await deploy('a/read', 'fresh')).status).toBe(404)
  expect(store.teams.isNew('fresh')).toBe(true)
  // A token that is limited to other apps claims none.
  expect((await deploy('a/deploy/shop', 'fresh')).answer['code']).toBe('app-not-found')
})

test('a call that fails leaves no new app behind, and one that succeeds meanwhile keeps it', async () => {
  const ends: (() => void)[] = []
  await using http = await start({
    deployExisting: () =>
      new Promise((_, reject) => ends.push(() => reject(new Problem('image-gone', 'It is gone.')))),
  })
  const { deploy, teams, member, store } = http
  await teams('acme')
  await member('acme', 'token:a')
  const fromImage = () =>
    fetch(`${http.url}/v1/apps/fresh/deployments`, {
      method: 'POST',
      headers: { Authorization: 'Bearer a', 'Content-Type': 'application/json' },
      body: JSON.stringify({ source: { image: 'x/y:1' } }),
    })
  const failing = fromImage()
  await vi.waitFor(() => expect(ends).toHaveLength(1))
  expect(store.teams.teamOf('fresh')).toBe('acme')
  ends[0]!()
  expect((await failing).status).toBe(410)
  expect(store.teams.isNew('fresh')).toBe(true)

  const again = fromImage()
  await vi.waitFor(() => expect(ends).toHaveLength(2))
  expect((await deploy('a', 'fresh')).status).toBe(202)
  ends[1]!()
  expect((await again).status).toBe(410)
  expect(store.teams.teamOf('fresh')).toBe('acme')
})

test('who is in several teams says which one gets a new app', async () => {
  await using http = await start()
  const { call, deploy, teams, member, store } = http
  await teams('acme', 'web')
  for (const team of ['acme', 'web']) await member(team, 'token:b')
  const unclear = await deploy('b', 'shop')
  expect(unclear.answer).toMatchObject({
    code: 'team-unclear',
    teams: ['acme', 'web'],
    status: 409,
  })
  expect(unclear.answer['detail']).toContain('tarmac team add-app TEAM shop')
  expect((await call('b/admin', 'PUT', '/v1/teams/web/apps/shop')).status).toBe(200)
  expect((await deploy('b', 'shop')).status).toBe(202)
  expect(store.teams.teamOf('shop')).toBe('web')
})

test('moving an app needs an administrator of both teams', async () => {
  await using http = await start()
  const { call, deploy, teams, member, store } = http
  await teams('acme', 'web')
  await member('acme', 'token:a')
  for (const team of ['acme', 'web']) await member(team, 'token:both')
  await deploy('a', 'shop')
  const move = (who: string) => call(who, 'PUT', '/v1/teams/web/apps/shop')
  expect((await move('a/admin')).status).toBe(404)
  expect((await move('both/deploy')).status).toBe(403)
  expect((await move('both/admin')).status).toBe(200)
  expect(store.teams.teamOf('shop')).toBe('web')
  // The team default is one of both, too.
  expect((await call('both/admin', 'DELETE', '/v1/teams/web/apps/shop')).status).toBe(404)
  expect((await call(token, 'DELETE', '/v1/teams/web/apps/shop')).status).toBe(200)
})

test('administrators of a team change neither members nor quotas nor teams', async () => {
  await using http = await start()
  const { call, teams, member } = http
  await teams('acme')
  await member('acme', 'token:a')
  for (const [method, path, body] of [
    ['POST', '/v1/teams', { name: 'mine' }],
    ['DELETE', '/v1/teams/acme', undefined],
    ['PUT', '/v1/teams/acme/members/token:b', undefined],
    ['DELETE', '/v1/teams/acme/members/token:a', undefined],
    ['PATCH', '/v1/teams/acme/quotas', { builds: 'none' }],
  ] as const)
    expect((await call('a/admin', method, path, body)).answer['code']).toBe('forbidden')
})

test('a member sees its own team; a caller limited to some apps sees those alone', async () => {
  await using http = await start()
  const { call, deploy, teams, member } = http
  await teams('acme', 'web')
  await member('acme', 'token:a')
  await deploy('a', 'shop')
  await deploy('a', 'blog')
  const listed = async (who: string) =>
    ((await call(who, 'GET', '/v1/teams')).answer as { teams: Team[] }).teams
  expect((await listed('a/read')).map(({ name }) => name)).toEqual(['acme'])
  expect(await listed('a/read/shop')).toMatchObject([
    { name: 'acme', apps: ['shop'], members: null },
  ])
  expect((await listed(token)).map(({ name }) => name)).toEqual(['acme', 'default', 'web'])
})

test('a membership counts at once, also for a token that is in use', async () => {
  await using http = await start()
  const { call, deploy, teams, member } = http
  await teams('acme')
  await member('acme', 'token:a')
  await deploy('a', 'shop')
  expect((await call('a/read', 'GET', '/v1/apps/shop/deployments')).status).toBe(200)
  await call(token, 'DELETE', '/v1/teams/acme/members/token:a')
  expect((await call('a/read', 'GET', '/v1/apps/shop/deployments')).status).toBe(404)
  expect((await deploy('a', 'other')).answer['code']).toBe('app-not-found')
})

test('while there is one team, no answer names it', async () => {
  const store = openSqliteStore(':memory:', { quotas: { 'builds-per-day': 1, uploads: 5 } })
  await using http = await start({ store })
  const { call, deploy } = http
  const answers = [
    await call(token, 'GET', '/v1/teams'),
    await call('c/read', 'GET', '/v1/limits'),
    await deploy('c', 'shop'),
    await deploy('c', 'shop'),
    await call(token, 'GET', '/v1/apps/shop/deployments'),
  ]
  expect(answers.map(({ status }) => status)).toEqual([200, 200, 202, 429, 200])
  // The word is also that of limits which are the gateway's.
  const text = JSON.stringify(answers.map(({ answer }) => answer)).replaceAll(
    '"from":"default"',
    '',
  )
  expect(text).not.toMatch(/default|"team"/)
  await store[Symbol.asyncDispose]()
})

test('a refusal by a quota is a 429 that says which, used, limit and when to come back', async () => {
  const store = openSqliteStore(':memory:', { quotas: { 'builds-per-day': 1 } })
  await using http = await start({ store })
  const { deploy, received } = http
  await deploy('c', 'shop')
  const { status, answer, headers } = await deploy('c', 'shop')
  expect(status).toBe(429)
  expect(answer).toMatchObject({
    code: 'quota-reached',
    quota: 'builds-per-day',
    used: 1,
    limit: 1,
    retry: true,
    resetsAt: expect.stringMatching(/T00:00:00Z$/) as string,
  })
  expect(headers.get('retry-after')).toBe(String(answer['retryAfterSeconds']))
  expect(Number(headers.get('retry-after'))).toBeGreaterThan(0)
  // It was refused before its upload, and the operator is not refused.
  expect(received).toHaveLength(1)
  expect((await deploy(token, 'shop')).status).toBe(202)
  await store[Symbol.asyncDispose]()
})

test('every answer to a caller with a limit says what is left, also a refusal; reading the limits is free', async () => {
  const store = openSqliteStore(':memory:', { quotas: { 'requests-per-minute': 3 } })
  await using http = await start({ store })
  const { call, get } = http
  const left = async (path: string) => {
    const { status, headers } = await call('c/read', 'GET', path)
    return [status, /r=(\d+)/.exec(headers.get('ratelimit') ?? '')?.[1]]
  }
  expect(await left('/v1/limits')).toEqual([200, '3'])
  expect(await left('/v1/apps/shop/deployments')).toEqual([200, '2'])
  expect(await left('/v1/nothing')).toEqual([404, '1'])
  expect(await left('/v1/deployments/x/events')).toEqual([404, '0'])
  expect(await left('/v1/apps/shop/deployments')).toEqual([429, '0'])
  expect(await left('/v1/limits')).toEqual([200, '0'])
  const own = await get('/v1/limits')
  expect(own.headers.get('ratelimit')).toBeNull()
  const policy = (await call('c/read', 'GET', '/v1/limits')).headers.get('ratelimit-policy')
  expect(policy).toBe('"requests-per-minute";q=3;w=60')
  await store[Symbol.asyncDispose]()
})

test('the limits of a caller are the numbers that refuse it', async () => {
  const store = openSqliteStore(':memory:', { quotas: { uploads: 2, queue: 1 } })
  await using http = await start({ store })
  const { call, deploy, teams, member } = http
  const limits = async (who: string) =>
    LimitsAnswer.parse((await call(who, 'GET', '/v1/limits')).answer).quotas
  const quota = { what: 'waiting deployments', limit: 1, resetsAt: null, from: 'default' }
  const uploads = { quota: 'uploads', what: 'uploads at once', limit: 2, used: 0, resetsAt: null }
  expect(await limits('c/read')).toEqual([
    { ...uploads, from: 'default' },
    { quota: 'queue', used: 0, ...quota },
  ])
  await deploy('c', 'shop')
  expect(await limits('c/read')).toContainEqual({ quota: 'queue', used: 1, ...quota })
  expect((await deploy('c', 'blog')).answer).toMatchObject({ quota: 'queue', used: 1, limit: 1 })
  expect(await limits(token)).toEqual([])

  await teams('acme')
  await member('acme', 'token:a')
  await call(token, 'PATCH', '/v1/teams/acme/quotas', { queue: 'none' })
  expect(await limits('a/read')).toEqual([{ team: 'acme', ...uploads, from: 'default' }])
  await store[Symbol.asyncDispose]()
})

test('what a team’s answers say of members is true', async () => {
  await using http = await start()
  const { call, member, teams } = http
  await teams('acme')
  expect((await member('acme', 'ci')).answer['notes']).toEqual([
    'No token and no rule has this name yet: a token is a member as token:ci. See tarmac token list and tarmac rule list.',
  ])
  await call(token, 'POST', '/v1/tokens', { name: 'known' })
  expect((await member('acme', 'token:known')).answer['notes']).toBeUndefined()
  expect((await member('acme', 'tailscale-user:ann@acme.com')).answer['notes']).toBeUndefined()

  // A caller that is limited to some apps sees no members: that is not the same as none.
  await member('acme', 'token:c')
  const shown = Team.parse((await call('c/deploy/shop', 'GET', '/v1/teams/acme')).answer)
  expect(shown.members).toBe(null)
  expect(teamText(shown)[1]).toBe('members   not shown to a caller that is limited to some apps')
  expect(teamsText([shown])[1]).toMatch(/^acme +- /)
})

test('an upload that goes over the bytes of the day ends, and its bytes count', async () => {
  const store = openSqliteStore(':memory:', { quotas: { 'upload-mib-per-day': 1 } })
  const receive: ServerDeps['receive'] = async (body, { signal }) => {
    let sizeBytes = 0
    for await (const chunk of addAbortSignal(signal, body)) sizeBytes += (chunk as Buffer).length
    return { digest: 'sha256:aa', files: 1, sizeBytes }
  }
  await using http = await start({ store, receive })
  const announced = await http.deploy('c', 'shop')
  expect(announced.status).toBe(202)
  const large = await http.call('c', 'POST', '/v1/apps/shop/deployments', 'x'.repeat(2 ** 20))
  expect(large.answer).toMatchObject({ code: 'quota-reached', quota: 'upload-mib-per-day' })

  // Its size is not known before, and it may end before anybody looks.
  async function* short() {
    for (let sent = 0; sent < 6; sent++) yield Buffer.alloc(2 ** 18)
  }
  const late = await fetch(`${http.url}/v1/apps/shop/deployments`, {
    method: 'POST',
    headers: { Authorization: 'Bearer d' },
    body: ReadableStream.from(short()),
    duplex: 'half',
  })
  expect(await late.json()).toMatchObject({ code: 'quota-reached', quota: 'upload-mib-per-day' })
  await store.quotas.add('default', 'upload-mib-per-day', -(2 ** 20) * 1.5)

  // It is cut when it has sent too much.
  async function* endless() {
    for (;;) {
      yield Buffer.alloc(2 ** 18)
      await new Promise((resolve) => setImmediate(resolve))
    }
  }
  const cut = await fetch(`${http.url}/v1/apps/shop/deployments`, {
    method: 'POST',
    headers: { Authorization: 'Bearer c' },
    body: ReadableStream.from(endless()),
    duplex: 'half',
  })
  expect(await cut.json()).toMatchObject({ code: 'quota-reached', quota: 'upload-mib-per-day' })
  await expect
    .poll(() => store.quotas.usedOf('default', 'upload-mib-per-day') ?? 0)
    .toBeGreaterThan(1)
  await store[Symbol.asyncDispose]()
})

test('a limited caller sees its part of the status', async () => {
  const cache = {
    measuredAt: '2026-05-01T00:00:00.000Z',
    totalBytes: 3,
    sharedBytes: 0,
    otherBytes: 0,
    maxBytes: 9,
    appBytes: 5,
    apps: ['shop', 'blog'].map((app) => ({
      app,
      bytes: 1,
      mountBytes: 0,
      sourceBytes: 0,
      sharedBytes: 0,
      lastUsedAt: '2026-05-01T00:00:00.000Z',
    })),
  }
  const status = async () => ({
    version: '1',
    at: '',
    startedAt: '',
    uptimeSeconds: 1,
    cache,
    queue: { waiting: 9, running: 9, byState: {} },
    disk: { ok: true, detail: 'secret', freeBytes: 1, sizeBytes: 2 },
  })
  await using http = await start({ status })
  const { call, deploy, teams, member } = http
  await teams('acme')
  await member('acme', 'token:a')
  await deploy('a', 'shop')
  await deploy('a', 'mail')
  await deploy('c', 'blog')
  expect((await call('a/read', 'GET', '/v1/status')).answer).toEqual({
    version: '1',
    at: '',
    startedAt: '',
    uptimeSeconds: 1,
    queue: { waiting: 2, running: 0, byState: { pending: 2 } },
    cache: { ...cache, apps: cache.apps.slice(0, 1) },
  })
  expect((await call('b/admin', 'GET', '/v1/status')).answer).toHaveProperty('disk')
})

test('a team is not deleted while a token or a rule has rights in it', async () => {
  const http = await startHttp()
  await using _stop = http
  const call = async (method: string, path: string, body?: object, bearer = token) => {
    const response = await fetch(http.url + path, {
      method,
      headers: { Authorization: `Bearer ${bearer}` },
      ...(body && { body: JSON.stringify(body) }),
    })
    const text = await response.text()
    return (text === '' ? {} : JSON.parse(text)) as Record<string, string>
  }
  await call('POST', '/v1/teams', { name: 'acme' })
  const { token: held, id } = await call('POST', '/v1/tokens', { name: 'ci', team: 'acme' })
  await call('POST', '/v1/rules', {
    name: 'jobs',
    issuer: 'https://issuer.example',
    aud: 'us',
    claims: { job: '1' },
    scopes: ['deploy'],
    apps: null,
    team: 'acme',
  })
  expect(await call('DELETE', '/v1/teams/acme')).toMatchObject({
    code: 'team-not-empty',
    detail: `These may still act in team acme: token ci, rule jobs. End each of them first: tarmac token revoke ${id}`,
  })
  await call('DELETE', '/v1/rules/jobs')
  await call('DELETE', `/v1/tokens/${id}`)
  expect(await call('DELETE', '/v1/teams/acme')).toEqual({})
  await call('POST', '/v1/teams', { name: 'acme' })
  expect(await call('GET', '/v1/teams', undefined, held)).toMatchObject({ code: 'token-revoked' })
})
