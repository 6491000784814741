import { once } from 'node:events'
import { connect, createServer, type AddressInfo } from 'node:net'
import { networkInterfaces } from 'node:os'

const connectMs = 250

/**
 * A listener on every address of this machine, until it is disposed of; it hangs up on everyone. `addresses` are those
 * at which this machine itself reached it: so whoever else does not was kept from it.
 */
export async function listenEverywhere(): Promise<{
  port: number
  addresses: string[]
  [Symbol.dispose](): void
}> {
  const server = createServer((socket) => socket.on('error', () => {}).destroy())
  server.listen(0)
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
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
