import { expect, test } from 'vitest'
import type { Whoami } from '#api/callers/whoami.ts'
import { readCommandLine } from '../../client/src/command-line.ts'
import { whoamiLines } from '../../client/src/whoami/whoami.ts'

const me: Whoami = {
  name: 'token:ci',
  kind: 'token',
  provedBy: 'a token of the gateway',
  scopes: ['deploy', 'secrets'],
  apps: ['shop', 'pr-*'],
  owners: null,
  teams: ['default'],
  tokenId: '4711',
  rule: null,
  expiresAt: '2027-02-28T05:06:07.000Z',
  isLink: false,
  address: '10.0.0.9',
}

test('tarmac whoami shows who the caller is, and what it may do', () => {
  const env = { TARMAC_GATEWAY: 'http://tarmac:8080' }
  expect(readCommandLine(['whoami'], env)).toMatchObject({ name: 'whoami' })
  expect(() => readCommandLine(['whoami', 'me'], env)).toThrow('The usage is: tarmac whoami')
  expect(whoamiLines(me, new URL(env.TARMAC_GATEWAY)).join('\n')).toBe(`token:ci
  proved by  a token of the gateway
  token      4711
  may        deploy, secrets
  apps       shop, pr-*
  teams      default
  until      2027-02-28 05:06 UTC
  from       10.0.0.9
  gateway    http://tarmac:8080`)
})

test('a deploy link may make one deployment, whatever its scopes', () => {
  const link = { ...me, isLink: true, teams: null, apps: null, owners: ['ann'], expiresAt: null }
  const lines = whoamiLines(link, new URL('http://tarmac:8080'))
  expect(lines).toContain('  may        make one deployment, and read that one')
  expect(lines).toContain('  owners     ann')
  expect(lines).toContain('  until      no end')
})
