import { expect, test } from 'vitest'
import { githubIssuer } from '../../../../api/callers/issuers.ts'
import type { MadeToken } from '../../../../api/callers/token.ts'
import { authorization, startHttp } from '../start-http.ts'

/** A gateway with the teams acme (which has the app shop) and globex. */
async function start() {
  const http = await startHttp()
  const call = async (method: string, path: string, body?: object, headers = authorization) => {
    const response = await fetch(http.url + path, {
      method,
      headers,
      ...(body && { body: JSON.stringify(body) }),
    })
    return { status: response.status, body: (await response.json()) as never }
  }
  for (const name of ['acme', 'globex']) await call('POST', '/v1/teams', { name })
  await call('PUT', '/v1/teams/acme/apps/shop')
  const bearer = ({ token }: MadeToken) => ({ Authorization: `Bearer ${token}` })
  const deploys = async (made: MadeToken) =>
    (
      await fetch(`${http.url}/v1/apps/shop/deployments`, {
        method: 'POST',
        headers: bearer(made),
        body: 'an archive',
      })
    ).status
  return {
    call,
    bearer,
    deploys,
    make: async (body: object) =>
      (await call('POST', '/v1/tokens', { name: 'ci', ...body })).body as MadeToken,
    [Symbol.asyncDispose]: () => http[Symbol.asyncDispose](),
  }
}

test('a deploy link works for an app of a team, whoever made it', async () => {
  await using http = await start()
  const { call, bearer, deploys, make } = http
  const path = '/v1/apps/shop/deploy-link'
  expect(await deploys((await call('POST', path)).body)).toBe(202)

  // A member of two teams, whose team for new apps would be unclear.
  const both = await make({ name: 'both' })
  for (const team of ['acme', 'globex']) await call('PUT', `/v1/teams/${team}/members/token%3Aboth`)
  expect(await deploys((await call('POST', path, {}, bearer(both))).body)).toBe(202)
})

test('a new token or rule says which of its apps it does not see, and what to do', async () => {
  await using http = await start()
  const { call, deploys, make } = http
  const ci = await make({ apps: ['shop', 'pr-*'] })
  expect(ci.notes).toEqual([
    'shop is of team acme, and this caller is not: tarmac team add-member acme token:ci',
  ])
  expect(await deploys(ci)).toBe(404)
  await call('PUT', '/v1/teams/acme/members/token%3Aci')
  expect(await deploys(ci)).toBe(202)

  expect((await make({ name: 'viewer', scopes: ['read'] })).notes).toEqual([
    'This caller is in no team, so it sees only apps that are in none: tarmac team add-member TEAM token:viewer',
  ])
  expect((await make({ name: 'lost', apps: ['shop'], team: 'globex' })).notes).toEqual([
    'shop is of team acme, and this caller is not: make it with --team acme',
  ])
  for (const fine of [{ team: 'acme' }, { scopes: ['admin'] }, { apps: ['pr-*'] }])
    expect((await make({ name: `ok-${Object.keys(fine)[0]}`, ...fine })).notes).toBeUndefined()

  const rule = { issuer: githubIssuer, aud: 'http://t', claims: { repository_id: '1' } }
  const rights = { scopes: ['deploy'], apps: ['shop'] }
  const added = await call('POST', '/v1/rules', { name: 'github:acme/shop', ...rule, ...rights })
  expect(added.body).toMatchObject({
    notes: [
      'shop is of team acme, and this caller is not: tarmac team add-member acme github:acme/shop',
    ],
  })
  const people = { issuer: 'tailscale', claims: { domain: 'acme.com' } }
  expect(
    (await call('POST', '/v1/rules', { name: 'people', ...people, ...rights })).body,
  ).toMatchObject({
    notes: ['shop is of team acme, and this caller is not: make it with --team acme'],
  })
})

test('a token or a rule of a team that does not exist is refused', async () => {
  await using http = await start()
  const refused = { status: 404, body: { code: 'team-not-found' } }
  const { call } = http
  expect(await call('POST', '/v1/tokens', { name: 'ci', team: 'amce' })).toMatchObject(refused)
  const rule = { name: 'x', issuer: 'tailscale', claims: { domain: 'acme.com' }, scopes: ['read'] }
  const wrong = { ...rule, apps: null, team: 'amce' }
  expect(await call('POST', '/v1/rules', wrong)).toMatchObject(refused)
})

test('a note names no team that the maker does not see', async () => {
  await using http = await start()
  const { call, bearer, make } = http
  const admin = await make({ name: 'admin', scopes: ['admin'], apps: ['shop'] })
  const wanted = { name: 'ci', apps: ['shop'], scopes: ['read'] }
  const { body } = await call('POST', '/v1/tokens', wanted, bearer(admin))
  expect(JSON.stringify(body)).not.toContain('acme')
})
