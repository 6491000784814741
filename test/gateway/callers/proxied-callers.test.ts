import { expect, test } from 'vitest'
import { readRule, type Rule } from '../../../api/callers/rule.ts'
import type { Problem } from '../../../api/problem.ts'
import { PrivateAddresses } from '../../../gateway/src/callers/proxies/private-addresses.ts'
import { proxiedCallers } from '../../../gateway/src/callers/proxies/proxied-callers.ts'
import { trustedProxies } from '../../../gateway/src/callers/proxies/trusted-proxies.ts'

const ruleOf = (rule: object): Rule => ({
  ...readRule({ scopes: ['deploy'], apps: ['shop'], ...rule }),
  origin: 'stored',
  createdAt: null,
  createdBy: null,
})
const alice = ruleOf({ name: 'alice', issuer: 'tailscale', claims: { login: 'alice@acme.com' } })
const staff = ruleOf({
  name: 'staff',
  issuer: 'tailscale',
  claims: { domain: 'acme.com' },
  scopes: ['read'],
  apps: null,
})
const runner = ruleOf({ name: 'ci', issuer: 'fly-6pn', claims: { app_name: 'ci-runner' } })

const machines = [
  {
    id: 'm1',
    app_name: 'ci-runner',
    name: 'one',
    private_ip: 'fdaa:0:18:a7b:1::2',
    state: 'started',
  },
  { id: 'm2', app_name: 'web', name: 'two', private_ip: 'fdaa:0:18:a7b:1::3', state: 'started' },
  { id: 'm3', app_name: 'ci-runner', private_ip: 'fdaa:0:18:a7b:1::4', state: 'destroyed' },
]

/** A gateway that trusts Tailscale on loopback and Fly's proxy in 172.16.0.0/16. */
function gatewayWith(
  rules: Rule[],
  proxies: Parameters<typeof trustedProxies>[0] = [
    { kind: 'tailscale', range: '127.0.0.1' },
    { kind: 'fly', range: '172.16.0.0/16' },
  ],
) {
  const fly = { asked: 0, orgMachines: async () => (fly.asked++, machines) }
  let at = 1e12
  const addresses = new PrivateAddresses({ fly, org: 'acme', now: () => at })
  const authenticate = proxiedCallers({
    rules: { all: () => rules },
    isTrusted: trustedProxies(proxies),
    hasProxies: proxies.length > 0,
    machineAt: (address) => addresses.find(address),
  })
  const ask = async (
    address: string,
    headers: Record<string, string>,
    bearer: string | null = null,
  ) => {
    try {
      return await authenticate({ bearer, headers, address })
    } catch (error) {
      return error as Problem
    }
  }
  return { ask, fly, later: (ms: number) => void (at += ms) }
}
const login = (name: string) => ({ 'tailscale-user-login': name })
const from = (address: string) => ({ 'fly-client-ip': address })

test('a person whom tailscale serve names gets the rights of the first rule', async () => {
  const { ask } = gatewayWith([alice, staff])
  const headers = { ...login('Alice@acme.com'), 'x-forwarded-for': '6.6.6.6, 100.64.0.7' }
  expect(await ask('127.0.0.1', headers)).toEqual({
    kind: 'proxy',
    name: 'tailscale-user:alice@acme.com',
    tokenId: null,
    scopes: ['deploy'],
    apps: ['shop'],
    owners: null,
    teams: null,
    address: '100.64.0.7',
    proof: expect.anything(),
    rule: 'alice',
  })
  expect(await ask('::ffff:127.0.0.1', login('bob@acme.com'))).toMatchObject({
    name: 'tailscale-user:bob@acme.com',
    scopes: ['read'],
  })
  for (const stranger of ['eve@other.com', 'x@acme.com@other.com', 'acme.com'])
    expect(await ask('127.0.0.1', login(stranger))).toMatchObject({ code: 'proxy-no-rule' })
})

test.each(['eve@x.com, alice@acme.com', 'alice@acme.com\talice', '', 'a'.repeat(300)])(
  'a header with %j names nobody',
  async (name) => {
    expect(await gatewayWith([alice, staff]).ask('127.0.0.1', login(name))).toBeNull()
  },
)

test('a header from an address that is no proxy is never believed', async () => {
  const { ask } = gatewayWith([alice, runner])
  const found = (await ask('10.1.2.3', login('alice@acme.com'))) as Problem
  expect(found).toMatchObject({ code: 'proxy-untrusted', status: 401 })
  expect(found.message).toContain('tailscale=10.1.2.3')
  expect(await ask('10.1.2.3', from('fdaa:0:18:a7b:1::2'))).toBeNull()
  // Without proxies in the settings, the headers mean nothing at all.
  expect(await gatewayWith([alice], []).ask('127.0.0.1', login('alice@acme.com'))).toBeNull()
})

test('each proxy is believed in its own headers alone: it passes the others on as callers send them', async () => {
  const { ask, fly } = gatewayWith([alice, runner])
  expect(await ask('172.16.5.6', login('alice@acme.com'))).toMatchObject({
    code: 'proxy-untrusted',
  })
  expect(await ask('127.0.0.1', from('fdaa:0:18:a7b:1::2'))).toBeNull()
  expect(fly.asked).toBe(0)
})

test('a request with a token is judged by its token alone', async () => {
  const { ask } = gatewayWith([alice])
  expect(await ask('127.0.0.1', login('alice@acme.com'), 'a-wrong-token')).toBeNull()
})

test('a machine of Fly is found by its private address, in any spelling', async () => {
  const { ask, fly, later } = gatewayWith([runner])
  const found = { kind: 'proxy', name: 'fly-machine:ci-runner', apps: ['shop'] }
  expect(await ask('172.16.5.6', from('fdaa:0:18:a7b:1::2'))).toMatchObject(found)
  expect(await ask('172.16.5.6', from('FDAA:0000:0018:0a7b:1:0:0:2'))).toMatchObject(found)
  expect(fly.asked).toBe(1)
  expect(await ask('172.16.5.6', from('fdaa:0:18:a7b:1::3'))).toMatchObject({
    code: 'proxy-no-rule',
    message: expect.stringContaining('tarmac rule add --fly-6pn web'),
  })
  // A destroyed machine, an unknown one, and addresses outside 6PN.
  for (const address of ['fdaa:0:18:a7b:1::4', 'fdaa::9', '2001:db8::1', '1.2.3.4', 'fdaa:zz', ''])
    expect(await ask('172.16.5.6', from(address))).toBeNull()
  expect(fly.asked).toBe(1)
  later(5000)
  await ask('172.16.5.6', from('fdaa::9'))
  expect(fly.asked).toBe(2)
  later(30_000)
  expect(await ask('172.16.5.6', from('fdaa:0:18:a7b:1::2'))).toMatchObject(found)
  expect(fly.asked).toBe(3)
})

test('without a rule for machines Fly is not asked', async () => {
  const { ask, fly } = gatewayWith([alice])
  expect(await ask('172.16.5.6', from('fdaa:0:18:a7b:1::2'))).toBeNull()
  expect(fly.asked).toBe(0)
})
