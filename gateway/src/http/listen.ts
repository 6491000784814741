import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { EventsSocket } from './events-socket.ts'
import { httpApp, type HttpParts } from './http-app.ts'
import { eventsReader } from './read-events.ts'

export type Listening = { url: string; port: number; [Symbol.asyncDispose](): Promise<void> }

/**
 * The gateway on its address (port 0: any free one). Disposing takes no new connection, lets answers under way end for
 * `graceMs`, then cuts the rest; fire `parts.stopping` first.
 */
export async function listen(
  parts: HttpParts,
  { host, port, graceMs = 5000 }: { host: string; port: number; graceMs?: number },
): Promise<Listening> {
  const app = httpApp(parts)
  const readEvents = eventsReader(parts)
  const sockets = new EventsSocket(parts)
  const server = createServer(
    // No limit on a whole request: uploads are long. The intake watches that bytes keep coming.
    { headersTimeout: 10_000, requestTimeout: 0, keepAliveTimeout: 5000, keepAlive: true, maxHeaderSize: 16_384 },
    (request, response) => void (readEvents(request, response) || app(request, response)),
  )
  server.maxHeadersCount = 64
  server.on('checkContinue', app) // the body is asked for by `receiveSource`, when nothing else can be wrong
  server.on('upgrade', sockets.upgrade)
  server.listen(port, host)
  await once(server, 'listening')
  const at = server.address() as AddressInfo
  return {
    url: `http://${at.family === 'IPv6' ? `[${at.address}]` : at.address}:${at.port}`,
    port: at.port,
    async [Symbol.asyncDispose]() {
      const closed = once(server, 'close')
      server.close()
      const cut = setTimeout(() => {
        server.closeAllConnections()
        sockets.cut()
      }, graceMs)
      await closed
      clearTimeout(cut)
    },
  }
}
