import { expect, test } from 'vitest'
import { neighbourRules, networkRules } from '../../../gateway/src/isolation/firewall.ts'

const rules = networkRules({
  bridge: 'tarmac-ab',
  dns: ['10.0.0.53', 'fdaa::3'],
  allow: ['192.168.7.0/24'],
})
const chains = rules.split(/^chain /m).slice(1)

test('the table belongs to the bridge, and is replaced in one transaction', () => {
  expect(rules.split('\n').slice(0, 3)).toEqual([
    'table inet tarmac_tarmac_ab',
    'delete table inet tarmac_tarmac_ab',
    'table inet tarmac_tarmac_ab {',
  ])
})

test('the rules match only the bridge’s traffic, and precede the rules of network plugins', () => {
  expect(chains.map((chain) => chain.split('\n')[1])).toEqual([
    'type filter hook input priority -10;',
    'type filter hook forward priority -10;',
  ])
  for (const rule of rules.split('\n').filter((line) => /accept|drop/.test(line)))
    expect(rule).toMatch(/^iifname "tarmac-ab" /)
})

test('traffic to this machine is dropped unless it is an answer or allowed', () => {
  expect(chains[0]!.trim().split('\n').at(-2)).toBe('iifname "tarmac-ab" drop')
})

test('a resolver is open only for DNS; allow rules precede drop rules', () => {
  const forward = chains[1]!
  expect(forward).toContain('ip daddr { 10.0.0.53 } meta l4proto { tcp, udp } th dport 53 accept')
  expect(forward).toContain('ip6 daddr { fdaa::3 } meta l4proto { tcp, udp } th dport 53 accept')
  expect(forward.indexOf('{ 192.168.7.0/24 } accept')).toBeLessThan(forward.indexOf('drop'))
})

test('only public IPv6 addresses can be open', () => {
  expect(chains[1]).toContain('ip6 daddr != 2000::/3 drop')
})

test('no frame passes from step to step: by the bridge’s name, or by its addresses where the kernel cannot tell bridges apart', () => {
  const [byName, byAddress] = neighbourRules('tarmac-ab', ['10.210.0.1/16'], false)
  expect(byName).toContain('table bridge tarmac_tarmac_ab {')
  expect(byName).toContain('meta ibrname "tarmac-ab" drop')
  for (const rule of [
    'ip daddr 10.210.0.1/16',
    'arp saddr ip 10.210.0.1/16',
    'ip saddr 169.254.0.0/16',
    'ether type ip6',
  ])
    expect(byAddress).toContain(`${rule} drop comment "tarmac-ab"`)
})

test('other bridges lose no traffic where the IP hook sees bridged packets', () => {
  const [, byAddress] = neighbourRules('tarmac-ab', ['10.210.0.1/16'], true)
  expect(byAddress).not.toMatch(/169\.254|ip6/)
})
