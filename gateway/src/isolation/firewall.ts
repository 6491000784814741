import { writeFile } from 'node:fs/promises'
import { isIPv6 } from 'node:net'
import { networkInterfaces } from 'node:os'
import { Problem } from '#api/problem.ts'
import { execTool } from '../host/child/exec-tool.ts'
import { askPrivileged, hasPrivileged } from '../host/privileged/ask.ts'
import { calls } from '../host/privileged/calls.ts'
import { closed4, closed6, public6 } from '../registry/public-addresses.ts'

/** The network of build steps, and what they may reach besides the public network. */
export type BuildNetwork = {
  /** The bridge of the build steps. Empty: someone else applies its firewall rules. */
  bridge: string
  /** DNS servers, as in the daemon's `[dns]`. Only their port 53 is open. */
  dns: readonly string[]
  /** Addresses and ranges that are open, even inside a closed range. */
  allow: readonly string[]
}

/**
 * If these files exist and contain 1, packets between two ports of a bridge pass the forward hook
 * of IP.
 */
const bridgedTraffic = ['ip', 'ip6'].map(
  (family) => `/proc/sys/net/bridge/bridge-nf-call-${family}tables`,
)

/**
 * Applies the firewall rules for build steps: they reach the public network only, not this machine
 * and not each other. One transaction replaces the rules of an earlier gateway. The rules stay when
 * the gateway ends. `stepsApart` says whether steps are also kept from each other: not every kernel
 * can filter a bridge.
 */
export async function applyFirewallRules(network: BuildNetwork): Promise<{ stepsApart: boolean }> {
  if (hasPrivileged()) return askPrivileged(calls.firewall, null)
  await nft(networkRules(network)).catch((cause: unknown) => {
    const detail =
      'nft could not apply the firewall rules around build steps. The gateway needs nftables and root'
    throw new Problem('not-ready', detail, { cause })
  })
  const shown = await showBridgedTraffic()
  for (const rules of neighbourRules(network.bridge, subnetsOf(network.bridge), shown)) {
    const taken = await nft(rules).then(
      () => true,
      () => false,
    )
    if (taken) return { stepsApart: true }
  }
  return { stepsApart: shown }
}

/**
 * Tries to make IP packets between two ports of a bridge pass the forward hook of IP. Returns
 * whether it worked. Other frames never pass that hook.
 */
async function showBridgedTraffic(): Promise<boolean> {
  try {
    for (const path of bridgedTraffic) await writeFile(path, '1', { flag: 'r+' })
    return true
  } catch {
    return false
  }
}

const nft = (rules: string): Promise<void> => execTool('nft', ['-f', '-'], { input: rules })

/**
 * Steps on one bridge must not talk to each other: no frame of any kind goes from port to port.
 * Traffic to and from this machine itself does not pass this hook, and neither does ARP for the
 * default route.
 *
 * Not every kernel can match a bridge by name here. On such a kernel the rules match the addresses
 * of this bridge. Link-local addresses are the same on every bridge. If the hook of IP does not see
 * them (`shown`), they and IPv6 are dropped on all bridges. The caller uses the first table that
 * the kernel accepts.
 */
export function neighbourRules(
  bridge: string,
  subnets: readonly string[],
  shown: boolean,
): string[] {
  const table = (rules: string[]) =>
    replacedTable(`bridge ${tableName(bridge)}`, chain('to_neighbours', 'forward', rules))
  const own = subnets.flatMap((subnet) => [
    ...fromAndTo(subnet),
    ...fromAndTo(subnet, 'arp', 'ip '),
  ])
  const ofLinks = [...fromAndTo('169.254.0.0/16'), 'ether type ip6 drop']
  const rules = [...own, ...(shown ? [] : ofLinks)].map((rule) => `${rule} comment "${bridge}"`)
  return [
    table([`meta ibrname "${bridge}" drop`, `meta obrname "${bridge}" drop`]),
    ...(subnets.length > 0 ? [table(rules)] : []),
  ]
}

const fromAndTo = (range: string, kind = 'ip', of = '') =>
  ['saddr', 'daddr'].map((which) => `${kind} ${which} ${of}${range} drop`)

const subnetsOf = (bridge: string) =>
  (networkInterfaces()[bridge] ?? []).flatMap(({ family, cidr }) =>
    family === 'IPv4' && cidr ? [cidr] : [],
  )

/**
 * The rules in the syntax of nft. They run before the rules of the network plugins, and only drop
 * packets.
 */
export function networkRules({ bridge, dns, allow }: BuildNetwork): string {
  const open = [
    'ct state established,related accept',
    ...perFamily(dns, (to) => `${to} meta l4proto { tcp, udp } th dport 53 accept`),
    ...perFamily(allow, (to) => `${to} accept`),
  ]
  const closed = [
    `ip daddr ${set(closed4)} drop`,
    `ip6 daddr != ${public6} drop`,
    `ip6 daddr ${set(closed6)} drop`,
  ]
  const ofSteps = (rules: string[]) => rules.map((rule) => `iifname "${bridge}" ${rule}`)
  return replacedTable(`inet ${tableName(bridge)}`, [
    ...chain('to_this_machine', 'input', ofSteps([...open, 'drop'])),
    ...chain('to_others', 'forward', ofSteps([...open, ...closed])),
  ])
}

const tableName = (bridge: string) => `tarmac_${bridge.replaceAll(/\W/g, '_')}`

/** Creates the table first, so that the delete never fails. */
const replacedTable = (table: string, lines: string[]) =>
  [`table ${table}`, `delete table ${table}`, `table ${table} {`, ...lines, '}\n'].join('\n')

const chain = (name: string, hook: string, rules: string[]) => [
  `chain ${name} {`,
  `type filter hook ${hook} priority -10;`,
  ...rules,
  '}',
]

function perFamily(addresses: readonly string[], rule: (to: string) => string): string[] {
  return [false, true].flatMap((sixth) => {
    const own = addresses.filter((each) => isIPv6(each.split('/')[0]!) === sixth)
    return own.length > 0 ? [rule(`ip${sixth ? '6' : ''} daddr ${set(own.join(' '))}`)] : []
  })
}

const set = (ranges: string) => `{ ${ranges.replaceAll(' ', ', ')} }`
