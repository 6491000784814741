import { execFile, spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'

/**
 * A simulated machine (a network namespace) with a bridge, and two steps on it that are not ours.
 */
const machine = 'tarmac-nb-host'
const steps = ['tarmac-nb-one', 'tarmac-nb-two'] as const
const bridge = 'tarmacnb0'
const port = 7777
const listeners: ChildProcess[] = []
let links: { machine: string; two: string }

const run = promisify(execFile)
const ip = (text: string) => run('ip', text.split(' '))
const inside = (space: string, script: string) =>
  run('ip', ['netns', 'exec', space, 'sh', '-c', script])

beforeAll(async () => {
  await remove()
  for (const space of [machine, ...steps]) {
    await ip(`netns add ${space}`)
    await ip(`-n ${space} link set lo up`)
  }
  await ip(`-n ${machine} link add ${bridge} type bridge`)
  await ip(`-n ${machine} addr add 10.231.7.1/24 dev ${bridge}`)
  await ip(`-n ${machine} addr add 169.254.7.1/16 dev ${bridge}`)
  await ip(`-n ${machine} link set ${bridge} up`)
  for (const [at, step] of steps.entries()) {
    await ip(`-n ${machine} link add port${at} type veth peer name eth0 netns ${step}`)
    await ip(`-n ${machine} link set port${at} master ${bridge} up`)
    await ip(`-n ${step} addr add 10.231.7.${at + 2}/24 dev eth0`)
    await ip(`-n ${step} addr add 169.254.7.${at + 2}/16 dev eth0`)
    await ip(`-n ${step} link set eth0 up`)
  }
  await linkAddress(steps[0], 'eth0')
  links = { machine: await linkAddress(machine, bridge), two: await linkAddress(steps[1], 'eth0') }
  for (const space of [machine, steps[1]]) await listenIn(space)
})
afterEach(async () => {
  await inside(machine, 'nft flush ruleset')
  await forgetNeighbours()
})
afterAll(async () => {
  for (const listener of listeners) listener.kill()
  await remove()
})

const places = () => ({
  'the machine': '10.231.7.1',
  'the machine, on the link': '169.254.7.1',
  'the machine, on the link by IPv6': `${links.machine}%eth0`,
  'the neighbour': '10.231.7.3',
  'the neighbour, on the link': '169.254.7.3',
  'the neighbour, on the link by IPv6': `${links.two}%eth0`,
})

test.each([
  ['shows the traffic of bridges to the hooks of IP', ''],
  ['does not show the traffic of bridges', 'mount -t tmpfs none /proc/sys/net/bridge &&'],
])(
  'where the kernel %s, a step reaches neither the machine nor its neighbour by any address',
  async (_, hide) => {
    await inside(
      machine,
      'for each in /proc/sys/net/bridge/bridge-nf-call-*; do echo 0 > $each; done',
    )
    expect(await reached()).toEqual(Object.keys(places())) // the control
    expect(await neighboursOf(steps[0])).toContain('10.231.7.3')
    expect(await heardByNeighbour()).toBe(true)

    const rules = join(import.meta.dirname, '../../gateway/src/isolation/firewall.ts')
    const program = `import { applyFirewallRules } from '${rules}'; console.log(JSON.stringify(await applyFirewallRules({ bridge: '${bridge}', dns: [], allow: [] })))`
    const { stdout } = await inside(
      machine,
      `${hide} exec ${process.execPath} --input-type=module -e "${program}"`,
    )
    expect(JSON.parse(stdout)).toEqual({ stepsApart: true })

    await forgetNeighbours()
    expect(await reached()).toEqual([])
    // It does not even learn addresses: a step cannot claim that it has its neighbour's.
    expect(await neighboursOf(steps[0])).toEqual(['10.231.7.1'])
    expect(await heardByNeighbour()).toBe(false)
  },
)

async function forgetNeighbours(): Promise<void> {
  for (const step of steps)
    for (const family of ['-4', '-6']) await ip(`-n ${step} ${family} neigh flush dev eth0 nud all`)
}

/** Reports whether a packet to all nodes of the link, as in ND and RA, reaches the neighbour. */
async function heardByNeighbour(): Promise<boolean> {
  const program = `const s = require('dgram').createSocket('udp6'); s.bind(${port}, () => { s.addMembership('ff02::77', '::%eth0'); console.log('listening') }); s.on('message', () => { console.log('heard'); process.exit() })`
  const listener = spawn('ip', ['netns', 'exec', steps[1], process.execPath, '-e', program])
  listeners.push(listener)
  await once(listener.stdout, 'data', { signal: AbortSignal.timeout(20_000) })
  const heard = once(listener.stdout, 'data', { signal: AbortSignal.timeout(1500) }).then(
    () => true,
    () => false,
  )
  const send = `const s = require('dgram').createSocket('udp6'); s.send('x', ${port}, 'ff02::77%eth0', () => s.close())`
  await run('ip', ['netns', 'exec', steps[0], process.execPath, '-e', send])
  return heard.finally(() => listener.kill())
}

/** The names of the places that the first step can connect to. */
async function reached(): Promise<string[]> {
  const program = `const net = require('net'); const places = ${JSON.stringify(places())}
    for (const [name, host] of Object.entries(places)) { const s = net.connect({ host, port: ${port} }); s.on('connect', () => console.log(name)).on('error', () => {}); setTimeout(() => s.destroy(), 1000) }`
  const { stdout } = await run('ip', ['netns', 'exec', steps[0], process.execPath, '-e', program])
  const found = stdout.split('\n')
  return Object.keys(places()).filter((name) => found.includes(name))
}

/** IPv4 addresses whose hardware address the step knows. */
async function neighboursOf(step: string): Promise<string[]> {
  const { stdout } = await ip(`-json -n ${step} -4 neigh show`)
  const all = JSON.parse(stdout || '[]') as { dst: string; lladdr?: string }[]
  return all.flatMap(({ dst, lladdr }) => (lladdr && dst.startsWith('10.') ? [dst] : []))
}

/** The link-local address of an interface, once it is usable. */
async function linkAddress(space: string, link: string): Promise<string> {
  for (let tries = 0; tries < 100; tries++) {
    const { stdout } = await ip(`-json -n ${space} -6 addr show dev ${link} scope link`)
    const [found] = (
      JSON.parse(stdout || '[]') as { addr_info?: { local?: string; tentative?: boolean }[] }[]
    ).flatMap(({ addr_info = [] }) =>
      addr_info.filter(({ local, tentative }) => local && !tentative),
    )
    if (found) return found.local!
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  throw new Error(`${link} of ${space} has no address within its link.`)
}

async function listenIn(space: string): Promise<void> {
  const program = `require('net').createServer((s) => s.on('error', () => {}).end()).listen(${port}, '::', () => console.log('listening'))`
  const child = spawn('ip', ['netns', 'exec', space, process.execPath, '-e', program], {
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  listeners.push(child)
  await once(child.stdout, 'data', { signal: AbortSignal.timeout(20_000) })
}

async function remove(): Promise<void> {
  for (const space of [machine, ...steps]) await ip(`netns delete ${space}`).catch(() => {})
}
