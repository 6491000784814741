import type { IncomingHttpHeaders } from 'node:http'
import { BlockList, isIP, isIPv6 } from 'node:net'

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

/**
 * The address that a request comes from: what a trusted proxy says of it, or the other end of the
 * connection. Both proxies write their header themselves, so no caller behind them chooses it.
 */
export const sourceBehind =
  (isTrusted: IsTrusted) =>
  (headers: IncomingHttpHeaders, peer: string): string => {
    const said = [
      isTrusted('fly', peer) ? textOf(headers['fly-client-ip']) : null,
      isTrusted('tailscale', peer) ? lastOf(textOf(headers['x-forwarded-for'])) : null,
    ]
    return said.find((address) => address !== null && isIP(address) !== 0) ?? plainAddress(peer)
  }

export const textOf = (header: string | string[] | undefined): string | null =>
  typeof header === 'string' && header !== '' ? header : null

/** The address that the nearest proxy has added. A caller may have sent the others. */
export function lastOf(forwarded: string | null): string | null {
  const last = forwarded?.slice(forwarded.lastIndexOf(',') + 1).trim() ?? ''
  return isIP(last) ? last : null
}
