/**
 * The network needs of build steps on this machine: its resolvers, and package mirrors outside the
 * public network.
 */
import { execFile } from 'node:child_process'
import { lookup } from 'node:dns/promises'
import { readFile } from 'node:fs/promises'
import { BlockList, isIP } from 'node:net'
import { promisify } from 'node:util'
import { aptConf, debianMirror, goEnv, npmrc, pipConf } from '../make/machine-settings.ts'

/** The gateway's settings for the build network, except the bridge. */
export async function buildNetworkSettings(dns: string[]): Promise<Record<string, string>> {
  return { TARMAC_BUILD_DNS: dns.join(','), TARMAC_BUILD_ALLOW: (await insideMirrors()).join(',') }
}

/** A loopback resolver serves only this machine. The resolvers behind it come from systemd. */
export async function resolvers(): Promise<string[]> {
  for (const file of ['/etc/resolv.conf', '/run/systemd/resolve/resolv.conf']) {
    const text = await readFile(file, 'utf8').catch(() => '')
    const found = [...text.matchAll(/^nameserver\s+(\S+)/gm)].map(([, address = '']) => address)
    const reachable = found.filter((address) => isIP(address) && !/^127\.|^::1$/.test(address))
    if (reachable.length > 0) return reachable
  }
  return ['1.1.1.1', '8.8.8.8']
}

/**
 * Addresses of this machine's package registries and proxies that build steps could not reach
 * otherwise.
 */
async function insideMirrors(): Promise<string[]> {
  const clients = [npmrc(), pipConf(), pipIndex(), aptConf(), goEnv(), debianMirror()]
  const settings = await Promise.all(clients)
  const urls = settings.flat().flatMap((text) => text.match(/https?:\/\/[^\s"',|]+/g) ?? [])
  const hosts = new Set(urls.map((url) => new URL(url).hostname))
  const answers = await Promise.all(
    [...hosts].map((host) => lookup(host, { all: true, family: 4 }).catch(() => [])),
  )
  const addresses = new Set(answers.flat().map(({ address }) => address))
  return [...addresses].filter((address) => inside.check(address))
}

async function pipIndex(): Promise<string> {
  const ask =
    'from pip._internal.models.index import PyPI as p; print(p.simple_url, "https://" + p.file_storage_domain)'
  return promisify(execFile)('python3', ['-c', ask]).then(
    ({ stdout }) => stdout,
    () => '',
  )
}

const inside = new BlockList()
for (const range of [
  '10.0.0.0/8',
  '100.64.0.0/10',
  '172.16.0.0/12',
  '192.0.2.0/24',
  '192.168.0.0/16',
  '198.18.0.0/15',
  '198.51.100.0/24',
  '203.0.113.0/24',
]) {
  const [net = '', bits] = range.split('/')
  inside.addSubnet(net, Number(bits))
}
