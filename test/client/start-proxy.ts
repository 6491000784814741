import { connect, createServer, type Socket } from 'node:net'
import { portOf } from '../../gateway/src/host/port-of.ts'

/** A connection that the test can cut. It counts the bytes to the gateway. */
export async function startProxy(port: number) {
  const open = new Set<Socket>()
  const proxy = {
    sentBytes: 0,
    /** Called with the bytes of each piece to the gateway, before it goes on. */
    onSent: (_bytes: number) => {},
  }
  const server = createServer((inward) => {
    const outward = connect(port, '127.0.0.1')
    for (const socket of [inward, outward]) open.add(socket.on('error', () => {}))
    inward.on('data', (bytes: Buffer) => {
      proxy.sentBytes += bytes.length
      proxy.onSent(bytes.length)
    })
    inward.pipe(outward).pipe(inward)
    // A gateway that died, or is not there yet, ends the line of its caller too.
    outward.once('close', () => inward.destroy())
    inward.once('close', () => outward.destroy())
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const cut = () => {
    for (const socket of open) socket.destroy()
    open.clear()
  }
  return Object.assign(proxy, {
    url: `http://127.0.0.1:${portOf(server)}`,
    cut,
    /** Cuts all connections once so many more bytes have come. */
    cutAfter(bytes: number) {
      let left = bytes
      proxy.onSent = (sent) => {
        left -= sent
        if (left > 0) return
        proxy.onSent = () => {}
        cut()
      }
    },
    async [Symbol.asyncDispose]() {
      cut()
      await new Promise((resolve) => server.close(resolve))
    },
  })
}
