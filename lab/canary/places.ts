/**
 * Addresses that the canary adds to this machine, or behind it, and removes again. It tries nothing
 * outside.
 */
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import { networkInterfaces } from 'node:os'
import { promisify } from 'node:util'

/** Addresses of this machine, on loopback. */
export const onThisMachine = {
  tenth: '10.77.77.1',
  resolver: '198.18.77.53',
  sixPn: 'fdaa:0:77::3',
  uniqueLocal: 'fd00:77::1',
  metadata6: 'fd00:ec2::254',
  test6: '2001:db8:77::1',
  nat64: '64:ff9b::a9fe:a9fe',
}
/** Addresses of another host, one hop behind this machine. */
export const beyond = {
  metadata: '169.254.169.254',
  linkLocal: '169.254.77.1',
  tenth: '10.78.78.1',
  private172: '172.31.78.1',
  private192: '192.168.78.1',
  shared: '100.100.78.1',
  protocols: '192.0.0.78',
  test1: '192.0.2.78',
  test2: '198.51.100.78',
  test3: '203.0.113.78',
  relay: '192.88.99.78',
  benchmark: '198.19.78.1',
  reserved: '240.78.78.1',
  /** Allowed by the canary's settings. */
  allowed: '10.78.78.99',
  /** In no closed range: it represents the public network. */
  open: '192.31.196.78',
}
const other = { space: 'tarmac-canary', link: 'tcanary0', peer: 'tcanary1' }
const neighbour = { space: 'tarmac-nextdoor', link: 'tnextdoor0', peer: 'tnextdoor1' }
const linkAddresses = { host: '10.78.79.1/30', peer: '10.78.79.2/30' }
const listenMs = 5000

/**
 * Adds the addresses, each with a listener on `port`. The neighbour is on the bridge, like another
 * build's step.
 */
export async function openPlaces(bridge: { name: string; subnet: string }, port: number) {
  await removePlaces()
  await using opening = new AsyncDisposableStack()
  opening.defer(removePlaces)
  for (const address of Object.values(onThisMachine)) {
    const bits = address.includes(':') ? ['/128', 'nodad'] : ['/32']
    await ip('addr', 'add', `${address}${bits[0]}`, 'dev', 'lo', ...bits.slice(1))
  }
  const server = createServer((socket) => socket.on('error', () => {}).end())
  server.listen(port)
  await once(server, 'listening')
  opening.defer(() => void server.close())

  await addSpace(other)
  await ip('addr', 'add', linkAddresses.host, 'dev', other.link)
  await ip('-n', other.space, 'addr', 'add', linkAddresses.peer, 'dev', other.peer)
  await ip(
    '-n',
    other.space,
    'route',
    'add',
    'default',
    'via',
    linkAddresses.host.replace('/30', ''),
  )
  for (const address of Object.values(beyond)) {
    await ip('-n', other.space, 'addr', 'add', `${address}/32`, 'dev', 'lo')
    await ip('route', 'add', `${address}/32`, 'dev', other.link)
  }
  const neighbourAddress = bridge.subnet.replace('0/24', '250')
  await addSpace(neighbour)
  await ip('link', 'set', neighbour.link, 'master', bridge.name)
  await ip('-n', neighbour.space, 'addr', 'add', `${neighbourAddress}/24`, 'dev', neighbour.peer)
  for (const { space } of [other, neighbour]) opening.use(await listenIn(space, port))
  const open = opening.move()
  return { neighbour: neighbourAddress, [Symbol.asyncDispose]: () => open.disposeAsync() }
}

/** Whether this machine itself can connect. */
export async function isReached(host: string, port: number): Promise<boolean> {
  const socket = connect({ host, port })
  const reached = await once(socket, 'connect', { signal: AbortSignal.timeout(2000) }).then(
    () => true,
    () => false,
  )
  socket.on('error', () => {}).destroy()
  return reached
}

/** The bridge's own link-local address, as a step sees it, once a step or a neighbour is on it. */
export function linkLocalOf(bridge: string): { address: string; scope: number } | undefined {
  const found = networkInterfaces()[bridge]?.find(({ address }) => address.startsWith('fe80:'))
  return found?.scopeid ? { address: found.address, scope: found.scopeid } : undefined
}

async function addSpace({ space, link, peer }: typeof other): Promise<void> {
  await ip('netns', 'add', space)
  await ip('link', 'add', link, 'type', 'veth', 'peer', 'name', peer, 'netns', space)
  await ip('link', 'set', link, 'up')
  for (const own of ['lo', peer]) await ip('-n', space, 'link', 'set', own, 'up')
}

async function listenIn(space: string, port: number): Promise<AsyncDisposable> {
  const program = `require('net').createServer((s) => s.on('error', () => {}).end()).listen(${port}, () => console.log('listening'))`
  const child = spawn('ip', ['netns', 'exec', space, process.execPath, '-e', program], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const ended = once(child, 'exit')
  await once(child.stdout, 'data', { signal: AbortSignal.timeout(listenMs) })
  return {
    async [Symbol.asyncDispose]() {
      child.kill()
      await ended
    },
  }
}

async function removePlaces(): Promise<void> {
  for (const { space, link } of [other, neighbour]) {
    await quiet('link', 'delete', link) // this removes its routes too
    await quiet('netns', 'delete', space)
  }
  for (const address of Object.values(onThisMachine)) {
    await quiet('addr', 'delete', `${address}/${address.includes(':') ? 128 : 32}`, 'dev', 'lo')
  }
}

const ip = (...words: string[]) => promisify(execFile)('ip', words)
const quiet = (...words: string[]) => ip(...words).catch(() => undefined)
