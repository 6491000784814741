import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { membersOf, networkAt } from '../../../lab/localfly/network/networks.ts'
import { isSelected, policyRules } from '../../../lab/localfly/network/policy-rules.ts'
import { separationRules } from '../../../lab/localfly/network/separation.ts'
import { type App, FlyState } from '../../../lab/localfly/state.ts'
import { aMachine } from './machine.ts'

test('each app’s network has the machines of its apps; a deleted app’s machine is in none', () => {
  const dir = mkdtempSync(join(tmpdir(), 'networks-'))
  onTestFinished(() => rmSync(dir, { recursive: true }))
  const state = new FlyState(dir)
  const app = (name: string, network: string, org_slug = 'personal') =>
    state.apps.set(name, { name, network, org_slug, ips: [] } as unknown as App)
  app('a', 'ada')
  app('b', 'ada')
  app('c', 'default')
  app('theirs', 'ada', 'acme')
  for (const [at, of] of ['a', 'b', 'c', 'theirs', 'deleted+1', 'a'].entries()) {
    const own = { ...aMachine().own, app: of }
    const ended = at === 5 ? { state: 'destroyed' as const } : {}
    const made = aMachine({ id: `${at}`, private_ip: `10.64.0.${at + 2}`, own, ...ended })
    state.machines.set(made.id, made)
  }
  expect(membersOf(state)).toEqual([['10.64.0.2', '10.64.0.3'], ['10.64.0.4'], ['10.64.0.5']])
  const asked = ['10.64.0.2', '10.64.0.5', '10.64.0.6', '10.64.0.7', '10.64.0.1']
  expect(asked.map((address) => networkAt(state, address))).toEqual([
    'ada',
    'acme/ada',
    '+',
    'default',
    'default',
  ])
})

test('packets pass within each network alone; everything else of a machine is dropped', () => {
  const rules = separationRules('fly1', '10.64.7', [['10.64.7.3', '10.64.7.2'], ['10.64.7.9']])
  const second = rules.indexOf('table ip')
  const [bridge, routed] = [rules.slice(0, second), rules.slice(second)]
  const within = [
    'ip saddr { 10.64.7.2, 10.64.7.3 } ip daddr { 10.64.7.2, 10.64.7.3 } accept',
    'ip saddr { 10.64.7.9 } ip daddr { 10.64.7.9 } accept',
  ].join('\n')
  expect(bridge).toContain(`priority -10;\n${within}\narp saddr ip`)
  expect(bridge).toContain('ether saddr 02:42:0a:40:07:00/40 drop')
  expect(bridge).toContain('arp daddr ip 10.64.7.0/24 drop')
  expect(routed).toContain(`oifname != "fly1" accept\n${within}\ndrop`)
})

test('without machines nothing passes', () => {
  expect(separationRules('fly1', '10.64.7', [])).not.toMatch(/saddr.*accept/)
})

test.each([
  [{}, false],
  [{ all: true }, true],
  [{ all: false }, false],
  [{ machines: [{ id: 'abc' }] }, true],
  [{ machines: [{ id: 'other' }] }, false],
  [{ all: true, machines: [{ id: 'other' }] }, false],
  [{ metadata: { role: 'web' } }, true],
  [{ metadata: { role: 'web', env: 'x' } }, false],
])('the selector %j selects: %s', (selector, selected) => {
  const machine = { id: 'abc', config: { metadata: { role: 'web' } } }
  expect(isSelected(selector, machine)).toBe(selected)
})

test('a direction with a rule is closed but for its ports, answers and the proxy; another stays open', () => {
  const allow = (direction: 'ingress' | 'egress', port: number) => ({
    action: 'allow' as const,
    direction,
    ports: [{ protocol: 'tcp' as const, port }],
  })
  const policy = (...rules: ReturnType<typeof allow>[]) => ({
    id: '1',
    name: 'x',
    selector: { all: true },
    rules,
  })
  const machine = { id: 'abc', config: {} }
  const rulesOf = (...policies: ReturnType<typeof policy>[]) =>
    policyRules(policies, machine, '10.64.7.1')
  expect(rulesOf()).toBe(null)
  expect(rulesOf(policy())).toBe(null)
  expect(rulesOf(policy(allow('egress', 80)), policy(allow('egress', 443)))).toBe(
    `table inet network_policy {
chain output_policy {
type filter hook output priority 0; policy drop;
oifname "lo" accept
ct state established,related accept
ip daddr 10.64.7.1 accept
tcp dport 80 accept
tcp dport 443 accept
}
}
`,
  )
  expect(rulesOf(policy(allow('ingress', 80)))).not.toContain('output')
})
