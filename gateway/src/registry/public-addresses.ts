import { BlockList, isIPv4 } from 'node:net'

/**
 * Ranges outside the public network: this host, private, shared, link-local, loopback, test, relay,
 * multicast, reserved.
 */
export const closed4 =
  '0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24 192.0.2.0/24 192.88.99.0/24 192.168.0.0/16 198.18.0.0/15 198.51.100.0/24 203.0.113.0/24 224.0.0.0/3'
/**
 * Only 2000::/3 is public, so ::1, IPv4 in IPv6, NAT64, 6PN, link-local and multicast are not.
 * Teredo, test ranges and 6to4 are inside it, but closed.
 */
export const public6 = '2000::/3'
export const closed6 = '2001::/23 2001:db8::/32 2002::/16 3fff::/20'

const [closed, open6] = [new BlockList(), new BlockList()]
const add = (list: BlockList, ranges: string, family: 'ipv4' | 'ipv6') => {
  for (const range of ranges.split(' ')) {
    const [address = '', bits] = range.split('/')
    list.addSubnet(address, Number(bits), family)
  }
}
add(closed, closed4, 'ipv4')
add(closed, closed6, 'ipv6')
add(open6, public6, 'ipv6')

/** Whether an IP address is of the public network, and not of this host, a private network or 6PN. */
export function isPublicAddress(address: string): boolean {
  if (isIPv4(address)) return !closed.check(address, 'ipv4')
  return open6.check(address, 'ipv6') && !closed.check(address, 'ipv6')
}
