import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { networkInterfaces } from 'node:os'
import { join } from 'node:path'
import { Problem } from '#api/problem.ts'
import { applyFirewallRules, type BuildNetwork } from './firewall.ts'
import { execTool as run } from '../host/child/exec-tool.ts'
import { askPrivileged, hasPrivileged } from '../host/privileged/ask.ts'
import { calls } from '../host/privileged/calls.ts'
import { writeOwnFile } from '../host/privileged/own-file.ts'

export type LookupNetwork = {
  /** The path of the network namespace. */
  namespace: string
  /**
   * The files that a program needs for name resolution and certificates, by their path in the
   * sandbox.
   */
  readOnlyMounts: Record<string, string>
}

const certificates = '/etc/ssl'

/**
 * A network namespace from which programs reach the public network only. A veth pair connects it to
 * this machine, and the firewall rules of build steps apply to it. The name comes from the folder,
 * so that a gateway finds what it left behind when it was killed.
 */
export async function openLookupNetwork(
  dir: string,
  { dns, allow }: Pick<BuildNetwork, 'dns' | 'allow'>,
) {
  if (hasPrivileged()) {
    const opened = await askPrivileged(calls.lookups, null)
    return { ...opened, [Symbol.asyncDispose]: async () => {} } // it stays for the next gateway
  }
  const hash = createHash('sha256').update(dir).digest()
  const name = `tarmac_p${hash.toString('hex', 0, 3)}`

  const close = async () => {
    const rules = `tarmac_${name}`
    for (const table of [`ip ${name}`, `inet ${rules}`, `bridge ${rules}`])
      await run('nft', ['delete', 'table', ...table.split(' ')]).catch(() => {})
    await run('ip', ['link', 'delete', name]).catch(() => {})
    await run('ip', ['netns', 'delete', name]).catch(() => {})
  }

  await close()
  try {
    const subnet = freeSubnet(hash.readUInt16BE(4))
    const [host, own] = [`${subnet}.1`, `${subnet}.2`]
    // Apply the firewall rules before the link exists, so that the link is never open.
    await applyFirewallRules({ bridge: name, dns, allow })
    await run('nft', [natRules(name, own)])
    const commands = [
      `netns add ${name}`,
      `link add ${name} type veth peer name eth0 netns ${name}`,
      `address add ${host}/30 dev ${name}`,
      `link set ${name} up`,
      `-n ${name} address add ${own}/30 dev eth0`,
      `-n ${name} link set lo up`,
      `-n ${name} link set eth0 up`,
      `-n ${name} route add default via ${host}`,
    ]
    for (const command of commands) await run('ip', command.split(' '))
    await writeFile('/proc/sys/net/ipv4/ip_forward', '1')
    const resolvers = join(dir, 'plan-resolv.conf')
    writeOwnFile(resolvers, dns.map((address) => `nameserver ${address}\n`).join(''))
    const readOnlyMounts = {
      '/etc/resolv.conf': resolvers,
      ...(existsSync(certificates) && { [certificates]: certificates }),
    }
    return { namespace: `/run/netns/${name}`, readOnlyMounts, [Symbol.asyncDispose]: close }
  } catch (cause) {
    await close()
    const advice =
      'The gateway needs root, iproute2 and nftables for it; or set TARMAC_PLAN_NETWORK=none.'
    throw new Problem('not-ready', `The planner’s network could not be created. ${advice}`, {
      cause,
    })
  }
}

const natRules = (name: string, own: string) =>
  `table ip ${name} { chain out { type nat hook postrouting priority 100; ip saddr ${own} oifname != "${name}" masquerade; }; }`

/**
 * The first three numbers of a free address in 198.18.0.0/15. That range is for tests, so no real
 * network uses it.
 */
function freeSubnet(seed: number): string {
  const taken = new Set(
    Object.values(networkInterfaces()).flatMap((each) => each?.map(({ address }) => address) ?? []),
  )
  for (let n = seed; n < seed + 2 ** 15; n++) {
    const subnet = `198.${18 + ((n >> 8) & 1)}.${n & 255}`
    if (!taken.has(`${subnet}.1`)) return subnet
  }
  throw new Error('No subnet is free.')
}
