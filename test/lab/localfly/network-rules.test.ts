import { expect, test } from 'vitest'
import { isSelected, policyRules } from '../../../lab/localfly/network/policy-rules.ts'
import { wallRules } from '../../../lab/localfly/network/walls.ts'

test('packets pass within each network alone; everything else of a machine is dropped', () => {
  const rules = wallRules('fly1', '10.64.7', [['10.64.7.3', '10.64.7.2'], ['10.64.7.9']])
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
  expect(wallRules('fly1', '10.64.7', [])).not.toMatch(/saddr.*accept/)
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
