import { expect, test } from 'vitest'
import type { MadeToken } from '#api/callers/token.ts'
import type { Whoami } from '#api/callers/whoami.ts'
import { operator, type Principal } from '../../../../gateway/src/callers/principal.ts'
import { whoami } from '../../../../gateway/src/commands/whoami/whoami.ts'
import { authorization, startHttp } from '../start-http.ts'

type Http = Awaited<ReturnType<typeof startHttp>>
const ask = async (http: Http, headers: Record<string, string>) => {
  const answer = await fetch(`${http.url}/v1/whoami`, { headers })
  return [answer.status, await answer.json()] as [number, Whoami]
}
const make = async (http: Http, path: string, body?: object): Promise<MadeToken> => {
  const more = body && { body: JSON.stringify(body) }
  const made = await fetch(http.url + path, { method: 'POST', headers: authorization, ...more })
  return (await made.json()) as MadeToken
}
const bearer = ({ token }: MadeToken) => ({ Authorization: `Bearer ${token}` })

test('every caller learns who it is: the operator, a token with few rights, a deploy link', async () => {
  await using http = await startHttp()
  expect(await ask(http, authorization)).toMatchObject([
    200,
    {
      name: 'operator',
      kind: 'operator',
      provedBy: 'a token of the setting TARMAC_TOKENS',
      scopes: ['admin'],
      apps: null,
      teams: null,
      expiresAt: null,
      isLink: false,
    },
  ])

  const token = await make(http, '/v1/tokens', {
    name: 'ci',
    scopes: ['secrets'],
    apps: ['shop', 'pr-*'],
  })
  expect(await ask(http, bearer(token))).toMatchObject([
    200,
    {
      name: 'token:ci',
      provedBy: 'a token of the gateway',
      scopes: ['secrets'],
      apps: ['shop', 'pr-*'],
      tokenId: token.id,
      expiresAt: token.expiresAt,
      rule: null,
    },
  ])
  const link = await make(http, '/v1/apps/shop/deploy-link')
  expect(await ask(http, bearer(link))).toMatchObject([
    200,
    { provedBy: 'a deploy link', isLink: true, apps: ['shop'] },
  ])
})

test('who proves nothing is nobody: 401, with what to send', async () => {
  await using http = await startHttp()
  for (const headers of [{}, { Authorization: 'Bearer wrong' }])
    expect(await ask(http, headers)).toMatchObject([
      401,
      { code: 'unauthorized', detail: expect.stringContaining('Send a token of the gateway') },
    ])
})

test('a caller by a rule has the name of the rule, and the end of its own token', () => {
  const rule = 'github:acme/shop'
  const expiresAt = Date.parse('2026-11-30T05:05:00Z')
  const job: Principal = { ...operator, kind: 'oidc', name: rule, rule, expiresAt }
  expect(whoami(job)).toMatchObject({
    provedBy: 'an OIDC token, allowed by the rule github:acme/shop',
    rule: 'github:acme/shop',
    expiresAt: '2026-11-30T05:05:00.000Z',
  })
  expect(whoami({ ...operator, isOpen: true }).provedBy).toContain('the gateway has no tokens')
})
