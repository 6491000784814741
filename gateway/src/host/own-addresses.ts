import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import { networkInterfaces } from 'node:os'
import { portOf } from './port-of.ts'

const connectMs = 250

/**
 * Listens on every address of this machine until disposed, and closes each connection at once.
 * `addresses` are those at which this machine reached the listener: a client that cannot reach one
 * of them is blocked.
 */
export async function listenEverywhere(): Promise<{
  port: number
  addresses: string[]
  [Symbol.dispose](): void
}> {
  const server = createServer((socket) => socket.on('error', () => {}).destroy())
  server.listen(0)
  await once(server, 'listening')
  const port = portOf(server)

  const all = Object.values(networkInterfaces())
    .flatMap((each) => each ?? [])
    .map(({ address, scopeid }) => (scopeid ? `${address}%${scopeid}` : address))
  const reached = await Promise.all(all.map((address) => isReached(address, port)))

  return {
    port,
    addresses: all.filter((_, at) => reached[at]),
    [Symbol.dispose]: () => void server.close(),
  }
}

async function isReached(host: string, port: number): Promise<boolean> {
  const socket = connect({ host, port })
  const reached = await once(socket, 'connect', { signal: AbortSignal.timeout(connectMs) }).then(
    () => true,
    () => false,
  )
  socket.on('error', () => {}).destroy()
  return reached
}
