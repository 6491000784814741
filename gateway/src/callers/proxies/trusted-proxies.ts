import { BlockList, isIPv6 } from 'node:net'

/** `tailscale`: `tailscale serve`. `fly`: Fly's proxy. Each is believed in its own headers alone. */
export type ProxyKind = 'tailscale' | 'fly'
/** One proxy of the setting: an address or a range, as `10.0.0.0/8`. */
export type TrustedProxy = { kind: ProxyKind; range: string }

/** Whether an address is one of the operator's proxies of this kind. */
export type IsTrusted = (kind: ProxyKind, address: string) => boolean

export function trustedProxies(proxies: readonly TrustedProxy[]): IsTrusted {
  const lists = { tailscale: new BlockList(), fly: new BlockList() }
  for (const { kind, range } of proxies) {
    const [address = '', bits] = range.split('/')
    const family = isIPv6(address) ? 'ipv6' : 'ipv4'
    if (bits === undefined) lists[kind].addAddress(address, family)
    else lists[kind].addSubnet(address, Number(bits), family)
  }
  return (kind, address) => {
    const plain = plainAddress(address)
    return plain !== '' && lists[kind].check(plain, isIPv6(plain) ? 'ipv6' : 'ipv4')
  }
}

/** `::ffff:10.0.0.1` is how a socket for both families names 10.0.0.1. */
export const plainAddress = (address: string): string => address.replace(/^::ffff:(?=\d+\.)/i, '')
