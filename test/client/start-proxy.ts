import { connect, createServer, type Socket } from 'node:net'
import { portOf } from '../../gateway/src/host/port-of.ts'

/** A connection that the test can cut. */
export async function startProxy(port: number) {
  const open = new Set<Socket>()
  const server = createServer((inward) => {
    const outward = connect(port, '127.0.0.1')
    for (const socket of [inward, outward]) open.add(socket.on('error', () => {}))
    inward.pipe(outward).pipe(inward)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const cut = () => {
    for (const socket of open) socket.destroy()
    open.clear()
  }
  return {
    url: `http://127.0.0.1:${portOf(server)}`,
    cut,
    async [Symbol.asyncDispose]() {
      cut()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
