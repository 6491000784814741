/**
 * A lab's own bridge name and subnet, and the removal of everything that a killed buildkitd left on
 * them.
 */
import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)

export interface Bridge {
  name: string
  /** a /24 */
  subnet: string
}

/**
 * The same folder gets the same bridge, unless this machine already has a link or a route there.
 */
export async function pickBridge(dir: string): Promise<Bridge> {
  const hash = createHash('sha256').update(dir).digest()
  const [links, routes] = await Promise.all([
    ip<{ ifname: string }>('link'),
    ip<{ dst: string }>('route'),
  ])
  for (let n = hash.readUInt32BE(); ; n++) {
    const prefix = `10.${192 + ((n >>> 8) % 32)}.${n & 255}.`
    const name = `tarmac-${((n >>> 0) % 0xff_ffff).toString(16).padStart(6, '0')}`
    const taken =
      links.some(({ ifname }) => ifname === name) ||
      routes.some(({ dst }) => dst.startsWith(prefix))
    if (!taken) return { name, subnet: `${prefix}0/24` }
  }
}

/**
 * Removes the bridge, the plugins' firewall rules and address reservations in its subnet, and nft
 * tables that name it.
 */
export async function removeBridge({ name, subnet }: Bridge): Promise<void> {
  const prefix = subnet.replace(/0\/24$/, '')
  // mostly gone: buildkitd removes it itself
  await run('ip', ['link', 'delete', name]).catch(() => undefined)
  for (const table of ['nat', 'filter']) await removeRules(table, name, prefix)
  const reservations = '/var/lib/cni/networks/buildkit'
  const reserved = await readdir(reservations).catch(() => [])
  await Promise.all(
    reserved.filter((ip) => ip.startsWith(prefix)).map((ip) => rm(join(reservations, ip))),
  )
  await removeTables(name)
}

/**
 * Removes, in one step, rules that name the bridge or an address of its subnet, and then the chains
 * of its namespaces.
 */
async function removeRules(table: string, name: string, prefix: string): Promise<void> {
  const { stdout } = await run('iptables-save', ['-t', table]).catch(() => ({ stdout: '' }))
  const rules = stdout
    .split('\n')
    .filter(
      (line) =>
        line.startsWith('-A ') && (line.includes(` ${prefix}`) || line.includes(` ${name} `)),
    )
  if (rules.length === 0) return
  const chains = new Set(rules.flatMap((rule) => /-j (CNI-[0-9a-f]{24})$/.exec(rule)?.[1] ?? []))
  const lines = [
    ...rules
      .filter((rule) => !chains.has(rule.split(' ')[1] ?? ''))
      .map((rule) => rule.replace('-A', '-D')),
    ...[...chains].flatMap((chain) => [`-F ${chain}`, `-X ${chain}`]),
  ]
  const restore = run('iptables-restore', ['--wait', '--noflush'])
  restore.child.stdin?.end(`*${table}\n${lines.join('\n')}\nCOMMIT\n`)
  await restore
}

async function removeTables(bridge: string): Promise<void> {
  const { stdout } = await run('nft', ['list', 'tables']).catch(() => ({ stdout: '' }))
  for (const line of stdout.split('\n').filter((line) => line.includes('tarmac'))) {
    const table = line.split(' ').slice(1)
    const { stdout: text } = await run('nft', ['list', 'table', ...table]).catch(() => ({
      stdout: '',
    }))
    if (text.includes(`"${bridge}"`))
      await run('nft', ['delete', 'table', ...table]).catch(() => undefined)
  }
}

async function ip<T>(object: 'link' | 'route'): Promise<T[]> {
  return JSON.parse((await run('ip', ['-json', object, 'show'])).stdout || '[]') as T[]
}
