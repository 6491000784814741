import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'

/**
 * The walls between the networks of machines: Fly does not forward packets between 6PNs
 * (superfly/docs: networking/private-networking). All machines of a lab are on one bridge, and
 * nftables passes only what stays within a network. Packets between a machine and this host do not
 * meet these rules: the host is Fly's side, with the proxy, the name server and the API.
 */
export class NetworkSeparation {
  readonly #name: string
  readonly #subnet: string
  #applied = ''
  #last: Promise<void> = Promise.resolve()

  /** `bridge`: also the name of the tables. `subnet`: the first three numbers of a /24. */
  constructor(bridge: string, subnet: string) {
    this.#name = bridge
    this.#subnet = subnet
  }

  /** Puts the machines of each network together, and apart from all others. */
  async apply(networks: string[][]): Promise<void> {
    const rules = separationRules(this.#name, this.#subnet, networks)
    const before = this.#last
    this.#last = (async () => {
      await before.catch(() => {})
      if (this.#applied === rules) return
      await nft(rules)
      this.#applied = rules
    })()
    return this.#last
  }

  async remove(): Promise<void> {
    this.#applied = ''
    await nft(families.map((family) => emptied(`${family} ${this.#name}`)).join(''))
  }
}

/** `ip`: for packets that a machine sends through this host, back to the bridge. */
const families = ['bridge', 'ip'] as const

/**
 * The rules in the syntax of nft. They replace the earlier ones at once, and meet each packet, so
 * they hold for open connections too. They go by addresses, because not every kernel knows the names
 * of bridges there. The last ones drop every other frame of a machine, also IPv6 and ARP.
 */
export function separationRules(bridge: string, subnet: string, networks: string[][]): string {
  const hardware = `${macPrefix(subnet)}:00/40`
  const sets = networks.map((addresses) => `{ ${addresses.toSorted().join(', ')} }`)
  const within = sets.map((set) => `ip saddr ${set} ip daddr ${set} accept`)
  const arp = sets.map((set) => `arp saddr ip ${set} arp daddr ip ${set} accept`)
  const ends = ['saddr', 'daddr']
  return [
    ...table(`bridge ${bridge}`, [
      ...within,
      ...arp,
      ...ends.map((end) => `ether ${end} ${hardware} drop`),
      ...ends.map((end) => `ip ${end} ${subnet}.0/24 drop`),
      ...ends.map((end) => `arp ${end} ip ${subnet}.0/24 drop`),
    ]),
    ...table(`ip ${bridge}`, [
      `iifname != "${bridge}" accept`,
      `oifname != "${bridge}" accept`,
      ...within,
      'drop',
    ]),
  ].join('\n')
}

const table = (name: string, rules: string[]) => [
  `${emptied(name)}table ${name} {`,
  'chain between_networks {',
  'type filter hook forward priority -10;',
  ...rules,
  '}',
  '}\n',
]

/** Makes the table first, so that the delete never fails. */
const emptied = (name: string) => `table ${name}\ndelete table ${name}\n`

/** The hardware addresses of machines follow from their addresses: `macOf`. */
const macPrefix = (subnet: string) =>
  ['02:42', ...subnet.split('.').map((byte) => Number(byte).toString(16).padStart(2, '0'))].join(
    ':',
  )

/** Runs nft on rules. `within`: words of a program that runs it elsewhere. */
export async function nft(rules: string, within: string[] = []): Promise<void> {
  const [program, ...words] = [...within, 'nft', '-f', '-']
  const child = spawn(program, words, { stdio: ['pipe', 'ignore', 'pipe'] })
  child.stdin.on('error', () => {}) // it has ended, and said why
  child.stdin.end(rules)
  const said = text(child.stderr)
  const [code] = (await once(child, 'close')) as [number]
  if (code !== 0) throw new Error(`nft: ${(await said).trim()}`)
}
