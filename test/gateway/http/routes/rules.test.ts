import { expect, test } from 'vitest'
import { startIssuer } from '../../../../lab/issuer.ts'
import { authorization, startHttp, token } from '../start-http.ts'

/** The HTTP server with the whole composition of callers, as the gateway opens it. */
async function startGateway() {
  await using opening = new AsyncDisposableStack()
  const issuer = opening.use(await startIssuer())
  const http = opening.use(await startHttp())
  const open = opening.move()
  const ask = async (path: string, bearer = token, init: RequestInit = {}) => {
    const headers = { ...authorization, Authorization: `Bearer ${bearer}` }
    const response = await fetch(`${http.url}${path}`, { ...init, headers })
    const text = await response.text()
    const body = (text === '' ? {} : JSON.parse(text)) as { code?: string; rules?: object[] }
    return { status: response.status, body }
  }
  const post = (rule: object, bearer?: string) =>
    ask('/v1/rules', bearer, { method: 'POST', body: JSON.stringify(rule) })
  return { issuer, ask, post, [Symbol.asyncDispose]: () => open.disposeAsync() }
}

test('a rule opens the gateway to a job, for its apps and scopes, until it is removed', async () => {
  await using gateway = await startGateway()
  const { issuer, ask, post } = gateway
  const aud = 'http://tarmac'
  const job = await issuer.sign({ aud, repository: 'acme/shop', repository_id: '4711' })
  expect(await ask('/v1/apps/shop/deployments', job)).toMatchObject({ status: 401 })

  const rule = {
    name: 'gitea:acme/shop',
    issuer: issuer.url,
    aud,
    claims: { repository_id: '4711' },
    scopes: ['read'],
    apps: ['shop'],
  }
  expect(await post({ ...rule, scopes: ['root'] })).toMatchObject({
    status: 422,
    body: { code: 'rule-invalid' },
  })
  expect(await post(rule)).toMatchObject({
    status: 201,
    body: { origin: 'stored', createdBy: 'operator' },
  })
  expect(await post(rule)).toMatchObject({ status: 409, body: { code: 'rule-exists' } })

  expect(await ask('/v1/apps/shop/deployments', job)).toMatchObject({ status: 200 })
  expect(await ask('/v1/apps/other/deployments', job)).toMatchObject({ status: 404 })
  expect(await ask('/v1/rules', job)).toMatchObject({ status: 403 })
  expect(await post({ ...rule, name: 'more', scopes: ['admin'], apps: null }, job)).toMatchObject({
    status: 403,
  })
  expect((await ask('/v1/rules')).body.rules).toMatchObject([rule].map(({ name }) => ({ name })))

  const path = `/v1/rules/${encodeURIComponent(rule.name)}`
  expect(await ask(path, token, { method: 'DELETE' })).toMatchObject({ status: 204 })
  expect(await ask(path, token, { method: 'DELETE' })).toMatchObject({ status: 404 })
  expect(await ask('/v1/apps/shop/deployments', job)).toMatchObject({ status: 401 })
})

test('an unproven token gets the answer of a wrong one, and a proven one says what is wrong', async () => {
  await using gateway = await startGateway()
  const { issuer, ask, post } = gateway
  const aud = 'http://tarmac'
  await post({
    name: 'r',
    issuer: issuer.url,
    aud,
    claims: { a: 'b' },
    scopes: ['read'],
    apps: null,
  })
  const plain = await ask('/v1/apps/shop/deployments', 'wrong-token-of-somebody')
  const good = await issuer.sign({ aud, a: 'b' })
  const torn = `${good.slice(0, -8)}AAAAAAAA`
  expect(await ask('/v1/apps/shop/deployments', torn)).toEqual({
    ...plain,
    body: { ...plain.body, requestId: expect.any(String) },
  })
  expect(await ask('/v1/apps/shop/deployments', good)).toMatchObject({ status: 200 })
  const code = async (claims: object) =>
    (await ask('/v1/apps/shop/deployments', await issuer.sign({ aud, a: 'b', ...claims }))).body
      .code
  expect(await code({ aud: 'x' })).toBe('oidc-wrong-audience')
  expect(await code({ a: 'c' })).toBe('oidc-no-rule')
  expect(await code({ exp: 1, iat: 0 })).toBe('oidc-expired')
})
