import { once } from 'node:events'
import { createServer } from 'node:net'

/** The first free loopback port at or above this one. */
export async function freePort(from: number): Promise<number> {
  for (let port = from; port < from + 500; port++) if (await isFree(port)) return port
  throw new Error(`No free port from ${from} to ${from + 500}.`)
}

export async function isFree(port: number): Promise<boolean> {
  const server = createServer()
  server.listen(port, '127.0.0.1')
  const free = await once(server, 'listening').then(
    () => true,
    () => false,
  )
  server.close()
  return free
}
