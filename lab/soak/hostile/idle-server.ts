import { createServer } from 'node:http'

// A Node server that does nothing else: what `/healthz` of the gateway is measured beside. Sends its port to its parent.

const server = createServer((_request, response) => {
  response.setHeader('content-type', 'application/json')
  response.end('{"ok":true}')
})
server.listen(0, '127.0.0.1', () => process.send!((server.address() as { port: number }).port))
process.once('disconnect', () => process.exit(0))
