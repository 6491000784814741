import { createHash } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { networkInterfaces } from 'node:os'
import { removeFirewallRules } from './firewall-rules.ts'
import { closeBridge, releaseBridge } from './inside.ts'
import { NetworkSeparation } from './separation.ts'

/** The network of a lab's machines: a bridge and a /24 of its own, so that labs run in parallel. */
export class MachineNetwork {
  readonly bridge: string
  readonly separation: NetworkSeparation
  readonly #subnet: string

  /** The same key gives the same bridge and, if it is free, the same subnet. */
  constructor(key: Buffer) {
    this.bridge = `fly${key.toString('hex', 0, 4)}`
    this.#subnet = freeSubnet(key, this.bridge)
    this.separation = new NetworkSeparation(this.bridge, this.#subnet)
  }

  /** This host's address on the network. */
  get hostAddress(): string {
    return `${this.#subnet}.1`
  }

  /** All addresses for machines. The first of the subnet belongs to the bridge. */
  addresses(): string[] {
    return Array.from({ length: 253 }, (_, index) => `${this.#subnet}.${index + 2}`)
  }

  /**
   * Writes the network for podman. Podman's command cannot set the bridge's name, and two labs would
   * get the same one.
   */
  write(file: string): void {
    const network = {
      name: 'lab',
      id: createHash('sha256').update(this.bridge).digest('hex'),
      driver: 'bridge',
      network_interface: this.bridge,
      created: '2026-01-01T00:00:00Z',
      subnets: [{ subnet: `${this.#subnet}.0/24`, gateway: this.hostAddress }],
      ipv6_enabled: false,
      internal: false,
      dns_enabled: false,
      ipam_options: { driver: 'host-local' },
    }
    writeFileSync(file, JSON.stringify(network))
  }

  /** Call this before the last machine is removed. */
  release(): Promise<void> {
    return releaseBridge(this.bridge)
  }

  async close(): Promise<void> {
    await closeBridge(this.bridge)
    await this.separation.remove()
    await removeFirewallRules(this.#subnet)
  }
}

export const macOf = (address: string): string =>
  ['02:42', ...address.split('.').map((byte) => Number(byte).toString(16).padStart(2, '0'))].join(
    ':',
  )

/**
 * Picks a /24 out of 10.64.0.0/10, the same one for the same lab, and skips subnets of this host.
 */
function freeSubnet(key: Buffer, bridge: string): string {
  const taken = Object.entries(networkInterfaces()).flatMap(([name, addresses]) =>
    name === bridge ? [] : (addresses ?? []).map(({ address }) => address),
  )
  for (let number = key.readUInt16BE(4); ; number++) {
    const subnet = `10.${64 + ((number >> 8) & 63)}.${number & 255}`
    if (!taken.some((address) => address.startsWith(`${subnet}.`))) return subnet
  }
}
